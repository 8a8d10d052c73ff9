"""Two models' flags of the same texts: which texts they disagree on goes in, tests and intervals come out.

All of it takes texts as independent, and is right for rare events, where resamples of groups run narrow.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from scipy.optimize import brentq
from scipy.special import bdtr, ndtri

FEW = 25
"""Below so many discordant texts McNemar's test is the exact binomial one, from there on mid-p."""


def mcnemar(only_a: int, only_b: int) -> float:
    """Two-sided p-value of equal rates from the texts that only one model flags (McNemar 1947).

    The exact binomial test where they are few; else its mid-p, which keeps the level and gives away less
    (Fagerland, Lydersen & Laake 2013).
    """
    discordant, fewer = only_a + only_b, min(only_a, only_b)
    at_most = float(bdtr(fewer, discordant, 0.5)) if discordant else 1.0
    if discordant < FEW:
        return min(1.0, 2 * at_most)
    return at_most + (float(bdtr(fewer - 1, discordant, 0.5)) if fewer else 0.0)


def paired_interval(only_a: int, only_b: int, n: int, level: float) -> tuple[float, float]:
    """Score interval of rate B - rate A over n texts, two-sided (Tango 1998, Statistics in Medicine 17:891).

    Where the models agree on all n it is z^2 / (n + z^2) to either side of 0, never nothing.
    """
    z = float(ndtri((1 + level) / 2))
    seen = (only_b - only_a) / n

    def distance(rate: float) -> float:
        """The score statistic of a difference `rate`: falls from +inf to -inf as `rate` grows."""
        a = 2 * n
        b = -only_b - only_a + (2 * n - only_b + only_a) * rate
        c = -only_a * rate * (1 - rate)
        only = (math.sqrt(max(0.0, b * b - 4 * a * c)) - b) / (2 * a)  # likeliest share of `only_a`
        variance = n * (2 * only + rate * (1 - rate))
        gap = only_b - only_a - n * rate
        return gap / math.sqrt(variance) if gap else 0.0

    edge = 1e-9
    low = -1.0 if seen == -1 else brentq(lambda rate: distance(rate) - z, edge - 1, seen)
    high = 1.0 if seen == 1 else brentq(lambda rate: distance(rate) + z, seen, 1 - edge)
    return float(low), float(high)


def holm(p: Sequence[float]) -> list[float]:
    """p-values of one family, adjusted so that none of its true hypotheses falls with more than the level
    asked of each (Holm 1979), in the order they came."""
    order = sorted(range(len(p)), key=lambda i: p[i])
    adjusted, largest = [0.0] * len(p), 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(p) - rank) * p[i]))
        adjusted[i] = largest
    return adjusted
