"""From calibration logits to decisions: each label's probability and threshold, fitted under the policy.

Promised: on new texts drawn like the calibration texts, a feasible point keeps its constraint in at least 95
of 100 fits: exactly for independent texts, and as far as an estimated design effect (`bounds`) is right for
texts in groups that resemble each other, such as an author's. The reason stands at `_within_fpr`, and
scripts/simulate_points.py watches it. Not promised: anything when the mix of texts shifts, a joint guarantee
over several labels, or that a kind of group too rare to be among the calibration texts does no harm.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter, ValidationError

from train.errors import Failure, InputError, Problem
from train.evaluation.bounds import LEVEL, design_effect, fewest, most_errors, upper
from train.evaluation.calibration import FOLDABLE, Calibration, Kind, Knots, choose, foldable
from train.evaluation.metrics import Bools, Floats, decided, precision_at
from train.files import write_json
from train.policy import Constraint

_MARGIN = 1e-6  # of probability; more than a score changes on its way through float32 and JSON
_FALSE_LEVEL, _RECALL_LEVEL = 0.96, 0.99  # of the two bounds that make one of 95%; false positives are rarer
_START = 0.1  # of the false positives that a perfect recall would allow


@dataclass(frozen=True)
class OperatingPoint:
    """p = sigmoid(scale * logit + bias), or the line through `knots`; flagged when p >= threshold.

    n: known calibration cells, ties at .5 included; positives: those above .5. bound: the one-sided 95%
    bound that the chosen threshold reaches, an upper one of the false positive rate or a lower one of recall
    or precision; None where no text of a kind was known. feasible: the bound keeps the constraint; shortfall
    says what that would take where it does not. calibration: see `Calibration`; files of earlier runs, which
    do not name it, hold Platt's.
    """

    scale: float
    bias: float
    threshold: float
    constraint: str
    n: int
    positives: int
    feasible: bool
    bound: float | None = None
    shortfall: str = ""
    calibration: Kind = "platt"
    knots: Knots = ()

    def __post_init__(self) -> None:
        self._calibration()
        if not math.isfinite(self.threshold):
            raise ValueError("threshold must be finite")

    def probabilities(self, logits: npt.NDArray[Any]) -> Floats:
        """Calibrated, float64, of raw logits of any shape."""
        return self._calibration()(logits)

    def _calibration(self) -> Calibration:
        return Calibration(self.calibration, self.scale, self.bias, self.knots)


@dataclass(frozen=True)
class Threshold:
    value: float
    feasible: bool
    bound: float | None
    shortfall: str = ""


def fit(
    constraints: Mapping[str, Constraint],
    targets: npt.NDArray[Any],
    logits: npt.NDArray[Any],
    labels: Sequence[str],
    group: npt.NDArray[Any] | None = None,
    calibrations: Collection[Kind] = FOLDABLE,
) -> dict[str, OperatingPoint]:
    """One point a label. targets [n, L] in [0, 1], NaN unknown; logits [n, L] raw. `constraints` holds every
    label. group: of each text [n]; without it every text is its own. calibrations: those to choose from, such
    as `foldable` names. Raises Failure when a known cell's logit is not finite."""
    of = np.arange(len(targets)) if group is None else np.unique(group, return_inverse=True)[1]
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
        calibration = choose(target, logit, of[known], calibrations)
        cells = decided(target)
        positive = target[cells] > 0.5
        p = calibration(logit[cells])
        chosen = choose_threshold(constraints[label], positive, p, of[known][cells])
        points[label] = OperatingPoint(
            scale=calibration.scale,
            bias=calibration.bias,
            threshold=chosen.value,
            constraint=str(constraints[label]),
            n=len(target),
            positives=int(positive.sum()),
            feasible=chosen.feasible,
            bound=chosen.bound,
            shortfall=chosen.shortfall,
            calibration=calibration.kind,
            knots=calibration.knots,
        )
    return points


