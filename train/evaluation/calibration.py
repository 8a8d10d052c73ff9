"""From logits to probabilities: fits of one label's known cells, and which of them the data can bear.

A fit is chosen by its Brier score on groups it was not fitted on: in sample the most supple one always wins.
Identity, temperature and Platt are scale * logit + bias, which a head can take in; isotonic is not.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from scipy.optimize import isotonic_regression
from scipy.special import expit

from train.evaluation.metrics import Floats

Kind = Literal["identity", "temperature", "platt", "isotonic"]  # the simplest first
Knots = tuple[tuple[float, float], ...]

FOLDABLE: tuple[Kind, ...] = ("identity", "temperature", "platt")
"""A scale and a bias, which a head with a bias can take in."""
PRIOR_SD = 10.0
"""Spread of the normal priors on the scale (around 1) and the bias (around 0)."""
FOLDS = 5


def foldable(head_has_bias: bool) -> tuple[Kind, ...]:
    """The kinds that a head can take in; a decoder's `score` has no bias to add to."""
    return FOLDABLE if head_has_bias else ("identity", "temperature")


@dataclass(frozen=True)
class Calibration:
    """p = sigmoid(scale * logit + bias); isotonic: p lies on straight lines between `knots`, pairs of a logit
    and a probability, both rising. Raises ValueError for values that would turn the order of texts."""

    kind: Kind = "identity"
    scale: float = 1.0
    bias: float = 0.0
    knots: Knots = ()

    def __post_init__(self) -> None:
        if not (self.scale > 0 and math.isfinite(self.scale) and math.isfinite(self.bias)):
            raise ValueError("scale must be positive; scale and bias finite")
        rising = (np.diff(np.array(self.knots, dtype=np.float64).reshape(-1, 2), axis=0) > 0).all()
        if (len(self.knots) > 1) != (self.kind == "isotonic") or not rising:
            raise ValueError("isotonic has two or more knots, both numbers rising; no other kind has any")

    def __call__(self, logits: npt.NDArray[Any]) -> Floats:
        """Probabilities float64 of logits, any shape."""
        if self.kind == "isotonic":
            at, probability = np.array(self.knots).T
            return np.asarray(np.interp(logits.astype(np.float64), at, probability))
        return np.asarray(expit(self.scale * logits.astype(np.float64) + self.bias))


def choose(
    targets: npt.NDArray[Any], logits: npt.NDArray[Any], group: npt.NDArray[Any], kinds: Collection[Kind]
) -> Calibration:
    """The simplest of `kinds` whose cross-validated Brier score is within one standard error of the best.

    targets: known soft cells [n] in [0, 1]; logits, group: [n]. Whole groups are held out, five times, and
    the standard error of a difference is over groups (Breiman et al. 1984, 3.4.3: the 1 SE rule).
    """
    y, z = np.asarray(targets, dtype=np.float64), np.asarray(logits, dtype=np.float64)
    in_order = [kind for kind in get_args(Kind) if kind in kinds]
    _, member = np.unique(group, return_inverse=True)
    fold = _folds(y, member)
    error = {kind: np.empty(len(y)) for kind in in_order}
    for held_out in (fold == k for k in range(FOLDS)):
        for kind in in_order:
            fitted = fit(kind, y[~held_out], z[~held_out])
            error[kind][held_out] = (fitted(z[held_out]) - y[held_out]) ** 2
    best = min(in_order, key=lambda kind: float(error[kind].sum()))  # the simplest of equals
    chosen = next(kind for kind in in_order if _no_worse(error[kind] - error[best], member))
    return fit(chosen, y, z)


def fit(kind: Kind, targets: npt.NDArray[Any], logits: npt.NDArray[Any]) -> Calibration:
    """One kind, fitted to soft targets [n] and logits [n]. The identity where there is no positive or no
    negative, or the logits rank backwards."""
    y, z = np.asarray(targets, dtype=np.float64), np.asarray(logits, dtype=np.float64)
    if kind == "identity" or not ((y > 0.5).any() and (y < 0.5).any()):
        return Calibration()
    if kind == "isotonic":
        knots = _knots(y, z)
        return Calibration(kind, knots=knots) if len(knots) > 1 else Calibration()
    design = z[:, None] if kind == "temperature" else np.column_stack([z, np.ones_like(z)])
    scale, bias = (*_likeliest(design, y), 0.0)[:2]
    return Calibration(kind, scale, bias) if scale > 0 else Calibration()


def _folds(y: Floats, member: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
    """The fold of each row [n]: groups are dealt in turn, shuffled, but those with the most positives first.

    A function of what the groups are called, not of the order of rows.
    """
    positives = np.bincount(member, y > 0.5)
    dealt = np.lexsort((np.random.default_rng(0).permutation(len(positives)), -positives))
    fold = np.empty(len(dealt), dtype=np.intp)
    fold[dealt] = np.arange(len(dealt)) % FOLDS
    return fold[member]


def _no_worse(excess: Floats, member: npt.NDArray[np.intp]) -> bool:
    """Is the mean of the differences [n] within one standard error of 0, groups being the units?"""
    sums, sizes = np.bincount(member, excess), np.bincount(member)
    mean, groups = excess.sum() / max(1, len(excess)), len(sums)
    spread = ((sums - sizes * mean) ** 2).sum() * groups / max(1, groups - 1)
    return bool(mean * len(excess) <= math.sqrt(spread))


def _likeliest(design: Floats, y: Floats) -> tuple[float, ...]:
    """The coefficients of design [n, 1 or 2], scale before bias, that maximise the likelihood of y [n].

    Platt (1999) by damped Newton steps (Lin, Lin & Weng 2007). Instead of Platt's smoothed targets, which
    would pull every soft target, a weak prior (normal, PRIOR_SD around scale 1 and bias 0) keeps separable
    data finite.
    """
    width = design.shape[1]
    identity, precision = np.array([1.0, 0.0])[:width], 1 / PRIOR_SD**2

    def loss(at: Floats) -> float:
        linear = design @ at
        prior = precision * float(((at - identity) ** 2).sum()) / 2
        return float((np.logaddexp(0, linear) - y * linear).sum()) + prior

    at, value = identity, loss(identity)
    for _ in range(100):
        p = expit(design @ at)
        gradient = design.T @ (p - y) + precision * (at - identity)
        hessian = (design * (p * (1 - p))[:, None]).T @ design + precision * np.eye(width)
        step = np.linalg.solve(hessian, gradient)
        decrease, fraction = float(gradient @ step), 1.0
        if decrease < 1e-12 * (1 + value):
            break
        while (after := loss(at - fraction * step)) > value - 1e-4 * fraction * decrease and fraction > 1e-9:
            fraction /= 2
        if after >= value:
            break
        at, value = at - fraction * step, after
    return tuple(map(float, at))


def _knots(y: Floats, z: Floats) -> Knots:
    """Isotonic regression (Zadrozny & Elkan 2002) as the middles of its steps: (mean logit, value) of each.

    Lines between the middles keep texts apart that steps would tie; beyond the outer ones p is level.
    """
    distinct, tie, rows = np.unique(z, return_inverse=True, return_counts=True)
    fitted = isotonic_regression(np.bincount(tie, y) / rows, weights=rows).x
    value, step = np.unique(np.clip(fitted, 0, 1), return_inverse=True)
    middle = np.bincount(step, rows * distinct) / np.bincount(step, rows)
    return tuple(zip(middle.tolist(), value.tolist(), strict=True))
