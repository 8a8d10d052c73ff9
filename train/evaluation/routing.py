"""Which texts should people decide? One set's predictions go in; what it would cost and gain comes out.

A decision is trusted as far as the calibrated probability says that it is right: the score of a flagged text,
1 - score of one that is not. Deciding only the surest ones is Geifman & El-Yaniv's (2017) selective
classification. Review at a target recall sends people the unflagged texts from a lower threshold on. People
are assumed to be right, and the lower threshold to be the best one for the texts at hand.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from train.evaluation.intervals import ENOUGH_GROUPS, clopper_pearson, group_counts
from train.evaluation.metrics import Bools, Decisions, Figure, Floats, Numbers, decided, precision_at
from train.evaluation.predictions import Predictions

LEVEL = 0.95
MOST_POINTS = 200
_TAILS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)

Counts = npt.NDArray[np.intp]


def routing(
    predictions: Predictions,
    name: str,
    prevalence: Mapping[str, float] | float,
    target_recall: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[dict[str, Figure], dict[str, tuple[float, float]]]:
    """Figures and 95% intervals, over resampled groups, under `<name>/<label>/<metric>`.

    precision@prevalence=<pi>: of the flags, where texts arrive at that prevalence; pi is the label's, and one
    without has no such figure. aurc: mean error rate of the k surest decisions over k = 1 to n; excess_aurc:
    how much of it a perfect order would have spared. review_share@recall=<r>: share of the texts that people
    decide so that flags and people together find r of the positives; with `,prevalence=<pi>` of texts that
    arrive at it. None is a figure that is not defined. n, positives and negatives are those of `measure`.
    """
    figures: dict[str, Figure] = {}
    bounds: dict[str, tuple[float, float]] = {}
    _, group = np.unique(predictions.group, return_inverse=True)
    for j, label in enumerate(predictions.labels):
        rows = np.flatnonzero(decided(predictions.targets[:, j]))
        if not len(rows):
            continue
        pi = prevalence.get(label) if isinstance(prevalence, Mapping) else prevalence
        positive, member, flag = predictions.targets[rows, j] > 0.5, group[rows], predictions.flags[rows, j]
        cells = Routes(positive, predictions.scores[rows, j], flag)
        plus, minus, alarms = (
            len(np.unique(member[part])) for part in (positive, ~positive, flag & ~positive)
        )
        enough = min(plus, minus) >= ENOUGH_GROUPS
        drawn = [
            cells.figures(target_recall, pi, counts[:, member])
            for counts in group_counts(group, resamples if enough else 0, seed)
        ]
        for metric, of_set in cells.figures(target_recall, pi, np.ones(len(rows), np.intp)).items():
            value = float(of_set)
            figures[f"{name}/{label}/{metric}"] = None if np.isnan(value) else value
            if np.isnan(value) or not enough:
                continue
            if metric.startswith("precision@") and pi is not None and alarms < ENOUGH_GROUPS:
                low, high = _exact(positive, flag, plus, minus, pi)
            else:
                low, high = np.nanquantile(np.concatenate([part[metric] for part in drawn]), _TAILS).tolist()
            if low < high:
                bounds[f"{name}/{label}/{metric}"] = (low, high)
    return figures, bounds


def risk_coverage(predictions: Predictions, label: str, most: int = MOST_POINTS) -> tuple[Floats, Floats]:
    """(coverage, error rate) [<= most], by rising coverage: the surest decisions, and how many are wrong.

    Of a label with a decided cell. Decisions that are equally sure come together.
    """
    j = predictions.labels.index(label)
    rows = decided(predictions.targets[:, j])
    cells = Routes(
        predictions.targets[rows, j] > 0.5, predictions.scores[rows, j], predictions.flags[rows, j]
    )
    covered, wrong = cells.covered(np.ones(int(rows.sum()), np.intp))
    kept = np.unique(np.linspace(0, len(covered) - 1, most).round().astype(np.intp))
    return covered[kept] / covered[-1], wrong[kept] / covered[kept]


class Routes:
    """One label's decided cells, sorted once. positive, flag: bool [n]; score: probabilities [n].

    Takes counts [..., n], how often each row stands there, and gives figures [...], NaN if undefined.
    """

    def __init__(self, positive: Bools, score: Numbers, flag: Bools) -> None:
        self._positive, self._flag = positive, flag
        self._surest, self._surest_ties = _ranked(np.where(flag, score, 1 - score), np.arange(len(score)))
        self._left, self._left_ties = _ranked(score[~flag], np.flatnonzero(~flag))

    def figures(self, target_recall: float, prevalence: float | None, counts: Counts) -> dict[str, Floats]:
        """Those of `routing`, by metric."""
        area, excess = self.aurc(counts)
        share, at_prevalence = self.review_share(target_recall, prevalence, counts)
        found = {"aurc": area, "excess_aurc": excess, f"review_share@recall={target_recall:g}": share}
        if prevalence is not None:
            decisions = Decisions(self._positive, self._flag, counts)
            precision = precision_at(prevalence, decisions.recall(), decisions.fpr())
            found[f"precision@prevalence={prevalence:g}"] = precision
            found[f"review_share@recall={target_recall:g},prevalence={prevalence:g}"] = at_prevalence
        return found

    def covered(self, counts: Counts) -> tuple[Counts, Counts]:
        """(texts, wrong decisions) [..., T] at or above each distinct confidence, the surest first."""
        wrong = np.where(self._positive != self._flag, counts, 0)
        covered, errors = (_cumulated(part, self._surest, self._surest_ties) for part in (counts, wrong))
        return covered, errors

    def aurc(self, counts: Counts) -> tuple[Floats, Floats]:
        """(AURC, the part of it that a perfect order of the same decisions would not have).

        Equally sure decisions in every order, on average: of a tie the wrong ones come evenly.
        """
        covered, wrong = self.covered(counts)
        n, errors = covered[..., -1:], wrong[..., -1:]
        harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, int(covered.max()) + 1))])
        texts, mistakes = np.diff(covered, prepend=0), np.diff(wrong, prepend=0)
        rate = np.divide(mistakes, texts, out=np.zeros(texts.shape), where=texts > 0)
        before = (wrong - mistakes) - rate * (covered - texts)  # of the line through the tie, at k = 0
        steps = harmonic[covered] - harmonic[covered - texts]
        area = (before * steps + mistakes).sum(axis=-1)
        least = (errors - (n - errors) * (harmonic[n] - harmonic[n - errors]))[..., 0]
        total = np.where(n[..., 0] > 0, n[..., 0], np.nan)
        return area / total, (area - least) / total

    def review_share(
        self, target_recall: float, prevalence: float | None, counts: Counts
    ) -> tuple[Floats, Floats]:
        """(share of the texts that people decide, the same where texts arrive at `prevalence`)."""
        plus, minus = counts @ self._positive, counts @ ~self._positive
        found = counts @ (self._positive & self._flag)
        needed = np.ceil(target_recall * plus - 1e-9) - found
        zero = np.zeros((*counts.shape[:-1], 1), dtype=counts.dtype)  # nobody looks at any
        reviewed = np.concatenate([zero, _cumulated(counts, self._left, self._left_ties)], axis=-1)
        hits = np.where(self._positive, counts, 0)
        gained = np.concatenate([zero, _cumulated(hits, self._left, self._left_ties)], axis=-1)
        at = np.argmax(gained >= needed[..., None], axis=-1)[..., None]
        texts, harmful = (np.take_along_axis(part, at, axis=-1)[..., 0] for part in (reviewed, gained))
        of_plus = np.divide(harmful, plus, out=np.full(np.shape(plus), np.nan), where=plus > 0)
        of_minus = np.divide(texts - harmful, minus, out=np.full(np.shape(plus), np.nan), where=minus > 0)
        share = np.where(plus > 0, texts / np.maximum(plus + minus, 1), np.nan)
        pi = np.nan if prevalence is None else prevalence
        return share, np.asarray(pi * of_plus + (1 - pi) * of_minus)


def _ranked(score: Numbers, rows: Counts) -> tuple[Counts, Counts]:
    """(rows by falling score, positions in it where a score's last row stands)."""
    order = np.argsort(-score, kind="stable")
    ranked = score[order]
    return rows[order], np.flatnonzero(np.append(ranked[1:] != ranked[:-1], [True] * bool(len(score))))


def _cumulated(counts: Counts, order: Counts, ties: Counts) -> Counts:
    return np.cumsum(counts[..., order], axis=-1)[..., ties]


def _exact(positive: Bools, flag: Bools, plus: int, minus: int, prevalence: float) -> tuple[float, float]:
    """Precision's interval where false alarms come from too few groups to resample: from the exact ones of
    recall and false positive rate, whose groups are `plus` and `minus`."""
    recall = clopper_pearson(round(float(flag[positive].mean()) * plus), plus, LEVEL)
    fpr = clopper_pearson(round(float(flag[~positive].mean()) * minus), minus, LEVEL)
    low, high = precision_at(prevalence, recall, fpr[::-1])
    return float(low), float(high)
