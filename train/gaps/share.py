"""A share of texts that come in groups: how sure it is, and how unlikely under a target.

Interval and p-value are one construction, the exact binomial one (Clopper & Pearson 1934) on the number of
independent texts that the grouped ones are worth (Korn & Graubard 1998), so that neither speaks against the
other. A percentile bootstrap of 1,000 draws, which the report's intervals are, cannot tell p-values below
.001, and that is where the decision falls when hundreds of slices are looked at.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import betainc, betaincinv, ndtr, stdtrit

LEVEL = 0.95
SURE = 1.645
"""The same, one-sided, in standard errors of a normal distribution."""


@dataclass(frozen=True)
class Share:
    """value: hits of n texts in so many groups; worth: how many independent texts tell as much, at most n."""

    value: float
    n: int
    groups: int
    worth: float

    def interval(self) -> tuple[float, float]:
        """The two-sided 95% interval."""
        tail = (1 - LEVEL) / 2
        return self._low(tail), self._high(tail)

    def low(self) -> float:
        """The true share is above this with 95% confidence."""
        return self._low(1 - LEVEL)

    def high(self) -> float:
        """The true share is below this with 95% confidence."""
        return self._high(1 - LEVEL)

    def above(self, target: float) -> float:
        """Chance of a share as high as this where the true one is `target`: below .05 where low > target."""
        hits = self.value * self.worth
        return float(betainc(hits, self.worth - hits + 1, target)) if hits > 0 else 1.0

    def below(self, target: float) -> float:
        """Chance of a share as low as this where the true one is `target`: below .05 where high < target."""
        misses = (1 - self.value) * self.worth
        return float(betainc(misses, self.worth - misses + 1, 1 - target)) if misses > 0 else 1.0

    def _low(self, tail: float) -> float:
        hits = self.value * self.worth
        return float(betaincinv(hits, self.worth - hits + 1, tail)) if hits > 0 else 0.0

    def _high(self, tail: float) -> float:
        misses = (1 - self.value) * self.worth
        return 1 - float(betaincinv(misses, self.worth - misses + 1, tail)) if misses > 0 else 1.0


def share(hit: npt.NDArray[np.bool_], group: npt.NDArray[np.integer[Any]]) -> Share:
    """Of hits [n >= 1] and the number of each one's group, from 0. Texts that agree within their groups are
    worth fewer.

    The design effect is the variance of the share over whole groups by the binomial one, taken to be at least
    1; the variance itself has groups - 1 degrees of freedom (Korn & Graubard's factor of t quantiles). Where
    all are hits or none is, agreement within groups cannot be seen, and the texts are worth their groups.
    """
    n, value = len(hit), float(hit.mean())
    groups = int(np.count_nonzero(np.bincount(group)))
    if value in (0.0, 1.0) or groups < 2:
        return Share(value, n, groups, float(groups))
    excess = np.bincount(group, hit - value)
    variance = groups / (groups - 1) * float(excess @ excess) / n**2
    effect = max(1.0, variance / (value * (1 - value) / (n - 1)))
    tail = (1 - LEVEL) / 2
    freedom = (stdtrit(n - 1, tail) / stdtrit(groups - 1, tail)) ** 2
    return Share(value, n, groups, float(n / effect * min(1.0, freedom)))


def ratio_below(part: Share, rest: Share, ratio: float) -> float:
    """Chance of a part so far below `ratio` times the rest, where the true shares stand in that ratio.

    The score test of Miettinen & Nurminen (1985), which holds where a share is 0, too.
    """
    n1, n2 = part.worth, rest.worth
    x1, x2 = part.value * n1, rest.value * n2
    if x1 + x2 == 0:
        return 1.0
    a, b, c = (n1 + n2) * ratio, -(n1 * ratio + x1 + n2 + x2 * ratio), x1 + x2
    expected = (-b - math.sqrt(max(0.0, b * b - 4 * a * c))) / (2 * a)  # of the rest, under the ratio
    of_part = min(1.0, ratio * expected)
    variance = of_part * (1 - of_part) / n1 + ratio**2 * expected * (1 - expected) / n2
    if variance <= 0:
        return 1.0
    return float(ndtr((part.value - ratio * rest.value) / math.sqrt(variance)))


def discoveries(p: npt.NDArray[np.float64], rate: float = 1 - LEVEL) -> npt.NDArray[np.bool_]:
    """Which of the p-values [n] are discoveries at this false discovery rate (Benjamini & Hochberg 1995).

    The rate holds for independent tests and for positively dependent ones, as overlapping slices are
    (Benjamini & Yekutieli 2001).
    """
    order = np.argsort(p, kind="stable")
    under = np.flatnonzero(p[order] <= rate * np.arange(1, len(p) + 1) / max(1, len(p)))
    found = np.zeros(len(p), dtype=bool)
    found[order[: under[-1] + 1 if len(under) else 0]] = True
    return found
