"""What somebody else's training script holds, plain lists or arrays, as Predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from train.evaluation.predictions import Predictions


def from_lists(
    predictions: Any,
    references: Any,
    labels: Sequence[str] | None = None,
    threshold: float | Sequence[float] | Mapping[str, float] = 0.5,
    group: Sequence[str | None] | None = None,
    slices: Mapping[str, Sequence[Any]] | None = None,
) -> Predictions:
    """predictions: probabilities [n, L]; references: targets [n, L], NaN or negative where unknown.

    threshold: one, or one a label; group, and each of `slices`: [n]. A text whose group is None is alone.
    Raises ValueError for shapes that do not fit, and for what is no probability.
    """
    scores = np.array(predictions, dtype=np.float64)
    targets = np.array(references, dtype=np.float32)
    if scores.ndim != 2 or scores.shape != targets.shape:
        raise ValueError(f"predictions {scores.shape} and references {targets.shape} must be one [n, L]")
    n, width = scores.shape
    names = tuple(labels) if labels is not None else tuple(f"label_{j}" for j in range(width))
    if len(names) != width:
        raise ValueError(f"{len(names)} labels for {width} columns")
    if len(set(names)) < width:
        raise ValueError(f"a label stands twice in {', '.join(names)}: its figures would share their keys")
    if not ((scores >= 0) & (scores <= 1)).all():
        raise ValueError("predictions must be probabilities from 0 to 1; apply a sigmoid to logits first")
    at = [threshold[label] for label in names] if isinstance(threshold, Mapping) else threshold
    nothing = np.full(n, "", dtype=object)
    ids = np.arange(n).astype(str).astype(object)
    return Predictions(
        ids=ids,
        source=nothing,
        group=nothing if group is None else _groups(group),
        split=nothing,
        synthetic=np.zeros(n, dtype=bool),
        slices={name: np.array(list(values), dtype=object) for name, values in (slices or {}).items()},
        labels=names,
        targets=np.where(targets < 0, np.float32(np.nan), targets),
        scores=scores,
        flags=scores >= np.asarray(at),
    )


def _groups(group: Sequence[str | None]) -> Any:
    names = [f"alone:{n}" if name is None else str(name) for n, name in enumerate(group)]
    return np.array(names, dtype=object)
