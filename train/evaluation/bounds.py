"""How sure a share is: exact one-sided bounds of counts, of texts that come in groups of like texts too.

n texts of which many are an author's or a template's tell less than n independent ones. They count as
n / effect, the effective sample size of Korn & Graubard (1998), in the bound of Clopper & Pearson (1934); the
design effect (Kish 1965) says how many times the variance of the share is that of independent texts.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import betaincinv

LEVEL = 0.95
_AROUND = (0.5, 1.0, 2.0)


def upper(errors: float, n: float, level: float = LEVEL) -> float:
    """One-sided upper bound of a rate with `errors` of `n` seen; counts may be effective ones, not whole."""
    return float(betaincinv(errors + 1, n - errors, level)) if errors < n else 1.0


def most_errors(n: int, limit: float, effect: float = 1.0) -> int:
    """The most errors of `n` whose upper bound is at most `limit`; -1 when even none is too many."""
    low, high = -1, n  # the bound keeps the limit at low (or low is -1) and breaks it at high
    while high - low > 1:
        middle = (low + high) // 2
        kept = upper(middle / effect, n / effect) <= limit
        low, high = (middle, high) if kept else (low, middle)
    return low


def fewest(limit: float, level: float = LEVEL) -> int:
    """The fewest independent texts that can show a rate of at most `limit`: as many, and no error in them."""
    return math.ceil(math.log1p(-level) / math.log1p(-limit))


def design_effect(badness: npt.NDArray[Any], group: npt.NDArray[Any], rate: float) -> float:
    """The design effect of the share of texts at or above a threshold that `rate` of them reach; at least 1.

    badness, group: [n]. Linearised variance of a ratio over groups against the binomial one, at the
    thresholds that half, once and twice `rate` reach: the largest counts, since one threshold with few
    texts above it says little, and too small an effect breaks promises. Exactly 1 where each text is its own
    group. Where no threshold tells texts apart it is that of groups that are all alike. A kind of group too
    rare to have been seen is in no estimate.
    """
    n = len(badness)
    _, member, size = np.unique(group, return_inverse=True, return_counts=True)
    if len(size) == n:
        return 1.0
    ranked = np.sort(badness)[::-1]
    effects = []
    for times in _AROUND:
        cut = ranked[min(max(round(n * rate * times), 1), n) - 1]
        above = np.bincount(member, badness >= cut)
        share = above.sum() / n
        if share < 1:
            effects.append(((above - size * share) ** 2).sum() / (n * share * (1 - share)))
    return float(max(1.0, *effects)) if effects else float((size**2).sum() / n)
