"""How sure a set's figures are: predictions go in, percentile bootstrap intervals come out.

Whole groups (authors, threads, templates) are drawn with replacement, the same draw for every label, so texts
that resemble one another do not pass for independent evidence (Efron 1979; Davison & Hinkley 1997, 2.4 and
3.8). The intervals speak of one checkpoint on texts like these. They know nothing of training seeds, and
they run a little narrow for shares close to 0 or 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv

from train.evaluation.metrics import (
    ENOUGH,
    Bools,
    Decisions,
    Floats,
    Numbers,
    Ranking,
    WithinSources,
    allowed,
    decided,
    harmful,
    measure,
)
from train.evaluation.predictions import Predictions

ENOUGH_GROUPS = 20
"""A figure whose positives (or negatives, or flags) come from fewer groups than this gets no interval."""
_CELLS_AT_ONCE = 1_000_000  # resamples times rows held in memory together: about 8 MB an array
_MACRO = ("auprc", "auroc", "f1")

Positions = npt.NDArray[np.intp]


@dataclass(frozen=True)
class _Label:
    """One label's decided cells: rows [m] into the set, and how many groups stand behind each metric."""

    name: str
    rows: Positions
    positive: Bools
    flag: Bools
    ranking: Ranking | None  # None: only flags are judged
    within: WithinSources | None
    groups: Mapping[str, int]  # metric -> groups in its denominator
    error: tuple[Floats, Floats] | None = None  # of each group: sum of squared errors, known cells; for Brier

    @property
    def sufficient(self) -> bool:
        """As `measure` says it."""
        return min(int(self.positive.sum()), int((~self.positive).sum())) >= ENOUGH


def intervals(
    predictions: Predictions,
    name: str,
    level: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
    recall_fpr: float = 0.01,
    ranked: bool = True,
) -> dict[str, tuple[float, float]]:
    """(low, high) under the keys of `measure`, for auprc, auroc, auroc_within, f1, precision, recall, fpr,
    recall@fpr and brier of each label, the three macro figures, any/fpr and any/recall. A figure that has
    none, no key: ece never has one, since resampling a set can but raise it.

    The macro figures have one only if each sufficient label has. Equal arguments give equal intervals.
    ranked: False leaves out what scores decide (auprc, aurocs, recall@fpr, brier), most of the time's cost.
    """
    figures = measure(predictions, name, recall_fpr)
    labels, group = _labels(predictions, recall_fpr, ranked)
    draws = _draws(labels, group, resamples, seed, recall_fpr)
    found: dict[str, tuple[float, float]] = {}
    for label in labels:
        for metric, groups in label.groups.items():
            key, drawn = f"{name}/{label.name}/{metric}", draws.get(f"{label.name}/{metric}")
            if drawn is None or (value := figures.get(key)) is None:
                continue
            pair = _percentiles(drawn, level)
            if pair[0] == pair[1]:
                if metric not in ("precision", "recall", "fpr"):
                    continue  # nothing but 0 or 1 was seen: the bootstrap cannot say how sure that is
                pair = clopper_pearson(round(value * groups), groups, level)
            found[key] = pair
    for metric in _MACRO:
        if (drawn := draws.get(f"macro/{metric}")) is not None:
            low, high = _percentiles(drawn, level)
            if low < high:
                found[f"{name}/macro/{metric}"] = (low, high)
    return found


def resampled(
    predictions: Predictions,
    resamples: int = 1000,
    seed: int = 0,
    recall_fpr: float = 0.01,
    ranked: bool = True,
    enough_groups: int = ENOUGH_GROUPS,
) -> dict[str, Floats]:
    """`<label, macro or any>/<metric>` -> its value in each resample of groups [resamples]; NaN where a
    resample does not define it. Arguments and metrics are those of `intervals`; without enough groups no key.

    Rows, groups and seed alone decide what is drawn, not what a model said: two models' resamples of the
    same rows in the same order are paired.
    """
    labels, group = _labels(predictions, recall_fpr, ranked)
    return _draws(labels, group, resamples, seed, recall_fpr, enough_groups)


def groups_behind(predictions: Predictions) -> dict[str, int]:
    """`<label or any>/<recall, fpr or f1>` -> how many groups its positives come from, its negatives, or the
    fewer of both, which is also what its areas rest on."""
    labels, _ = _labels(predictions, recall_fpr=0, ranked=False)
    return {f"{label.name}/{metric}": n for label in labels for metric, n in label.groups.items()}


def clopper_pearson(hits: int, trials: int, level: float) -> tuple[float, float]:
    """Exact two-sided interval of a binomial share (Clopper & Pearson 1934)."""
    tail = (1 - level) / 2
    low = float(betaincinv(hits, trials - hits + 1, tail)) if hits > 0 else 0.0
    high = float(betaincinv(hits + 1, trials - hits, 1 - tail)) if hits < trials else 1.0
    return low, high


