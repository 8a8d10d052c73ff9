"""Figures that can be measured again on a resample, and so have an interval: rows of a set in, figures out.

What `measure` and `intervals` are to a set's own figures, these are to all that compares parts of a set:
areas and shares of any rows, means, and differences of two figures, on the same draws of whole groups.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from train.evaluation.intervals import ENOUGH_GROUPS, Positions, clopper_pearson, group_counts
from train.evaluation.metrics import Bools, Figure, Floats, Numbers, Ranking
from train.evaluation.predictions import Strings

LEVEL = 0.95
Figures = dict[str, Figure]
Bounds = dict[str, tuple[float, float]]


@dataclass(frozen=True)
class Measured:
    """One figure of a set of n rows. value: None where it is not defined.

    again: row weights [k, n] -> its value in each of k resamples [k], NaN where one does not define it. rows:
    what it rests on, one array a denominator: positives and negatives, say; none may be of few groups.
    is_share: a share. all_alike: a share of 0 or 1, or the difference to one: no resample shows another.
    """

    value: float | None
    again: Callable[[Numbers], Floats]
    rows: tuple[Positions, ...]
    is_share: bool = False
    all_alike: bool = False

    def __sub__(self, other: Self) -> Measured:
        """The difference, on the same draws."""
        known = self.value is not None and other.value is not None
        return Measured(
            self.value - other.value if known else None,  # type: ignore[operator]
            lambda weights: self.again(weights) - other.again(weights),
            (*self.rows, *other.rows),
            all_alike=self.all_alike or other.all_alike,
        )


def area(positives: Positions, negatives: Positions, score: Numbers) -> Measured:
    """Probability that one of the rows `positives` outranks one of `negatives` by score [n], ties half."""
    rows = np.concatenate([positives, negatives])
    ranking = Ranking(np.arange(len(rows)) < len(positives), score[rows])
    return Measured(
        _plain(ranking.curve().auroc()),
        lambda weights: ranking.curve(weights[..., rows]).auroc(),
        (positives, negatives),
    )


def share(rows: Positions, flag: Bools) -> Measured:
    """Share of the rows that have the flag [n]: recall of positives, false positive rate of negatives."""
    found = mean(rows, flag)
    return replace(found, is_share=True, all_alike=found.value in (0, 1))


def mean(rows: Positions, of: npt.NDArray[Any]) -> Measured:
    """Mean of `of` [n] over the rows."""
    values = of[rows].astype(np.float64)

    def again(weights: Numbers) -> Floats:
        times = weights[..., rows].astype(np.float64)
        total = times.sum(axis=-1)
        return np.divide(times @ values, total, out=np.full(total.shape, np.nan), where=total > 0)

    return Measured(float(values.mean()) if len(values) else None, again, (rows,))


def counts(target: Numbers) -> Figures:
    """n (known cells, ties at .5 included), positives and negatives of targets [n], as `measure` has them."""
    return {
        "n": int(np.isfinite(target).sum()),
        "positives": int((target > 0.5).sum()),
        "negatives": int((target < 0.5).sum()),
    }


def told(
    measured: Mapping[str, Measured], group: Strings, resamples: int = 1000, seed: int = 0
) -> tuple[Figures, Bounds]:
    """Values, and 95% percentile intervals under the same keys; group: of each row of the set, str [n].

    As `intervals` has it: no interval on fewer than ENOUGH_GROUPS groups; where every resample agrees, the
    exact one of a share, its groups as trials, and none of other figures. Nor of a difference to a share of 0
    or 1: half of what is unsure about it would be missing.
    """
    _, of = np.unique(group, return_inverse=True)
    groups = {
        key: min(len(np.unique(of[rows])) for rows in figure.rows)
        for key, figure in measured.items()
        if figure.value is not None
    }
    drawn: dict[str, list[Floats]] = {
        key: []
        for key, n in groups.items()
        if n >= ENOUGH_GROUPS and (measured[key].is_share or not measured[key].all_alike)
    }
    for drawn_groups in group_counts(of, resamples if drawn else 0, seed):
        weights = drawn_groups[:, of]
        for key, values in drawn.items():
            values.append(measured[key].again(weights))
    bounds: Bounds = {}
    for key, values in drawn.items():
        low, high = map(float, np.nanquantile(np.concatenate(values), [(1 - LEVEL) / 2, (1 + LEVEL) / 2]))
        if low < high:
            bounds[key] = (low, high)
        elif measured[key].is_share:
            bounds[key] = clopper_pearson(round(low * groups[key]), groups[key], LEVEL)
    return {key: figure.value for key, figure in measured.items()}, bounds


def _plain(value: Floats) -> float | None:
    number = float(value)
    return None if np.isnan(number) else number
