"""How well scores and flags fit what is known of one label; known cells go in, plain numbers come out.

A cell is positive above .5 and negative below; exact ties are unknown to ranking and counting metrics. Brier
and ECE use the soft value. Equal scores count as one threshold everywhere. Every function takes row weights:
non-negative counts, where weight k means the row stands there k times. The classes also take many weight
vectors at once ([..., n] in, [...] out), so that a bootstrap sorts each label once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from train.evaluation.predictions import Predictions

Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[Any]
Figure = float | int | bool | None

ENOUGH = 30
"""Fewer positives, or fewer negatives, and a label's figures are insufficient: shown apart, in no macro."""
FALSE_POSITIVES_TO_COUNT = 10
"""recall@fpr=x needs 10/x negatives, so that the threshold rests on ten of them: 1,000 for 1%."""
ECE_BINS = 15


@dataclass(frozen=True)
class Curve:
    """Counts at or above each distinct score, highest first: tp and fp [..., T]; totals [...].

    Its figures [...] are NaN where there is no positive or no negative.
    """

    tp: Floats
    fp: Floats
    positives: Floats
    negatives: Floats

    def auprc(self) -> Floats:
        """Average precision, sum of (R_k - R_{k-1}) P_k; a coin reaches the prevalence."""
        flagged = self.tp + self.fp
        precision = np.divide(self.tp, flagged, out=np.zeros_like(flagged), where=flagged > 0)
        gained = np.diff(self.tp, prepend=0.0)
        area = _ratio((gained * precision).sum(axis=-1), self.positives)
        return np.where(self.negatives > 0, area, np.nan)

    def auroc(self) -> Floats:
        """Probability that a positive outranks a negative, ties counting half (trapezoids)."""
        height = self.tp - np.diff(self.tp, prepend=0.0) / 2
        area = (np.diff(self.fp, prepend=0.0) * height).sum(axis=-1)
        return _ratio(area, self.positives * self.negatives)

    def recall_at_fpr(self, fpr: float) -> Floats:
        """The largest recall of a threshold whose empirical false positive rate is at most `fpr`."""
        allowed = np.floor(fpr * self.negatives + 1e-9)  # .29 * 100 is 28.999999999999996
        hits = np.where(self.fp <= allowed[..., None], self.tp, 0.0).max(axis=-1, initial=0.0)
        return np.where(self.negatives > 0, _ratio(hits, self.positives), np.nan)


class Ranking:
    """One label's decided cells, sorted once. positive: bool [n]; score: [n]."""

    def __init__(self, positive: Bools, score: Numbers) -> None:
        self._order = np.argsort(-score, kind="stable")
        self._positive = positive[self._order]
        ranked = score[self._order]
        self._last_of_tie = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], [True] * bool(len(score))))

    def curve(self, weights: Numbers | None = None) -> Curve:
        """weights: counts [..., n] in the order of the cells; one curve a weight vector."""
        counts = (
            np.ones(len(self._order)) if weights is None else weights[..., self._order].astype(np.float64)
        )
        flagged = np.cumsum(counts, axis=-1)[..., self._last_of_tie]
        hits = np.where(self._positive, counts, 0.0)
        tp = np.cumsum(hits, axis=-1)[..., self._last_of_tie]
        positives = hits.sum(axis=-1)
        return Curve(tp, flagged - tp, positives, counts.sum(axis=-1) - positives)


class WithinSources:
    """One label's decided cells, sorted by source. positive: bool [n]; score: [n]; source: str [n]."""

    def __init__(self, positive: Bools, score: Numbers, source: Numbers) -> None:
        rows = [np.flatnonzero(source == name) for name in np.unique(source)]
        self._parts = [(mine, Ranking(positive[mine], score[mine])) for mine in rows]

    def auroc(self, weights: Numbers | None = None) -> Floats:
        """Probability that a positive outranks a negative of its own source; weights [..., n] in, [...] out.

        Sources differ in more than labels: pooled AUROC also rewards telling the sources apart. A text that
        several sources hold counts once, for the source whose row stands for it.
        """
        won, pairs = np.zeros(()), np.zeros(())
        for rows, ranking in self._parts:
            curve = ranking.curve(None if weights is None else weights[..., rows])
            of_source = curve.positives * curve.negatives
            won = won + np.where(of_source > 0, curve.auroc() * of_source, 0.0)
            pairs = pairs + of_source
        return _ratio(won, pairs)


