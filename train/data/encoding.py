"""Texts to tokens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from train.data.normalise import Step, normaliser
from train.example import TURN
from train.files import canonical_json, sha256_bytes
from train.spec import Spec

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

LONGEST = 100_000
"""Tokens of a text that windows cover at most: a file taken for a text is not scored for hours."""


class MaxLength(Spec):
    tokens: int = Field(default=128, ge=8)
    """Tokens that the model sees at once, special tokens included."""
    overflow: Literal["truncate", "window"] = "truncate"
    """What happens to a longer text. truncate: its end is not seen. window: it is seen in windows; training
    sees one a text, drawn anew each epoch, and scoring sees all."""
    stride: int = Field(default=32, ge=0)
    """window: tokens that neighbours share, so that a phrase cut by one is whole in the other."""
    reduce: Literal["max", "mean"] = "max"
    """window: how the logits of a text's windows become one; max: harm anywhere is harm."""

    @model_validator(mode="after")
    def _windows_move_on(self) -> Self:
        if self.overflow == "window" and self.stride > self.tokens // 2:
            raise ValueError("stride must be at most half of tokens")
        return self


class Encoding(Spec):
    """How a text becomes tokens. It travels with the checkpoint: serving must encode as training did."""

    normalise: tuple[Step, ...] = ()
    """Steps on the text before the tokenizer sees it, in this order. zero-width: without characters that draw
    nothing; nfkc: compatibility letters plain; emoji-names: emoji become words; confusables: look-alikes of
    other scripts in Latin words become Latin; leet: h4t3 becomes hate, and k.y.s kys."""
    max_length: MaxLength = MaxLength()

    def encoding(self) -> dict[str, Any]:
        """What a checkpoint keeps of it, as JSON."""
        return {"normalise": list(self.normalise), "max_length": self.max_length.model_dump(mode="json")}


class Encoder:
    """A tokenizer under an Encoding: the one way from text to model inputs, in training and serving."""

    def __init__(self, tokenizer: Any, encoding: Encoding) -> None:
        self._tokenizer = tokenizer
        self._steps = encoding.normalise
        self._normalise = normaliser(encoding.normalise)
        self._length = encoding.max_length
        self._pad = int(tokenizer.pad_token_id)
        self._left = tokenizer.padding_side == "left"
        # a decoder's tokenizer may give an empty text no token: it gets one, not the padding if it can
        marks = (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id)
        self._empty = [next((int(m) for m in marks if m is not None and m != self._pad), self._pad)]
        plain = self._ids(["a"], special=False)[0]
        special = self._ids(["a"], special=True)[0]
        start = next(i for i in range(len(special)) if special[i : i + len(plain)] == plain)
        self._before, self._after = special[:start], special[start + len(plain) :]
        self._room = self._length.tokens - len(self._before) - len(self._after)
        self._line_end = max(0, len(self._ids(["a\na"], special=False)[0]) - 2 * len(plain))

    @property
    def tokens(self) -> int:
        """What the model sees at once."""
        return self._length.tokens

    @property
    def unknown(self) -> int | None:
        """The token for what the vocabulary lacks."""
        found: int | None = self._tokenizer.unk_token_id
        return found

    @property
    def specials(self) -> int:
        """Special tokens of a text."""
        return len(self._before) + len(self._after)

    @property
    def reduce(self) -> Literal["max", "mean"]:
        return self._length.reduce

    @property
    def digest(self) -> str:
        """Hash of all that decides the tokens of a text; windows are cut later: how is no part of it."""
        backend = self._tokenizer.backend_tokenizer
        backend.no_truncation()  # a call leaves its truncation and padding behind in the backend's state
        backend.no_padding()
        whole = self._length.overflow == "window"
        limits = [self._length.tokens, LONGEST if whole else None]  # windows see whole texts, but last turns
        return sha256_bytes(canonical_json([backend.to_str(), list(self._steps), limits]).encode())

    def __call__(self, texts: Sequence[str]) -> list[list[int]]:
        """Tokens of each text, special ones included: cut at the limit, or whole where windows see the rest.

        Of a conversation, whose turns TURN sets apart, the last turns that fit are taken.
        """
        shown = self.read(texts)
        most = LONGEST if self._length.overflow == "window" else self._room
        found = self._ids(shown, special=False)
        return [[*self._before, *ids[:most], *self._after] or self._empty for ids in found]

    def read(self, texts: Sequence[str]) -> list[str]:
        """What the tokenizer sees of each text: normalised, and of a conversation the last turns, by line."""
        shown = [self._normalise(text) for text in texts]
        return self._last_turns(shown) if any(TURN in text for text in shown) else shown

    def windows(self, tokens: Sequence[int] | np.ndarray) -> list[Sequence[int] | np.ndarray]:
        """The windows of one text's tokens, each with the special ones; itself where it fits."""
        import numpy as np

        if len(tokens) <= self._length.tokens:
            return [tokens]
        inner = np.asarray(tokens[len(self._before) : len(tokens) - len(self._after)])
        starts = range(0, len(inner) - self._length.stride, self._room - self._length.stride)
        return [
            np.concatenate([self._before, inner[start : start + self._room], self._after]).astype(np.int32)
            for start in starts
        ]

    def batches(
        self,
        sequences: Sequence[Sequence[int] | np.ndarray],
        batches: Iterable[np.ndarray],
        tokens: int | None = None,
    ) -> Iterator[tuple[np.ndarray, dict[str, Tensor]]]:
        """(positions, inputs) of the texts at `batches`, every window of each: a position stands as often.

        tokens: padded tokens that the windows of a batch may come to; default TOKENS_AT_ONCE.
        """
        import numpy as np

        from train.data.order import TOKENS_AT_ONCE

        for batch in batches:
            found = [(row, window) for row in batch for window in self.windows(sequences[row])]
            longest = max((len(window) for _, window in found), default=1)
            # many windows must not need more memory
            most = max(len(batch), (tokens or TOKENS_AT_ONCE) // longest)
            for start in range(0, len(found), most):
                part = found[start : start + most]
                yield np.array([row for row, _ in part]), self.pad([window for _, window in part])

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

    def _ids(self, texts: Sequence[str], special: bool) -> list[list[int]]:
        if not texts:
            return []
        encoded = self._tokenizer(
            list(texts),
            add_special_tokens=special,
            truncation=False,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
        )
        return list(encoded["input_ids"])

    def _last_turns(self, texts: Sequence[str]) -> list[str]:
        """Conversations as lines, a turn a line: the last ones that fit together, at least the very last."""
        split = [text.split(TURN) for text in texts]
        lengths = iter(self._ids([turn for turns in split for turn in turns], special=False))
        found = []
        for turns in split:
            sizes = [len(next(lengths)) + self._line_end for _ in turns]
            sizes[-1] -= self._line_end  # it ends without one
            kept = sum(total <= self._room for total in accumulate(reversed(sizes)))
            found.append("\n".join(turns[-max(1, kept) :]))
        return found
