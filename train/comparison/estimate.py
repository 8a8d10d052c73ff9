"""How far two sides differ in one figure, and how sure that is: values and paired resamples go in.

Two models judged on the same texts share the luck of those texts, so the difference is resampled, not the
figures: its standard error over resamples of groups is what the choice of texts leaves open. A claim about
recipes has to bear training seeds, too. A figure of seed i on texts T is

    F_i(T) = mu + seed_i + texts(T) + both_i(T)

The variance s^2 of n runs' figures estimates var(seed) + var(both), of which the mean of the resamples
already holds var(both) / n; what the resamples of single runs vary about their mean estimates var(both)
alone. What s^2 exceeds it by is added. Degrees of freedom are Welch's and Satterthwaite's (Satterthwaite
1946; Welch 1947): with three seeds a side a bootstrap of seeds, or a normal interval, is far too narrow.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtr, stdtrit

from train.evaluation.metrics import Floats

ENOUGH_SEEDS = 3
"""Runs a side from which on a comparison speaks of recipes instead of checkpoints."""

Interval = tuple[float, float]


@dataclass(frozen=True)
class Estimate:
    """A difference B - A, its standard error, and the degrees of freedom of that error (inf: normal)."""

    value: float
    error: float
    df: float

    def interval(self, level: float) -> Interval | None:
        """Two-sided; None where no resample differed from another, which cannot say how sure that is."""
        if self.error == 0:
            return None
        reach = float(stdtrit(self.df, (1 + level) / 2)) * self.error
        return self.value - reach, self.value + reach

    def p(self) -> float:
        """Two-sided p-value of no difference; 1 where no resample differed."""
        return 1.0 if self.error == 0 else 2 * float(stdtr(self.df, -abs(self.value) / self.error))


def estimate(a: Floats, b: Floats, drawn_a: Floats, drawn_b: Floats, of_recipes: bool) -> Estimate | None:
    """Mean of b less mean of a: figures [runs of a side], and each run's resamples [runs, resamples], paired.

    of_recipes: the error holds the seeds' variance, which takes two runs a side and deserves ENOUGH_SEEDS.
    A resample that is not defined for every run is left out; None where fewer than two remain, or where a
    figure is not defined.
    """
    defined = np.isfinite(drawn_a).all(axis=0) & np.isfinite(drawn_b).all(axis=0)
    if defined.sum() < 2 or not (np.isfinite(a).all() and np.isfinite(b).all()):
        return None
    drawn_a, drawn_b = drawn_a[:, defined], drawn_b[:, defined]
    value = float(b.mean() - a.mean())
    variance = float((drawn_b.mean(axis=0) - drawn_a.mean(axis=0)).var(ddof=1))
    if not of_recipes:
        return Estimate(value, _root(variance), math.inf)
    uncertain = 0.0
    for figures, drawn in ((a, drawn_a), (b, drawn_b)):
        n = len(figures)
        seeds = float(figures.var(ddof=1))
        both = float((drawn - drawn.mean(axis=0)).var(axis=1, ddof=1).sum()) / (n - 1)
        variance += max(0.0, seeds - both) / n
        uncertain += (seeds / n) ** 2 / (n - 1)
    return Estimate(value, _root(variance), variance**2 / uncertain if uncertain > 0 else math.inf)


def _root(variance: float) -> float:
    """The standard error; equal figures differ by rounding, which is nothing to rely on."""
    error = math.sqrt(variance)
    return 0.0 if error < 1e-12 else error
