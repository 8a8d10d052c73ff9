"""How far people agree beyond chance: Krippendorff's alpha with its interval, Cohen's and Fleiss' kappa.

Krippendorff (2011), "Computing Krippendorff's Alpha-Reliability": alpha = 1 - Do / De, observed over expected
disagreement, of any number of votes an item, some missing, whoever gave them. Of two values all levels
are one; an unsure vote of 0.5 is to `nominal` as far from yes as no is, to `interval` half as far.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np

from train.curation.people.aggregate import Level
from train.evaluation.intervals import ENOUGH_GROUPS, group_counts
from train.evaluation.metrics import ENOUGH

Names = Sequence[str] | np.ndarray
RESAMPLES = 1000
_TAILS = (0.025, 0.975)


@dataclass(frozen=True)
class Alpha:
    """value: None where it is not defined: no item has two votes, or all votes are alike. low, high: 95%
    interval over resampled groups; None below ENOUGH_GROUPS of them, or where it is insufficient. items,
    votes: those that count, of items with two votes or more. sufficient: at least ENOUGH items, votes above
    one half, and votes below."""

    value: float | None
    low: float | None
    high: float | None
    items: int
    votes: int
    sufficient: bool


def alpha(
    items: Names, values: np.ndarray, groups: Names | None = None, level: Level = "interval", seed: int = 0
) -> Alpha:
    """Of n votes. items: str [n], what each vote is on; values: float [n], NaN: none; groups: str [n], items
    that are resampled together (a conversation's turns, say), default: each item by itself."""
    known = ~np.isnan(values)
    item, value = np.asarray(items)[known], values[known]
    group = item if groups is None else np.asarray(groups)[known]
    first, scale, counts = tally(item, value)
    paired = counts.sum(axis=1) > 1
    counts = counts[paired]
    _, group = np.unique(group[first[paired]].astype(str), return_inverse=True)
    by_group = np.zeros((int(group.max(initial=-1)) + 1, len(scale), len(scale)))
    np.add.at(by_group, group, coincidences(counts))
    found = float(_alpha(by_group.sum(axis=0)[None], scale, level)[0])
    cast = counts.sum(axis=0)
    sides = int(cast[scale > 0.5].sum()), int(cast[scale < 0.5].sum())
    sufficient = min(len(counts), *sides) >= ENOUGH
    low = high = None
    if sufficient and len(by_group) >= ENOUGH_GROUPS and not np.isnan(found):
        low, high = _interval(by_group, group, scale, level, seed)
    return Alpha(None if np.isnan(found) else found, low, high, len(counts), int(cast.sum()), sufficient)


def tally(items: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(the place of each item's first vote, int [k]; the values there are, rising, float [V]; votes of each
    value on each item, int [k, V]), of n known votes."""
    names, first, unit = np.unique(items.astype(str), return_index=True, return_inverse=True)
    scale, value = np.unique(values, return_inverse=True)
    counts = np.zeros((len(names), len(scale)), dtype=np.int64)
    np.add.at(counts, (unit, value), 1)
    return first, scale, counts


def coincidences(counts: np.ndarray) -> np.ndarray:
    """Each item's part of the coincidence matrix, float64 [n, V, V]: pairs of its votes, weighted so that an
    item of m votes counts m. counts: int [n, V], votes of each value."""
    m = counts.sum(axis=1)
    pairs = counts[:, :, None] * counts[:, None, :] - counts[:, :, None] * np.eye(counts.shape[1])
    return np.asarray(pairs / np.maximum(m - 1, 1)[:, None, None])


def _alpha(matrix: np.ndarray, scale: np.ndarray, level: Level) -> np.ndarray:
    """Of coincidence matrices [r, V, V]: float64 [r], NaN where nothing was expected to differ."""
    of_value = matrix.sum(axis=2)
    n = of_value.sum(axis=1)
    delta = _distance(of_value, scale, level)
    observed = (matrix * delta).sum(axis=(1, 2))
    expected = (of_value[:, :, None] * of_value[:, None, :] * delta).sum(axis=(1, 2))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(expected > 0, 1 - (n - 1) * observed / expected, np.nan)


def _distance(of_value: np.ndarray, scale: np.ndarray, level: Level) -> np.ndarray:
    """Squared differences of values, [r, V, V] or [1, V, V]. of_value: how often each occurs, [r, V]."""
    if level == "nominal":
        return 1 - np.eye(len(scale))[None]
    if level == "interval":
        return np.asarray((scale[:, None] - scale[None, :]) ** 2)[None]
    below = np.cumsum(of_value, axis=1) - of_value / 2  # ranks: what lies between, and half of both ends
    return np.asarray((below[:, :, None] - below[:, None, :]) ** 2)


def _interval(
    by_group: np.ndarray, group: np.ndarray, scale: np.ndarray, level: Level, seed: int
) -> tuple[float, float] | tuple[None, None]:
    """Whole groups are drawn again. by_group: their coincidence matrices [G, V, V]; group: [items], each
    item's number. None where no resample differs from another, which says nothing of how sure it is."""
    flat, values = by_group.reshape(len(by_group), -1), len(scale)
    drawn = np.concatenate(
        [
            _alpha((counts @ flat).reshape(-1, values, values), scale, level)
            for counts in group_counts(group, RESAMPLES, seed)
        ]
    )
    low, high = np.nanquantile(drawn, _TAILS).tolist()
    return (low, high) if low < high else (None, None)


class Fleiss(NamedTuple):
    """kappa: None where all votes are alike; of `items` with just `people` votes each."""

    kappa: float | None
    items: int
    people: int


def fleiss(items: Names, values: np.ndarray) -> Fleiss | None:
    """Fleiss' (1971) kappa of the items with the most frequent number of votes from 2 on: it is defined for
    one number alone. None where fewer than ENOUGH items have it."""
    known = ~np.isnan(values)
    _, _, counts = tally(np.asarray(items)[known], values[known])
    number = counts.sum(axis=1)
    often = np.bincount(number[number > 1])
    if not len(often) or often.max() < ENOUGH:
        return None
    m = int(often.argmax())
    counts = counts[number == m]
    agreed = float((counts * (counts - 1)).sum(axis=1).mean()) / (m * (m - 1))
    chance = float(((counts.sum(axis=0) / counts.sum()) ** 2).sum())
    return Fleiss(None if chance == 1 else (agreed - chance) / (1 - chance), len(counts), m)


def cohen(
    items: Names, annotators: np.ndarray, values: np.ndarray
) -> Mapping[tuple[str, str], tuple[float | None, int]]:
    """Cohen's (1960) kappa of each two people with ENOUGH items in common: (kappa, those items). None
    where both gave one value alone. items, annotators: str [n], None: nobody known; values: float [n]."""
    from sklearn.metrics import cohen_kappa_score

    said: dict[str, dict[str, float]] = {}
    for item, who, value in zip(items, annotators, values, strict=True):
        if who is not None and not np.isnan(value):
            said.setdefault(who, {})[item] = value
    found = {}
    for a, b in combinations(sorted(said), 2):
        both = sorted(said[a].keys() & said[b].keys())
        if len(both) >= ENOUGH:
            one, other = ([str(said[who][item]) for item in both] for who in (a, b))
            alike = len({*one, *other}) == 1
            found[a, b] = (None if alike else float(cohen_kappa_score(one, other)), len(both))
    return found
