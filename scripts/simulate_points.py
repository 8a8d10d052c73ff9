#!/usr/bin/env python
"""How often do operating points break their promise, and what does their caution cost? On simulated texts.

    .venv/bin/python scripts/simulate_points.py [--draws 200] [--seed 1]

Scores of negatives are N(0, 1), of positives N(2.5, 1), so true rates are known; texts are independent, or
come in groups of 1 to 20 that share a part of their scores' variance (ICC). Prints a line for each kind of
texts and constraint: how many fits were feasible, how many of all fits break the constraint on the true
distribution, the same had groups been ignored, and the mean recall and false positive rate of the feasible
thresholds beside those of the best one.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit
from scipy.stats import norm

from train.errors import guarded
from train.evaluation.metrics import precision_at
from train.evaluation.operating_points import choose_threshold
from train.policy import Constraint
from train.terminal import Terminal

APART = 2.5
ROWS = 4200
CONSTRAINTS = (
    Constraint(max_fpr=0.01),
    Constraint(max_fpr=0.02),
    Constraint(min_recall=0.9),
    Constraint(min_precision=0.5, prevalence=0.05),
)


@dataclass(frozen=True)
class Texts:
    """largest: rows of the largest group, 1 for independent texts; icc: share of the scores' variance that a
    group has in common; levels: scores are rounded to so many steps a unit, so that ties are common."""

    name: str
    largest: int = 1
    icc: float = 0.0
    levels: int | None = None

    def draw(self, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(positive, score, group), about ROWS of each; a third positive, groups mostly of one kind."""
        groups = 2 * ROWS // (1 + self.largest)
        size = random.integers(1, self.largest + 1, groups)
        group = np.repeat(np.arange(groups), size)
        positive = random.random(len(group)) < random.beta(0.3, 0.6, groups)[group]
        common, own = random.normal(size=groups)[group], random.normal(size=len(group))
        score = self.icc**0.5 * common + (1 - self.icc) ** 0.5 * own + APART * positive
        return positive, np.round(score * self.levels) / self.levels if self.levels else score, group

    def rates(self, at: float) -> tuple[float, float]:
        """True (recall, false positive rate) of flagging scores of `at` or more."""
        if self.levels:  # rounded scores reach it from the edge below the first level that does
            at = (np.ceil(at * self.levels - 1e-9) - 0.5) / self.levels
        return float(norm.sf(at - APART)), float(norm.sf(at))


KINDS = (
    Texts("independent"),
    Texts("independent, ties", levels=5),
    Texts("groups, ICC .3", 20, 0.3),
    Texts("groups, ICC .3, ties", 20, 0.3, 5),
    Texts("groups, ICC .8", 20, 0.8),
    Texts("groups, ICC .8, ties", 20, 0.8, 5),
)


@dataclass(frozen=True)
class Found:
    """Shares of all draws that are feasible, that break the constraint, and that would if groups were
    ignored; (recall, false positive rate) of the feasible ones on average, and of the best threshold."""

    feasible: float
    broken: float
    broken_if_ignored: float
    mean: tuple[float, float]
    best: tuple[float, float]


def simulate(texts: Texts, constraint: Constraint, draws: int = 200, seed: int = 1) -> Found:
    """Fit a threshold to each draw and ask the true distribution."""
    reached, broken, ignored = [], 0, 0
    for draw in range(draws):
        positive, score, group = texts.draw(np.random.default_rng((seed, draw)))
        p = expit(score)
        chosen = choose_threshold(constraint, positive, p, group)
        if chosen.feasible:
            reached.append(texts.rates(logit(chosen.value)))
            broken += not _keeps(constraint, *reached[-1])
        without = choose_threshold(constraint, positive, p)
        ignored += without.feasible and not _keeps(constraint, *texts.rates(logit(without.value)))
    recall, fpr = (float(np.mean(part)) for part in zip(*reached, strict=True)) if reached else (0.0, 0.0)
    best = Texts("exact").rates(_best(constraint))
    return Found(len(reached) / draws, broken / draws, ignored / draws, (recall, fpr), best)


def _keeps(constraint: Constraint, recall: float, fpr: float) -> bool:
    if constraint.max_fpr is not None:
        return fpr <= constraint.max_fpr
    if constraint.min_recall is not None:
        return recall >= constraint.min_recall
    assert constraint.prevalence is not None and constraint.min_precision is not None
    return bool(precision_at(constraint.prevalence, recall, fpr) >= constraint.min_precision)


def _best(constraint: Constraint) -> float:
    """The score at which the constraint just holds."""
    return float(brentq(lambda at: _keeps(constraint, *Texts("exact").rates(at)) - 0.5, -5, 5, xtol=1e-6))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    terminal = Terminal()
    terminal.say(f"{'texts':22}{'constraint':37}feasible  broken  ignoring groups  recall (best)  FPR (best)")
    for texts in KINDS:
        for constraint in CONSTRAINTS:
            found = simulate(texts, constraint, options.draws, options.seed)
            (recall, fpr), (best_recall, best_fpr) = found.mean, found.best
            terminal.say(
                f"{texts.name:22}{constraint!s:37}{found.feasible:8.1%}{found.broken:8.1%}"
                f"{found.broken_if_ignored:17.1%}  {recall:.3f} ({best_recall:.3f})"
                f"  {fpr:.4f} ({best_fpr:.4f})"
            )
    return 0


if __name__ == "__main__":
    sys.exit(guarded("simulate_points", main))