def apply(
    points: Mapping[str, OperatingPoint], logits: npt.NDArray[Any], labels: Sequence[str]
) -> tuple[Floats, Bools]:
    """(calibrated probabilities float64 [n, L], flags bool [n, L]) of raw logits [n, L]."""
    probabilities = np.empty(logits.shape, dtype=np.float64)
    for j, label in enumerate(labels):
        probabilities[:, j] = points[label].probabilities(logits[:, j])
    return probabilities, probabilities >= np.array([points[label].threshold for label in labels])


def folded(
    points: Mapping[str, OperatingPoint], labels: Sequence[str], head_has_bias: bool
) -> tuple[Floats, Floats]:
    """(scale [L], bias [L]) to fold into a head, whose own sigmoid then gives the calibrated probabilities.

    Raises InputError naming every label whose calibration the head cannot take in.
    """
    able = foldable(head_has_bias)
    problems = [
        Problem(
            f"operating point of {label}",
            f"its calibration is {points[label].calibration}",
            f"one that this head can take in: {', '.join(able)}",
            "fit the operating points again with those alone",
        )
        for label in labels
        if points[label].calibration not in able
    ]
    if problems:
        raise InputError(problems)
    return np.array([points[la].scale for la in labels]), np.array([points[la].bias for la in labels])


def choose_threshold(
    constraint: Constraint, positive: Bools, p: Floats, group: npt.NDArray[Any] | None = None
) -> Threshold:
    """The least costly threshold whose one-sided 95% bound keeps the constraint.

    positive: bool [n], decided cells; p: their calibrated probabilities [n]; group: [n], without it every
    text is its own. max_fpr: the lowest such threshold; min_recall: the highest; min_precision: the lowest
    that a walk reaches. Equal scores move as one, and the threshold lies between two scores, so rounding
    moves no flag. Infeasible (the data are too few for any bound): the most cautious point they support, just
    above the highest negative, just at the lowest positive, or where precision is surest; without one, 0.5.
    """
    group = np.arange(len(p)) if group is None else group
    if constraint.max_fpr is not None:
        return _within_fpr(constraint, positive, p, group)
    if constraint.min_recall is not None:
        return _reaching_recall(constraint, positive, p, group)
    return _reaching_precision(constraint, positive, p, group)


# Looking at every threshold costs nothing here. The bound is monotone in the number of errors, so the search
# amounts to "allow c errors", c a function of n (and the design effect) alone. The true rate is beyond the
# limit only if c errors or fewer are seen at the threshold where it equals the limit. The probability of it,
# P(Binomial(n, limit) <= c), is at most 5% by the choice of c, whichever threshold with so few errors it is.


def _within_fpr(constraint: Constraint, positive: Bools, p: Floats, group: npt.NDArray[Any]) -> Threshold:
    assert constraint.max_fpr is not None
    negatives, n = np.sort(p[~positive]), int((~positive).sum())
    if n == 0:
        return Threshold(0.5, False, None, _shortfall(constraint, constraint.max_fpr, 0, 1.0))
    effect = design_effect(p[~positive], group[~positive], constraint.max_fpr)
    most = most_errors(n, constraint.max_fpr, effect)
    distinct = np.unique(p)
    first = _first_allowing(max(most, 0), distinct, negatives)
    errors = n - int(np.searchsorted(negatives, distinct[first])) if first < len(distinct) else 0
    shortfall = "" if most >= 0 else _shortfall(constraint, constraint.max_fpr, n, effect)
    return Threshold(_below(distinct, first), most >= 0, upper(errors / effect, n / effect), shortfall)


def _reaching_recall(
    constraint: Constraint, positive: Bools, p: Floats, group: npt.NDArray[Any]
) -> Threshold:
    assert constraint.min_recall is not None
    limit = 1 - constraint.min_recall
    positives, n = np.sort(p[positive]), int(positive.sum())
    if n == 0:
        return Threshold(0.5, False, None, _shortfall(constraint, limit, 0, 1.0))
    effect = design_effect(-p[positive], group[positive], limit)
    most = most_errors(n, limit, effect)
    distinct = np.unique(p)
    missed = np.searchsorted(positives, distinct)  # positives below each distinct score
    last = int(np.flatnonzero(missed <= max(most, 0))[-1])
    bound = 1 - upper(int(missed[last]) / effect, n / effect)
    shortfall = "" if most >= 0 else _shortfall(constraint, limit, n, effect)
    return Threshold(_below(distinct, last), most >= 0, bound, shortfall)


