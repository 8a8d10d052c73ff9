"""From calibration logits to decisions: each label's probability and threshold, fitted under the policy.

Promised: on new texts drawn like the calibration texts, independently of one another, a feasible point keeps
its constraint in at least 95 of 100 fits. The reason is in `choose_threshold`; a simulation in the tests
watches it. Not promised: anything when the mix of texts shifts, a joint guarantee over several labels, or the
full 95 when texts come in groups that resemble each other (an author's posts): rows count as independent, so
with groups the bounds are too optimistic.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter, ValidationError
from scipy.special import betaincinv, expit

from train.errors import Failure, Problem
from train.evaluation.metrics import Bools, Floats, decided
from train.files import write_json
from train.policy import Constraint

LEVEL = 0.95
PRIOR_SD = 10.0
"""Spread of the normal priors on the Platt scale (around 1) and bias (around 0)."""
_MARGIN = 1e-6  # of probability; more than a score changes on its way through float32 and JSON


@dataclass(frozen=True)
class OperatingPoint:
    """p = sigmoid(scale * logit + bias); the text is flagged when p >= threshold.

    n: known calibration cells, ties at .5 included; positives: those above .5. bound: the one-sided 95%
    bound that the chosen threshold reaches, an upper one of the false positive rate or a lower one of the
    recall; None where no text of that kind was known. feasible: the bound keeps the constraint.
    """

    scale: float
    bias: float
    threshold: float
    constraint: str
    n: int
    positives: int
    feasible: bool
    bound: float | None = None

    def __post_init__(self) -> None:
        if not (self.scale > 0 and all(map(math.isfinite, (self.scale, self.bias, self.threshold)))):
            raise ValueError("scale must be positive; scale, bias and threshold finite")


@dataclass(frozen=True)
class Threshold:
    value: float
    feasible: bool
    bound: float | None


def fit(
    constraints: Mapping[str, Constraint],
    targets: npt.NDArray[Any],
    logits: npt.NDArray[Any],
    labels: Sequence[str],
) -> dict[str, OperatingPoint]:
    """One point a label. targets [n, L] in [0, 1], NaN unknown; logits [n, L] raw. `constraints` holds every
    label. Raises Failure when a known cell's logit is not finite."""
    points = {}
    for j, label in enumerate(labels):
        known = np.isfinite(targets[:, j])
        target, logit = targets[known, j].astype(np.float64), logits[known, j].astype(np.float64)
        if not np.isfinite(logit).all():
            raise Failure(
                Problem(
                    f"calibration logits of {label}",
                    f"{int((~np.isfinite(logit)).sum())} of {len(logit)} are not finite",
                    "finite numbers",
                    "the model diverged: lower the learning rate, or take an earlier checkpoint",
                )
            )
        scale, bias = fit_platt(target, logit)
        cells = decided(target)
        positive = target[cells] > 0.5
        chosen = choose_threshold(constraints[label], positive, expit(scale * logit[cells] + bias))
        points[label] = OperatingPoint(
            scale=scale,
            bias=bias,
            threshold=chosen.value,
            constraint=str(constraints[label]),
            n=len(target),
            positives=int(positive.sum()),
            feasible=chosen.feasible,
            bound=chosen.bound,
        )
    return points


def apply(
    points: Mapping[str, OperatingPoint], logits: npt.NDArray[Any], labels: Sequence[str]
) -> tuple[Floats, Bools]:
    """(calibrated probabilities float64 [n, L], flags bool [n, L]) of raw logits [n, L]."""
    scale, bias, threshold = (
        np.array([getattr(points[label], field) for label in labels], dtype=np.float64)
        for field in ("scale", "bias", "threshold")
    )
    probabilities: Floats = expit(logits.astype(np.float64) * scale + bias)
    return probabilities, probabilities >= threshold


def fit_platt(targets: npt.NDArray[Any], logits: npt.NDArray[Any]) -> tuple[float, float]:
    """(scale, bias) that maximise the likelihood of known soft targets [n] given logits [n].

    Platt (1999) by damped Newton steps (Lin, Lin & Weng 2007). Instead of Platt's smoothed targets, which
    would pull every soft target, a weak prior (normal, PRIOR_SD around scale 1 and bias 0) keeps separable
    data finite. No positive, no negative, or a scale that is not above 0: identity, (1, 0).
    """
    y, z = np.asarray(targets, dtype=np.float64), np.asarray(logits, dtype=np.float64)
    if not ((y > 0.5).any() and (y < 0.5).any()):
        return 1.0, 0.0
    identity, precision = np.array([1.0, 0.0]), 1 / PRIOR_SD**2
    design = np.column_stack([z, np.ones_like(z)])

    def loss(at: Floats) -> float:
        linear = design @ at
        prior = precision * float(((at - identity) ** 2).sum()) / 2
        return float((np.logaddexp(0, linear) - y * linear).sum()) + prior

    at, value = identity, loss(identity)
    for _ in range(100):
        p = expit(design @ at)
        gradient = design.T @ (p - y) + precision * (at - identity)
        hessian = (design * (p * (1 - p))[:, None]).T @ design + precision * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        decrease, fraction = float(gradient @ step), 1.0
        if decrease < 1e-12 * (1 + value):
            break
        while (after := loss(at - fraction * step)) > value - 1e-4 * fraction * decrease and fraction > 1e-9:
            fraction /= 2
        if after >= value:
            break
        at, value = at - fraction * step, after
    scale, bias = float(at[0]), float(at[1])
    return (scale, bias) if scale > 0 else (1.0, 0.0)


