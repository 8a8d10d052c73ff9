"""For whom it works: one set's predictions go in; recall and false positive rate by slice value come out."""

from __future__ import annotations

import numpy as np

from train.evaluation.intervals import intervals
from train.evaluation.metrics import Figure, measure
from train.evaluation.predictions import Predictions

MOST_VALUES = 50
"""A slice with more values than this tells rows apart instead of grouping them, and is left out."""
ANALYSES = frozenset(
    ("functionality", "onset", "perturbation", "turns", "term", "frame", "identity", "dialect")
) | {"source", "synthetic"}
"""Slices of suites that have an analysis of their own (train/suites), and the names that those analyses,
shortcuts (source) and transfer (synthetic) give."""
_METRICS = ("n", "positives", "negatives", "recall", "fpr")


def by_slice(predictions: Predictions, name: str) -> tuple[dict[str, Figure], dict[str, tuple[float, float]]]:
    """Figures and 95% intervals under `<name>/<label or any>/<metric>/<slice>=<value>`.

    Metrics: n, positives, negatives, recall, fpr, each as `measure` defines it; of any: n and fpr. A row
    without a value is in none of the slice's parts.
    """
    figures: dict[str, Figure] = {}
    bounds: dict[str, tuple[float, float]] = {}
    for slice_, column in predictions.slices.items():
        values = sorted({value for value in column if value is not None})
        if len(values) > MOST_VALUES or slice_ in ANALYSES:
            continue
        for value in values:
            part = predictions.select(np.asarray(column == value))
            for found, kept in (
                (measure(part, name), figures),
                (intervals(part, name, ranked=False), bounds),
            ):
                for key, figure in found.items():
                    _, label, metric = key.split("/")
                    if metric in _METRICS and label != "macro":
                        kept[f"{key}/{slice_}={value}"] = figure  # type: ignore[assignment]
    return figures, bounds