def group_counts(group: Positions, resamples: int, seed: int) -> Iterator[npt.NDArray[np.intp]]:
    """How often each resample draws each group: counts [k, groups], k resamples at once, `resamples` in all.

    group: [n], numbers from 0 of the rows' groups; without a row nothing is drawn.
    """
    random = np.random.default_rng(seed)
    n_groups = int(group.max()) + 1 if len(group) else 0
    at_once = max(1, _CELLS_AT_ONCE // max(1, len(group)))
    for start in range(0, resamples if n_groups else 0, at_once):
        size = min(at_once, resamples - start)
        drawn = random.integers(n_groups, size=(size, n_groups)) + n_groups * np.arange(size)[:, None]
        yield np.bincount(drawn.ravel(), minlength=size * n_groups).reshape(size, n_groups)


def _labels(predictions: Predictions, recall_fpr: float, ranked: bool) -> tuple[list[_Label], Positions]:
    """The labels with a decided cell, `any` last, and the number of each row's group [n]."""
    _, group = np.unique(predictions.group, return_inverse=True)
    labels = []
    for j, name in enumerate(predictions.labels):
        rows = np.flatnonzero(decided(predictions.targets[:, j]))
        if not len(rows):
            continue
        positive = predictions.targets[rows, j] > 0.5
        flag = predictions.flags[rows, j]
        of = group[rows]
        plus, minus = len(np.unique(of[positive])), len(np.unique(of[~positive]))
        both = min(plus, minus)
        flags = len(np.unique(of[flag]))
        groups = {"f1": both, "precision": min(both, flags), "recall": plus, "fpr": minus}
        ranking: Ranking | None = None
        within: WithinSources | None = None
        error: tuple[Floats, Floats] | None = None
        if ranked:
            of_scores = ("auprc", "auroc", "auroc_within", f"recall@fpr={recall_fpr:g}", "brier")
            groups |= dict.fromkeys(of_scores, both)
            ranking = Ranking(positive, predictions.scores[rows, j])
            within = WithinSources(positive, predictions.scores[rows, j], predictions.source[rows])
            error = _errors(predictions.targets[:, j], predictions.scores[:, j], group)
        labels.append(_Label(name, rows, positive, flag, ranking, within, groups, error))
    (fair, flagged), (harm, found) = allowed(predictions), harmful(predictions)
    rows = np.flatnonzero(fair | harm)
    groups = {"fpr": len(np.unique(group[fair])), "recall": len(np.unique(group[harm]))}
    flag_any = np.where(harm, found, flagged)[rows]
    labels.append(_Label("any", rows, harm[rows], flag_any, None, None, groups))
    return labels, group


def _errors(target: Numbers, score: Numbers, group: Positions) -> tuple[Floats, Floats]:
    """Of each group: the sum of squared errors (score less soft target) of its known cells, their number."""
    known = np.isfinite(target)
    error = (score[known].astype(np.float64) - target[known].astype(np.float64)) ** 2
    sums = (np.bincount(group[known], each, int(group.max()) + 1) for each in (error, np.ones(len(error))))
    total, cells = (np.asarray(each, dtype=np.float64) for each in sums)
    return total, cells


def _draws(
    labels: list[_Label],
    group: Positions,
    resamples: int,
    seed: int,
    recall_fpr: float,
    enough_groups: int = ENOUGH_GROUPS,
) -> dict[str, Floats]:
    """`<label or macro>/<metric>` -> its value in each resample [resamples], for metrics with enough groups;
    a macro figure's only where each sufficient label has its own."""
    parts: dict[str, list[Floats]] = {}
    for counts in group_counts(group, resamples, seed):
        for label in labels:
            if max(label.groups.values()) < enough_groups:
                continue
            found = _figures(label, counts[:, group[label.rows]], recall_fpr)
            if label.error is not None:
                total, cells = ((counts * of_group).sum(axis=1) for of_group in label.error)
                found["brier"] = np.divide(total, cells, out=np.full(len(total), np.nan), where=cells > 0)
            for metric, values in found.items():
                if label.groups.get(metric, 0) >= enough_groups:
                    parts.setdefault(f"{label.name}/{metric}", []).append(values)
    draws = {key: np.concatenate(values) for key, values in parts.items()}
    sufficient = [label.name for label in labels if label.name != "any" and label.sufficient]
    for metric in _MACRO:
        known = [draws[key] for label in sufficient if (key := f"{label}/{metric}") in draws]
        if known and len(known) == len(sufficient):
            draws[f"macro/{metric}"] = np.mean(known, axis=0)
    return draws


def _figures(label: _Label, weights: npt.NDArray[np.intp], recall_fpr: float) -> dict[str, Floats]:
    """Each metric under each weight vector: weights [resamples, m] in, [resamples] out."""
    decisions = Decisions(label.positive, label.flag, weights)
    found = {
        "f1": decisions.f1(),
        "precision": decisions.precision(),
        "recall": decisions.recall(),
        "fpr": decisions.fpr(),
    }
    if label.ranking is not None:
        curve = label.ranking.curve(weights)
        found |= {"auprc": curve.auprc(), "auroc": curve.auroc()}
        found[f"recall@fpr={recall_fpr:g}"] = curve.recall_at_fpr(recall_fpr)
    if label.within is not None:
        found["auroc_within"] = label.within.auroc(weights)
    return found


def _percentiles(drawn: Floats, level: float) -> tuple[float, float]:
    low, high = np.quantile(drawn[np.isfinite(drawn)], [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
