"""Cause: nearly all training positives come from one source, and the gap is elsewhere."""

from __future__ import annotations

import math

import numpy as np

from train.evaluation.predictions import Bools, Predictions
from train.gaps.few import ENOUGH_TO_LEARN
from train.gaps.gap import Action, Evidence, Trial
from train.gaps.ground import Ground

NEARLY_ALL = 0.9
"""Share of a label's training positives from which one source decides what the label means to the model."""
MOSTLY = 0.5
"""The gap is elsewhere where more than this share of its texts comes from other sources."""


def one_source(ground: Ground, predictions: Predictions, rows: Bools, trial: Trial) -> Evidence | None:
    """rows: bool [n], the texts of the place."""
    positives = {name: counts[0] for name, counts in ground.sources(trial.label).items()}
    total = sum(positives.values())
    if not total:
        return None
    top = max(positives, key=lambda name: (positives[name], name))
    share = positives[top] / total
    elsewhere = float(np.mean(predictions.source[rows] != top))
    if share < NEARLY_ALL or elsewhere <= MOSTLY:
        return None
    missing = max(ENOUGH_TO_LEARN, math.ceil(positives[top] / NEARLY_ALL) - total)
    return Evidence(
        "one_source",
        "share of training positives from one source",
        share,
        NEARLY_ALL,
        f"{share:.0%} of the training positives of {trial.label} come from {top}; {elsewhere:.0%} of the "
        "texts here do not",
        Action(
            "collect",
            missing,
            f"positives of {trial.label} from sources other than {top}, like these texts",
            {"label": trial.label, "cell": "positive", "source": f"!={top}"}
            | ({trial.slice.partition("=")[0]: trial.slice.partition("=")[2]} if trial.slice else {}),
        ),
    )
