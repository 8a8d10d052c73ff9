"""Cause: labels of a source that are wrong, seen as cells that the model confidently contradicts.

Confident learning (Northcutt, Jiang & Chuang 2021, arXiv:1911.00068) counts a cell as mislabelled where its
held-out score is beyond what is typical of the other class. Taken as published, that accuses every text of
a source that the model cannot read: where the scores of both classes overlap, a third of each lies beyond
the typical score of the other. Two changes make it tell a wrong label from a hard text. Typical is the
median, which wrong labels move little while they are a minority of their class. And of the cells beyond it
those are taken off that lie as far on the class's other side: where classes merely overlap, a class is as
wide on one side of its median as on the other; wrong labels add to the side of the other class alone.
Thresholds are those of one source and class, so sources may differ in base rate and difficulty.

It cannot see wrong labels that are most of their class (20% flips among 5% positives), that the model has
learned to repeat, or in a source that it cannot rank.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from train.evaluation.intervals import ENOUGH_GROUPS
from train.evaluation.metrics import ENOUGH, Bools, Floats, decided
from train.evaluation.predictions import Predictions
from train.gaps.gap import Action, Evidence, Tested
from train.gaps.ground import Ground
from train.gaps.share import SURE

SHARE = 0.1
"""Wrong labels in a hundred from which a source is told of: what careful annotation of harm usually leaves."""
MOSTLY = 0.5
"""A place is explained by noise where more than this share of its texts comes from noisy sources."""


@dataclass(frozen=True)
class Noise:
    """Of one source and label: the estimated share of its cells that are wrong, and its standard error; the
    same of all other sources together; the cells that are contradicted, bool [n] of the predictions."""

    source: str
    share: float
    error: float
    others: float
    others_error: float
    contradicted: Bools
    cells: int

    @property
    def holds(self) -> bool:
        """The share is above SHARE, and above the others' with 95% confidence."""
        apart = math.hypot(self.error, self.others_error)
        return self.share >= SHARE and self.share - self.others > SURE * apart


def noise(predictions: Predictions, label: str) -> list[Noise]:
    """Of each source with 30 positives and negatives of the label. predictions: held-out texts, so that
    the model has not learned their labels. [] with fewer than two sources: there is nothing to compare."""
    found = list(_by_source(predictions, predictions.labels.index(label)))
    if len(found) < 2:
        return []
    judged = []
    for source, excess, rows, contradicted in found:
        rest = [(e, r) for name, e, r, _ in found if name != source]
        share, error = _mean(excess, predictions.group[rows])
        others, others_error = _mean(
            np.concatenate([e for e, _ in rest]), np.concatenate([predictions.group[r] for _, r in rest])
        )
        judged.append(Noise(source, share, error, others, others_error, contradicted, len(rows)))
    return judged


def label_noise(
    found: list[Noise], predictions: Predictions, rows: Bools, tested: Tested, ground: Ground
) -> Evidence | None:
    """For the place `rows` (bool [n]) of a gap. found: `noise` of its label."""
    noisy = {noise.source: noise for noise in found if noise.holds}
    inside = [source for source in predictions.source[rows] if source in noisy]
    if not rows.any() or len(inside) / rows.sum() <= MOSTLY:
        return None
    worst = noisy[max(set(inside), key=lambda source: (inside.count(source), source))]
    cells = worst.cells + sum(ground.sources(tested.label).get(worst.source, (0, 0)))
    return Evidence(
        "label_noise",
        "share of cells that are confidently contradicted",
        worst.share,
        SHARE,
        f"of {worst.source}, {worst.share:.0%} of the labels of {tested.label} look wrong (±"
        f"{SURE * worst.error:.0%}), of the other sources {max(0.0, worst.others):.0%}",
        Action(
            "relabel",
            math.ceil(worst.share * cells),
            f"texts of {worst.source} whose label of {tested.label} the model contradicts: negatives that "
            "score above the median positive of the source, positives that score below its median negative",
            {"label": tested.label, "source": worst.source, "cell": "contradicted"},
        ),
    )


def _by_source(predictions: Predictions, column: int) -> Iterator[tuple[str, Floats, np.ndarray, Bools]]:
    """(source, excess [m], rows [m], contradicted [n]): the mean of `excess` is the share of wrong labels.

    Half of the wrong labels lie beyond the median, so each counts twice.
    """
    known = decided(predictions.targets[:, column])
    positive, score = predictions.targets[:, column] > 0.5, predictions.scores[:, column]
    with np.errstate(divide="ignore"):
        logit = np.clip(np.log(score) - np.log1p(-score), -50, 50)
    for source in np.unique(predictions.source[known]):
        rows = np.flatnonzero(known & (predictions.source == source))
        sides = [rows[positive[rows]], rows[~positive[rows]]]
        if any(
            len(side) < ENOUGH or len(np.unique(predictions.group[side])) < ENOUGH_GROUPS for side in sides
        ):
            continue
        high, low = (float(np.median(logit[side])) for side in sides)
        apart, z = high - low, logit[rows]
        beyond = np.where(positive[rows], z <= low, z >= high)
        mirrored = np.where(positive[rows], z >= high + apart, z <= low - apart)
        contradicted = np.zeros(len(predictions), dtype=bool)
        contradicted[rows[beyond & ~mirrored]] = apart > 0
        yield str(source), 2.0 * beyond - 2.0 * mirrored, rows, contradicted


def _mean(values: Floats, group: np.ndarray) -> tuple[float, float]:
    """The mean of values [m] and its standard error over whole groups."""
    mean = float(values.mean())
    _, of = np.unique(group, return_inverse=True)
    excess = np.bincount(of, values - mean)
    return mean, float(np.sqrt((excess**2).sum()) / len(values))
