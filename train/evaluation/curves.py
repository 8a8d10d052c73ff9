"""Curves worth drawing: a set's predictions and a label go in, at most a few hundred points come out."""

from __future__ import annotations

import numpy as np

from train.evaluation.metrics import ECE_BINS, ENOUGH, Floats, Numbers, Ranking, decided, reliability
from train.evaluation.predictions import Predictions

MOST_POINTS = 200


def precision_recall(predictions: Predictions, label: str, most: int = MOST_POINTS) -> tuple[Floats, Floats]:
    """(recall, precision) [<= most] by rising recall, of a label with a positive.

    Precision k belongs to the recalls above recall k - 1 up to recall k: the area of these steps is AUPRC,
    but for thinning.
    """
    target, score = _known(predictions, label)
    cells = decided(target)
    curve = Ranking(target[cells] > 0.5, score[cells]).curve()
    rises = np.flatnonzero(np.diff(curve.tp, prepend=0.0) > 0)
    kept = rises[np.unique(np.linspace(0, len(rises) - 1, most).round().astype(np.intp))]
    return curve.tp[kept] / curve.positives, curve.tp[kept] / (curve.tp[kept] + curve.fp[kept])


def calibration(predictions: Predictions, label: str) -> tuple[Numbers, Floats, Floats]:
    """(rows, mean score, mean soft target) of bins of equal mass, by rising score.

    The bins of `ece`, or fewer, so that each holds about ENOUGH known cells or more.
    """
    target, score = _known(predictions, label)
    return reliability(target, score, min(ECE_BINS, max(1, len(score) // ENOUGH)))


def _known(predictions: Predictions, label: str) -> tuple[Numbers, Numbers]:
    column = predictions.labels.index(label)
    known = np.isfinite(predictions.targets[:, column])
    return predictions.targets[known, column], predictions.scores[known, column]
