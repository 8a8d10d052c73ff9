"""How each annotator's votes stand to what all came to: counts, under a name that tells nobody who it is."""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

KEY = "TEENSAFE_ANNOTATOR_KEY"
"""Environment variable with the key of the names. Without one annotators are in nothing that leaves."""


def pseudonym(annotator: str, key: bytes) -> str:
    """The same for the same key; without the key nobody can tell whose it is, nor try a list of names."""
    return hmac.new(key, annotator.encode(), hashlib.sha256).hexdigest()[:12]


def confusions(
    annotators: Iterable[str | None], values: np.ndarray, cells: np.ndarray, key: bytes
) -> list[dict[str, Any]]:
    """Of each known annotator of n votes on a label: votes that say something, and how many said yes and no
    where the cell does. In the order of the pseudonyms.

    annotators: [n]; values, cells: float [n], each vote and its row's cell. One half, or NaN, is no side.
    """
    found: dict[str, Counter[str]] = {}
    for who, value, cell in zip(annotators, values, cells, strict=True):
        if who is None or np.isnan(value):
            continue
        counts = found.setdefault(pseudonym(who, key), Counter())
        counts["votes"] += 1
        if value != 0.5 and cell != 0.5 and not np.isnan(cell):
            counts[f"{_side(value)}_of_{_side(cell)}"] += 1
    names = ("votes", "yes_of_yes", "no_of_yes", "yes_of_no", "no_of_no")
    return [{"annotator": who, **{name: found[who][name] for name in names}} for who in sorted(found)]


def _side(value: float) -> str:
    return "yes" if value > 0.5 else "no"
