"""golden.jsonl: inputs and the answers that every runtime has to give, one line of JSON an input.

id, kind        which input, and what is special about it
text            what is scored; of a conversation the turns that the model reads, a line each
turns           of a conversation, as it was given
input_ids       its tokens, a list a window: another server's tokenizer can be told from its arithmetic
logits, probabilities, flags   in the order of the manifest's labels, by the torch variant
int8            {probabilities, flags} of the onnx-int8 variant, where there is one
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from train.data.turns import joined, told
from train.errors import Failure, Problem
from train.serving.predictor import Predictor

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Parity:
    """How far a runtime is from golden.jsonl: the largest difference of a probability, and its row; rows
    whose flags differ; rows whose tokens do; the largest difference of a row scored alone and in a batch."""

    difference: float
    worst: str
    flags: tuple[str, ...]
    tokens: tuple[str, ...]
    alone: float


def rows(inputs: Sequence[Row], predictor: Predictor, int8: Predictor | None = None) -> list[dict[str, Any]]:
    """The golden rows of inputs {id, kind, text or turns}, by the torch variant and the int8 one."""
    texts = [given(row) for row in inputs]
    logits = _logits(predictor, texts)
    probabilities, flags = predictor.judge(logits)
    tokens = _tokens(predictor, texts)
    read = predictor.encoder.read(texts)
    found = []
    for n, row in enumerate(inputs):
        turns = {"turns": row["turns"], "text": read[n]} if "turns" in row else {"text": row["text"]}
        found.append(
            {
                "id": row["id"],
                "kind": row["kind"],
                **turns,
                "input_ids": tokens[n],
                "logits": logits[n].tolist(),
                "probabilities": probabilities[n].tolist(),
                "flags": flags[n].tolist(),
            }
        )
    if int8 is not None:
        for row, p, flag in zip(found, *int8.judge(_logits(int8, texts)), strict=True):
            row["int8"] = {"probabilities": p.tolist(), "flags": flag.tolist()}
    return found


def compare(golden: Sequence[Row], predictor: Predictor, tolerance: float, int8: bool = False) -> Parity:
    """What a runtime says of the golden inputs, all in one batch and each alone, held against their answers.

    A flag differs only where the probability was further from its threshold than the tolerance: nearer, a
    difference that is allowed may turn it.
    """
    texts = [given(row) for row in golden]
    said = [row["int8"] if int8 else row for row in golden]
    expected = np.array([row["probabilities"] for row in said])
    logits = _logits(predictor, texts)
    found, flags = predictor.judge(logits)
    alone, _ = predictor.judge(np.concatenate([_logits(predictor, [text]) for text in texts]))
    off = np.abs(found - expected).max(axis=1)
    turned = (flags != np.array([row["flags"] for row in said])) & predictor.sure(expected, tolerance)
    tokens = _tokens(predictor, texts)
    worst = int(off.argmax())
    return Parity(
        difference=float(off[worst]),
        worst=golden[worst]["id"],
        flags=tuple(row["id"] for row, wrong in zip(golden, turned.any(axis=1), strict=True) if wrong),
        tokens=tuple(row["id"] for row, ids in zip(golden, tokens, strict=True) if row["input_ids"] != ids),
        alone=float(np.abs(alone - found).max()),
    )


def read(path: Path, labels: int) -> list[dict[str, Any]]:
    """Raises Failure where it is no such file."""
    try:
        found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        for row in found:
            if len(row["logits"]) != labels or not isinstance(given(row), str):
                raise ValueError
    except (OSError, ValueError, KeyError, TypeError) as error:
        what = f"cannot be read ({type(error).__name__})"
        raise Failure(Problem(str(path), what, "golden rows, one a line", "get the bundle again")) from error
    return found


def lines(found: Iterable[Row]) -> Iterator[str]:
    return (json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in found)


def given(row: Row) -> str:
    """The text that an Encoder takes."""
    text: str = joined(told(row["turns"])) if "turns" in row else row["text"]
    return text


def _logits(predictor: Predictor, texts: Sequence[str]) -> np.ndarray:
    found = predictor.logits(texts)
    assert found is not None  # nothing stops it
    return found


def _tokens(predictor: Predictor, texts: Sequence[str]) -> list[list[list[int]]]:
    """The windows of each text."""
    encoder = predictor.encoder
    return [[np.asarray(window).tolist() for window in encoder.windows(tokens)] for tokens in encoder(texts)]