class Decisions:
    """One label's decided cells and their flags. positive, flag: bool [n]. Figures [...], NaN if undefined.

    F1 and precision need a positive and a negative, precision also a flag; recall needs a positive, fpr a
    negative.
    """

    def __init__(self, positive: Bools, flag: Bools, weights: Numbers | None = None) -> None:
        counts = np.ones(len(positive)) if weights is None else weights.astype(np.float64)
        self._tp = counts @ (positive & flag)
        self._fp = counts @ (~positive & flag)
        self._positives = counts @ positive
        self._negatives = counts @ ~positive

    def f1(self) -> Floats:
        value = _ratio(2 * self._tp, self._tp + self._fp + self._positives)
        return np.where((self._positives > 0) & (self._negatives > 0), value, np.nan)

    def precision(self) -> Floats:
        value = _ratio(self._tp, self._tp + self._fp)
        return np.where((self._positives > 0) & (self._negatives > 0), value, np.nan)

    def recall(self) -> Floats:
        return _ratio(self._tp, self._positives)

    def fpr(self) -> Floats:
        return _ratio(self._fp, self._negatives)


def auprc(positive: Bools, score: Numbers, weights: Numbers | None = None) -> float | None:
    return _plain(Ranking(positive, score).curve(weights).auprc())


def auroc(positive: Bools, score: Numbers, weights: Numbers | None = None) -> float | None:
    return _plain(Ranking(positive, score).curve(weights).auroc())


def recall_at_fpr(
    positive: Bools, score: Numbers, fpr: float, weights: Numbers | None = None
) -> float | None:
    return _plain(Ranking(positive, score).curve(weights).recall_at_fpr(fpr))


def f1(positive: Bools, flag: Bools, weights: Numbers | None = None) -> float | None:
    return _plain(Decisions(positive, flag, weights).f1())


def precision(positive: Bools, flag: Bools, weights: Numbers | None = None) -> float | None:
    return _plain(Decisions(positive, flag, weights).precision())


def recall(positive: Bools, flag: Bools, weights: Numbers | None = None) -> float | None:
    return _plain(Decisions(positive, flag, weights).recall())


def fpr(positive: Bools, flag: Bools, weights: Numbers | None = None) -> float | None:
    return _plain(Decisions(positive, flag, weights).fpr())


def precision_at(prevalence: float, recall: Any, fpr: Any) -> Floats:
    """Precision where a share `prevalence` of the texts is positive: pi R / (pi R + (1 - pi) FPR), any shape.

    What a test set cannot say by itself: it holds far more positives than a platform does. NaN where nothing
    is flagged.
    """
    true, false = prevalence * np.asarray(recall), (1 - prevalence) * np.asarray(fpr)
    return _ratio(true, true + false)


def brier(target: Numbers, score: Numbers, weights: Numbers | None = None) -> float | None:
    """Mean squared distance of score and soft target, both [n] in [0, 1] (Brier 1950)."""
    counts = np.ones(len(score)) if weights is None else weights.astype(np.float64)
    error = (score.astype(np.float64) - target.astype(np.float64)) ** 2
    return _plain(_ratio(counts @ error, counts.sum()))


def ece(
    target: Numbers, score: Numbers, weights: Numbers | None = None, bins: int = ECE_BINS
) -> float | None:
    """Expected calibration error over bins of equal mass (Naeini 2015; equal width would put a rare label's
    cells all into one bin): mean over rows of |mean score - mean soft target| of the row's bin.

    Equal scores share the bin of their middle rank, so bins hold unequal masses when ties are long.
    """
    counts = np.ones(len(score), np.int64) if weights is None else weights.astype(np.int64)
    total = int(counts.sum())
    if total == 0:
        return None
    bin_ = _equal_mass(score, counts, bins)
    gap = np.bincount(bin_, counts * (score.astype(np.float64) - target.astype(np.float64)), bins)
    return float(np.abs(gap).sum() / total)


def reliability(target: Numbers, score: Numbers, bins: int = ECE_BINS) -> tuple[Numbers, Floats, Floats]:
    """(rows, mean score, mean soft target) [<= bins] of the bins of `ece`, by rising score; none is empty."""
    bin_ = _equal_mass(score, np.ones(len(score), np.int64), bins)
    rows = np.bincount(bin_, minlength=bins)
    said, seen = (np.bincount(bin_, values.astype(np.float64), bins) for values in (score, target))
    some = rows > 0
    return rows[some], said[some] / rows[some], seen[some] / rows[some]


