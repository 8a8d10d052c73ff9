"""Cause: labels of a source that are wrong, seen as cells that the model confidently contradicts.

Confident learning (Northcutt, Jiang & Chuang 2021, arXiv:1911.00068) counts a cell as mislabelled where its
held-out score is beyond what is typical of the other class. Taken as published, that accuses every text of
a source that the model cannot read: where the scores of both classes overlap, a third of each lies beyond
the typical score of the other. Two changes make it tell a wrong label from a hard text. Typical is the
median, which wrong labels move little while they are a minority of their class. And of the cells beyond it
those are taken off that lie as far on the class's other side: where classes merely overlap, a class is as
wide on one side of its median as on the other; wrong labels add to the side of the other class alone.
Thresholds are those of one source and class, so sources may differ in base rate and difficulty.

It cannot see wrong labels that are most of their class (20% flips among 10% positives), that the model has
learned to repeat, or in a source that it cannot rank. Texts in part of a source that the model cannot read
at all, such as a language it never saw, look like wrong labels, too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from train.evaluation.intervals import ENOUGH_GROUPS
from train.evaluation.metrics import ENOUGH, Bools, Floats, decided
from train.evaluation.predictions import Predictions
from train.gaps.gap import Action, Evidence, Trial
from train.gaps.ground import Ground
from train.gaps.performance import MOST_EXAMPLES
from train.gaps.share import LEVEL, SURE

SHARE = 0.05
"""Share of wrong labels that a source may have: ten well-kept test sets had 3.3% on average, up to 10%
(Northcutt, Athalye & Mueller 2021, arXiv:2103.14749)."""
MOSTLY = 0.5
"""A place is explained by noise where more than this share of its texts comes from noisy sources."""


@dataclass(frozen=True, eq=False)
class Noise:
    """Of one source and label: the estimated share of its cells that are wrong, and its standard error; the
    same of all other sources together; rows: its cells, [m] positions; contradicted: those of them that are,
    clearest first."""

    source: str
    share: float
    error: float
    others: float
    others_error: float
    rows: np.ndarray
    contradicted: np.ndarray

    @property
    def p(self) -> float:
        """Chance of this share where the true one is SHARE, or that of the others: the larger of the two."""
        apart = math.hypot(self.error, self.others_error)
        above = [(self.share - SHARE, self.error), (self.share - self.others, apart)]
        return max(float(ndtr(-gap / error)) if error > 0 else float(gap <= 0) for gap, error in above)


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
        judged.append(Noise(source, share, error, others, others_error, rows, contradicted))
    return judged


def mislabelled(
    found: Sequence[Noise], predictions: Predictions, name: str, label: str, ground: Ground
) -> Iterator[Trial]:
    """Each source's share of wrong labels, held against SHARE. found: `noise` of the label."""
    column = predictions.labels.index(label)
    for noise in found:
        n, share, error = len(noise.rows), noise.share, noise.error
        yield Trial(
            set=name,
            label=label,
            slice=f"source={noise.source}",
            metric="label_noise",
            value=max(0.0, share),
            ci=(max(0.0, share - 1.96 * error), min(1.0, max(0.0, share + 1.96 * error))),
            n=n,
            positives=int((predictions.targets[noise.rows, column] > 0.5).sum()),
            target=SHARE,
            stake=1.0,
            shortfall=max(0.0, share - SURE * error - SHARE),
            p=noise.p,
            proven=share + SURE * error <= SHARE,
            needed=max(ENOUGH, math.ceil(n * (SURE * error / SHARE) ** 2)),
            told=_evidence(noise, label, ground),
            examples=tuple(map(str, predictions.ids[noise.contradicted[:MOST_EXAMPLES]])),
        )


def label_noise(
    found: Sequence[Noise], predictions: Predictions, rows: Bools, trial: Trial, ground: Ground
) -> Evidence | None:
    """For the place `rows` (bool [n]) of a gap. found: `noise` of its label."""
    noisy = {noise.source: noise for noise in found if noise.p < 1 - LEVEL}
    inside = [source for source in predictions.source[rows] if source in noisy]
    if not rows.any() or len(inside) / rows.sum() <= MOSTLY:
        return None
    worst = max(sorted(set(inside)), key=inside.count)
    return _evidence(noisy[worst], trial.label, ground)


def _evidence(noise: Noise, label: str, ground: Ground) -> Evidence:
    cells = len(noise.rows) + sum(ground.sources(label).get(noise.source, (0, 0)))
    return Evidence(
        "label_noise",
        "share of cells that are confidently contradicted",
        noise.share,
        SHARE,
        f"of {noise.source}, {max(0.0, noise.share):.0%} of the labels of {label} look wrong "
        f"(±{1.96 * noise.error:.0%}), of the other sources {max(0.0, noise.others):.0%}",
        Action(
            "relabel",
            math.ceil(max(0.0, noise.share) * cells),
            f"texts of {noise.source} whose label of {label} the model contradicts: negatives that score "
            "above the median positive of the source, positives that score below its median negative",
            {"label": label, "source": noise.source, "cell": "contradicted"},
        ),
    )


def _by_source(predictions: Predictions, column: int) -> Iterator[tuple[str, Floats, np.ndarray, np.ndarray]]:
    """(source, excess [m], rows [m], contradicted rows): the mean of excess is the share of wrong labels."""
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
        if high <= low:
            yield (
                str(source),
                np.zeros(len(rows)),
                rows,
                rows[:0],
            )  # nothing is ranked, so nothing contradicts
            continue
        apart, z = high - low, logit[rows]
        beyond = np.where(positive[rows], low - z, z - high)  # how far, where above 0
        mirrored = np.where(positive[rows], z - high, low - z) >= apart
        clearest = np.argsort(-beyond, kind="stable")
        excess = _in_full(1.0 * (beyond >= 0) - mirrored, positive[rows])
        yield str(source), excess, rows, rows[clearest[beyond[clearest] >= 0]]


def _in_full(excess: Floats, positive: Bools) -> Floats:
    """From wrong labels beyond the median of the other class to all of them.

    Of right cells half lie beyond their median, and a little more where wrong ones pull it: a share a of a
    class that is wrong leaves 1 / (2 (1 - a)) of the right ones beyond. With excess e and f seen of the two
    classes, their wrong shares solve a = 2 (1 - b) e and b = 2 (1 - a) f.
    """
    seen = [min(0.49, max(0.0, float(excess[side].mean()))) for side in (positive, ~positive)]
    both = 1 - 4 * seen[0] * seen[1]
    return excess * np.where(positive, 2 * (1 - 2 * seen[1]) / both, 2 * (1 - 2 * seen[0]) / both)


def _mean(values: Floats, group: np.ndarray) -> tuple[float, float]:
    """The mean of values [m] and its standard error over whole groups."""
    mean = float(values.mean())
    _, of = np.unique(group, return_inverse=True)
    excess = np.bincount(of, values - mean)
    return mean, float(np.sqrt((excess**2).sum()) / len(values))