def choose_threshold(constraint: Constraint, positive: Bools, p: Floats) -> Threshold:
    """The least costly threshold whose one-sided 95% Clopper-Pearson bound keeps the constraint.

    positive: bool [n], decided cells; p: their calibrated probabilities [n]. max_fpr: the lowest such
    threshold; min_recall: the highest. Equal scores move as one, and the threshold lies between two scores,
    so rounding moves no flag. Infeasible (the data are too few for any bound): the most cautious point they
    support, just above the highest negative or just at the lowest positive; without one, 0.5.
    """
    # Looking at every threshold costs nothing here. The bound is monotone in the number of errors, so the
    # search amounts to "allow c errors", c a function of n alone, and the threshold is the order statistic
    # after the c-th error: its true rate is Beta(c + 1, n - c) for any continuous score, and exceeds the
    # constraint with probability P(Binomial(n, limit) <= c) <= 5% by the choice of c.
    distinct = np.unique(p)
    if constraint.max_fpr is not None:
        negatives = np.sort(p[~positive])
        n = len(negatives)
        if n == 0:
            return Threshold(0.5, False, None)
        wrong = n - np.searchsorted(negatives, distinct)  # negatives at or above each distinct score
        most = _most_errors(n, constraint.max_fpr)
        first = int(np.argmax(wrong <= max(most, 0))) if wrong[-1] <= max(most, 0) else len(distinct)
        errors = int(wrong[first]) if first < len(distinct) else 0
        return Threshold(_below(distinct, first), most >= 0, _upper(errors, n))
    assert constraint.min_recall is not None
    positives = np.sort(p[positive])
    n = len(positives)
    if n == 0:
        return Threshold(0.5, False, None)
    missed = np.searchsorted(positives, distinct)  # positives below each distinct score
    most = _most_errors(n, 1 - constraint.min_recall)
    last = int(np.flatnonzero(missed <= max(most, 0))[-1])
    return Threshold(_below(distinct, last), most >= 0, 1 - _upper(int(missed[last]), n))


def write(path: Path, points: Mapping[str, OperatingPoint]) -> None:
    write_json(path, {label: asdict(point) for label, point in points.items()})


def read(path: Path) -> dict[str, OperatingPoint]:
    """Raises Failure for a file that is missing or damaged."""
    try:
        return _POINTS.validate_json(path.read_bytes(), strict=True)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        what = f"{'.'.join(map(str, first['loc'])) or 'file'}: {first['msg']}"
        raise Failure(_damaged(path, what)) from error
    except OSError as error:
        raise Failure(_damaged(path, error.strerror or "unreadable")) from error


_POINTS = TypeAdapter(dict[str, OperatingPoint])


def _damaged(path: Path, what: str) -> Problem:
    return Problem(
        str(path),
        what,
        "{label: {scale, bias, threshold, constraint, n, positives, feasible, bound}}",
        "take an undamaged checkpoint, or fit again",
    )


def _upper(errors: int, n: int) -> float:
    """One-sided 95% upper Clopper-Pearson bound of a rate with `errors` of `n` seen."""
    return float(betaincinv(errors + 1, n - errors, LEVEL)) if errors < n else 1.0


def _most_errors(n: int, limit: float) -> int:
    """The most errors of `n` whose upper bound is at most `limit`; -1 when even none is too many."""
    low, high = -1, n  # the bound keeps the limit at low (or low is -1) and breaks it at high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _upper(middle, n) <= limit else (low, middle)
    return low


def _below(distinct: Floats, k: int) -> float:
    """A threshold that flags the distinct scores (ascending) from position `k` on, and no lower one."""
    if k == len(distinct):
        highest = float(distinct[-1])
        above = highest + _MARGIN * (1 - highest)
        return above if above > highest else math.nextafter(highest, math.inf)
    score = float(distinct[k])
    if k == 0:
        return score * (1 - _MARGIN)
    middle = (float(distinct[k - 1]) + score) / 2
    return middle if middle > distinct[k - 1] else score