def _equal_mass(score: Numbers, counts: Numbers, bins: int) -> Numbers:
    """The bin of each row [n]: equal scores share the bin of their middle rank."""
    distinct, tie = np.unique(score, return_inverse=True)
    mass = np.bincount(tie, counts, len(distinct)).astype(np.int64)
    twice_middle = 2 * np.cumsum(mass) - mass
    bin_: Numbers = np.minimum(bins * twice_middle // (2 * int(counts.sum())), bins - 1)
    return bin_[tie]  # in integers: weights = repeats


def decided(target: Numbers) -> Bools:
    """The cells that are positive or negative: known, and not exactly .5. Any shape."""
    return np.asarray(np.isfinite(target) & (target != 0.5))


def allowed(predictions: Predictions) -> tuple[Bools, Bools]:
    """(rows [n] whose known cells are all negative, at least one known; rows [n] flagged in a known cell).

    A flag in an unknown cell is neither right nor wrong, so it does not count.
    """
    known = np.isfinite(predictions.targets)
    rows = known.any(axis=1) & (~known | (predictions.targets < 0.5)).all(axis=1)
    return np.asarray(rows), np.asarray((known & predictions.flags).any(axis=1))


def harmful(predictions: Predictions) -> tuple[Bools, Bools]:
    """(rows [n] that a known label holds for; rows [n] flagged under a label that holds for them)."""
    positive = predictions.targets > 0.5  # NaN is not
    return np.asarray(positive.any(axis=1)), np.asarray((positive & predictions.flags).any(axis=1))


def measure(predictions: Predictions, name: str, recall_fpr: float = 0.01) -> dict[str, Figure]:
    """Every figure of one set under `<name>/<label, macro or any>/<metric>`; JSON-safe, never NaN.

    Per label with a known cell: n (known cells, ties at .5 included), positives, negatives, prevalence
    (positives over decided cells), auprc, auroc, auroc_within (see WithinSources), f1, precision, recall,
    fpr, recall@fpr=<recall_fpr>, brier, ece, sufficient (at least 30 positives and 30 negatives). None is a
    figure that is not defined.
    macro: plain means over the sufficient labels, and how many those are. any: n and fpr of `allowed` texts,
    positives and recall of `harmful` ones.
    """
    figures: dict[str, Figure] = {}
    sufficient: list[str] = []
    for j, label in enumerate(predictions.labels):
        known = np.isfinite(predictions.targets[:, j])
        if not known.any():
            continue
        key = f"{name}/{label}"
        of_label = _label(
            predictions.targets[known, j],
            predictions.scores[known, j],
            predictions.flags[known, j],
            predictions.source[known],
            recall_fpr,
        )
        figures.update({f"{key}/{metric}": value for metric, value in of_label.items()})
        if of_label["sufficient"]:
            sufficient.append(key)
    for metric in ("auprc", "auroc", "f1"):
        values = [value for key in sufficient if (value := figures[f"{key}/{metric}"]) is not None]
        figures[f"{name}/macro/{metric}"] = float(np.mean(values)) if values else None
    figures[f"{name}/macro/labels"] = len(sufficient)
    rows, flagged = allowed(predictions)
    figures[f"{name}/any/n"] = int(rows.sum())
    figures[f"{name}/any/fpr"] = float(flagged[rows].mean()) if rows.any() else None
    rows, found = harmful(predictions)
    figures[f"{name}/any/positives"] = int(rows.sum())
    figures[f"{name}/any/recall"] = float(found[rows].mean()) if rows.any() else None
    return figures


def _label(
    target: Numbers, score: Numbers, flag: Bools, source: Numbers, recall_fpr: float
) -> dict[str, Figure]:
    """All figures of one label from its known cells [n]."""
    cells = decided(target)
    positive = target[cells] > 0.5
    positives, negatives = int(positive.sum()), int((~positive).sum())
    curve = Ranking(positive, score[cells]).curve()
    decisions = Decisions(positive, flag[cells])
    countable = negatives >= FALSE_POSITIVES_TO_COUNT / recall_fpr
    return {
        "n": len(target),
        "positives": positives,
        "negatives": negatives,
        "prevalence": positives / len(positive) if len(positive) else None,
        "auprc": _plain(curve.auprc()),
        "auroc": _plain(curve.auroc()),
        "auroc_within": _plain(WithinSources(positive, score[cells], source[cells]).auroc()),
        "f1": _plain(decisions.f1()),
        "precision": _plain(decisions.precision()),
        "recall": _plain(decisions.recall()),
        "fpr": _plain(decisions.fpr()),
        f"recall@fpr={recall_fpr:g}": _plain(curve.recall_at_fpr(recall_fpr)) if countable else None,
        "brier": brier(target, score),
        "ece": ece(target, score),
        "sufficient": min(positives, negatives) >= ENOUGH,
    }


def _ratio(part: Any, whole: Any) -> Floats:
    """part / whole, NaN where whole is 0; any shape, scalars included."""
    part, whole = np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64)
    shape = np.broadcast_shapes(part.shape, whole.shape)
    return np.asarray(np.divide(part, whole, out=np.full(shape, np.nan), where=whole > 0))


def _plain(value: Floats) -> float | None:
    number = float(value)
    return None if np.isnan(number) else number
