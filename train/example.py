"""The words every room shares: Example, Batch, Prediction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

TURN = "\x1e"
"""Ends a turn of a conversation: the ASCII record separator, which no text a person types holds."""


@dataclass(frozen=True, slots=True)
class Example:
    """One text with what its source says about it.

    `labels` holds a probability in [0, 1] or None (unknown) for each label the source speaks of; a label
    that is absent is unknown too. Rows with the same `group` (author, thread, template) never straddle
    splits. The `id` survives to the prediction, so a wrong prediction walks back to its source row. `split`
    is where the source puts it, `any` where that is ours to say; `parent` the id of the example that it was
    made of, if of any. The turns of a conversation stand in `text`, each ended by TURN but the last.
    """

    id: str
    group: str
    text: str
    labels: Mapping[str, float | None]
    source: str
    slices: Mapping[str, str] = field(default_factory=dict)
    split: str = "any"
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Encoded examples, ready for a model.

    rows: positions in the corpus, int64 [B]; inputs: input_ids and attention_mask, int64 [B, T];
    targets: float32 [B, L], NaN where the label is unknown.
    """

    rows: np.ndarray
    ids: tuple[str, ...]
    inputs: Mapping[str, Tensor]
    targets: Tensor


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a model says of one text: a calibrated probability and a flag for each label."""

    id: str
    scores: Mapping[str, float]
    flags: Mapping[str, bool]


@dataclass(frozen=True, slots=True)
class Window:
    """What one optimizer update learns from, as one process sees it.

    step: the update, from 0; examples, known and tokens: rows, known label cells and tokens (no padding) over
    all processes; batches: this process's micro-batches, at least one.
    """

    step: int
    examples: int
    known: int
    tokens: int
    batches: tuple[Batch, ...]