def _reaching_precision(
    constraint: Constraint, positive: Bools, p: Floats, group: npt.NDArray[Any]
) -> Threshold:
    """The last threshold that a walk towards more false positives reaches before one is not sure.

    Sure is one whose upper bound of the false positive rate and lower bound of the recall keep the precision:
    positives are drawn independently of the negatives that set the threshold, and the two bounds may fail 5%
    together. A walk that begins where n alone says, and ends at its first failure, is wrong as rarely as
    one threshold is (fixed sequence testing: Angelopoulos et al. 2021). What flags nothing is passed over.
    """
    assert constraint.min_precision is not None and constraint.prevalence is not None
    odds = constraint.prevalence / (1 - constraint.prevalence)
    limit = odds * (1 - constraint.min_precision) / constraint.min_precision  # of FPR / recall, so of FPR
    negatives, n = np.sort(p[~positive]), int((~positive).sum())
    positives, m = np.sort(p[positive]), int(positive.sum())
    if m == 0:
        return Threshold(0.5, False, None, f"{constraint} cannot be shown without a positive")
    if n == 0:
        return Threshold(0.5, False, None, _shortfall(constraint, limit, 0, 1.0, _FALSE_LEVEL))
    effect = design_effect(p[~positive], group[~positive], limit)
    distinct = np.unique(p)
    sure, surest = None, (0.0, len(distinct))  # bound, position of the lowest score that is flagged
    count = int(n * limit * _START)
    while count <= n * limit:
        if (first := _first_allowing(count, distinct, negatives)) < len(distinct):
            missed = int(np.searchsorted(positives, distinct[first]))
            likeness = design_effect(-p[positive], group[positive], missed / m)
            fpr = upper(count / effect, n / effect, _FALSE_LEVEL)
            recall = 1 - upper(missed / likeness, m / likeness, _RECALL_LEVEL)
            bound = float(precision_at(constraint.prevalence, recall, fpr))
            surest = max(surest, (bound, first))
            if bound < constraint.min_precision:
                break
            sure = bound, first
        count = max(count + 1, round(1.1 * count))
    bound, first = sure or surest
    shortfall = "" if sure else _shortfall(constraint, limit, n, effect, _FALSE_LEVEL)
    return Threshold(_below(distinct, first), sure is not None, bound, shortfall)


def _first_allowing(errors: int, distinct: Floats, negatives: Floats) -> int:
    """Position of the lowest distinct score that at most `errors` negatives (ascending) reach; past the end
    where there is none."""
    within = len(negatives) - np.searchsorted(negatives, distinct) <= errors
    return int(np.argmax(within)) if within[-1] else len(distinct)


def _shortfall(constraint: Constraint, limit: float, n: int, effect: float, level: float = LEVEL) -> str:
    """What showing a rate of at most `limit` would take, and what there is: n texts of that design effect."""
    kind, spared = ("positive", "missed") if constraint.min_recall is not None else ("negative", "flagged")
    needed = fewest(limit, level)
    if n / effect >= needed:
        return f"{constraint} takes more positives, or a model that finds more of them and flags fewer others"
    said = f"{constraint} takes {needed} independent {kind}s, none of them {spared}; there are {n}"
    if effect > 1:
        said += f", so alike in their groups that they count as {n / effect:.0f}"
        said += f": {math.ceil(needed * effect - 1e-6)} like these would do"
    return said


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
        "{label: {scale, bias, threshold, constraint, n, positives, feasible, ...}}",
        "take an undamaged checkpoint, or fit again",
    )


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
