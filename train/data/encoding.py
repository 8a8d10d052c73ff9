"""Texts to tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from train.files import canonical_json, sha256_bytes
from train.spec import Spec

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor


class MaxLength(Spec):
    tokens: int = Field(default=128, ge=8)
    """Tokens of a text that the model sees, special tokens included."""
    overflow: Literal["truncate"] = "truncate"
    """What happens to the rest of a longer text."""


class Encoding(Spec):
    """How a text becomes tokens. It travels with the checkpoint: serving must encode as training did."""

    max_length: MaxLength = MaxLength()


class Encoder:
    """A tokenizer under an Encoding: the one way from text to model inputs, in training and serving."""

    def __init__(self, tokenizer: Any, encoding: Encoding) -> None:
        self._tokenizer = tokenizer
        self._tokens = encoding.max_length.tokens
        self._pad = int(tokenizer.pad_token_id)
        self._left = tokenizer.padding_side == "left"
        # a decoder's tokenizer may give an empty text no token: it gets one, not the padding if it can
        marks = (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id)
        self._empty = [next((int(m) for m in marks if m is not None and m != self._pad), self._pad)]

    @property
    def digest(self) -> str:
        """Hash of all that decides the tokens of a text."""
        backend = self._tokenizer.backend_tokenizer
        backend.no_truncation()  # a call leaves its truncation and padding behind in the backend's state
        backend.no_padding()
        return sha256_bytes(canonical_json([backend.to_str(), self._tokens]).encode())

    def __call__(self, texts: Sequence[str]) -> list[list[int]]:
        encoded = self._tokenizer(
            list(texts),
            truncation=True,
            max_length=self._tokens,
            return_attention_mask=False,
            return_token_type_ids=False,
        )
        return [ids or self._empty for ids in encoded["input_ids"]]

    def pad(self, sequences: Sequence[np.ndarray | Sequence[int]]) -> dict[str, Tensor]:
        """Token sequences -> input_ids and attention_mask, int64 [B, T], T the longest of them."""
        import numpy as np
        import torch

        width = max(1, *(len(sequence) for sequence in sequences))
        ids = np.full((len(sequences), width), self._pad, dtype=np.int64)
        mask = np.zeros((len(sequences), width), dtype=np.int64)
        for row, sequence in enumerate(sequences):
            span = slice(width - len(sequence), width) if self._left else slice(0, len(sequence))
            ids[row, span] = sequence
            mask[row, span] = 1
        return {"input_ids": torch.from_numpy(ids), "attention_mask": torch.from_numpy(mask)}
