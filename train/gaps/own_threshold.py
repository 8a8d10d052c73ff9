"""Cause: the model ranks the slice as well as the rest, but the threshold of all is not that of the slice."""

from __future__ import annotations

import math

import numpy as np

from train.evaluation.metrics import ENOUGH, Bools, auroc, decided, recall_at_fpr
from train.evaluation.predictions import Predictions
from train.gaps.gap import Action, Evidence, Trial
from train.gaps.share import LEVEL
from train.gaps.targets import FPR_CEILING, OF_REST, RECALL_FLOOR
from train.policy import Constraint

AS_WELL = 0.03
"""AUROC that a slice may lack and still be ranked as well as the rest."""


def own_threshold(
    predictions: Predictions, rows: Bools, trial: Trial, constraint: Constraint
) -> Evidence | None:
    """Two things are asked of the slice's texts `rows` (bool [n]): an AUROC not far below that of the texts
    outside, and that some threshold keeps both the FPR limit and the recall asked for."""
    column = predictions.labels.index(trial.label)
    positive, score = predictions.targets[:, column] > 0.5, predictions.scores[:, column]
    outside = decided(predictions.targets[:, column]) & ~rows
    if trial.slice is None or any(
        min(positive[part].sum(), (~positive[part]).sum()) < ENOUGH for part in (rows, outside)
    ):
        return None
    here, there = (auroc(positive[part], score[part]) or 0.0 for part in (rows, outside))
    limit = constraint.max_fpr if constraint.max_fpr is not None else FPR_CEILING
    wanted = constraint.min_recall
    if wanted is None:  # what the slice is asked for, but never next to nothing
        wanted = OF_REST * max(RECALL_FLOOR, float(predictions.flags[outside & positive, column].mean()))
    reached = recall_at_fpr(positive[rows], score[rows], limit) or 0.0
    if here < there - AS_WELL or reached < wanted:
        return None
    name, _, value = trial.slice.partition("=")
    texts = math.ceil(math.log(1 - LEVEL) / math.log(1 - limit))
    negatives = int(np.count_nonzero(~positive[rows]))
    return Evidence(
        "threshold_mismatch",
        "recall at the slice's own threshold",
        reached,
        wanted,
        f"ranked as well as the rest (AUROC {here:.2f}, outside {there:.2f}): with a threshold of its own "
        f"{trial.slice} reaches a recall of {reached:.2f} at an FPR of at most {limit:g}",
        Action(
            "change",
            max(0, texts - negatives),
            f"a threshold of its own for {trial.label} where {trial.slice}; fitting it takes {texts:,} "
            "negatives of the calibration split",
            {"label": trial.label, name: value},
        ),
    )
