"""Flags of an exact scoring at about the price of a fast one: what the fast one leaves open is scored again.

Promised: a text gets the flags that the exact scoring gives it, unless its fast logits are off by more than
SAFETY times the most that any text scored both ways was off by: the first sample, and every text near a
threshold. That is measured, not proven, and anew for each call, on the very texts it is about. Not promised:
that the scores of the other texts are exact; they are the fast ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from train.data.order import shuffled

SAMPLE = 256
"""Texts scored both ways to begin with."""
FEWEST = 4 * SAMPLE
"""Texts below which a sample costs what the draft would spare."""
SAFETY = 3.0
"""On public texts the worst error of 4,096 was .4 and .9 of this times a sample's, for two models."""

Scoring = Callable[[Sequence[str]], np.ndarray]


def drafted(
    fast: Scoring, exact: Scoring, flags: Callable[[np.ndarray], np.ndarray], texts: Sequence[str]
) -> np.ndarray:
    """Logits [n, L] whose flags are those of `exact`'s logits.

    flags: logits -> bool [n, L]; a label's flag is a function of its logit that changes once, as calibration
    and threshold make it. So it is sure where it is the same at both ends of what the logit may be.
    """
    if len(texts) < FEWEST:
        return exact(texts)
    found = fast(texts)
    known = np.zeros(len(texts), dtype=bool)
    error, rows = 0.0, shuffled(len(texts), 0)[:SAMPLE]
    while len(rows):
        scored = exact([texts[row] for row in rows])
        error = max(error, float(np.abs(scored - found[rows]).max()))
        found[rows], known[rows] = scored, True
        low, high = found - SAFETY * error, found + SAFETY * error
        rows = np.flatnonzero((flags(low) != flags(high)).any(axis=1) & ~known)
    return found
