"""How far people agree beyond chance: Krippendorff's alpha with its interval, Cohen's and Fleiss' kappa.

Krippendorff (2011), "Computing Krippendorff's Alpha-Reliability": alpha = 1 - Do / De, observed over expected
disagreement, of any number of votes an item, some missing, whoever gave them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np

from train.evaluation.metrics import ENOUGH

Level = Literal["nominal", "ordinal", "interval"]
RESAMPLES = 1000
BLOCK = 64
"""Resamples computed at once: bounds the memory."""


@dataclass(frozen=True)
class Alpha:
    """value: None where it is not defined: fewer than two items with two votes, or all votes alike. low,
    high: 95% interval over resampled groups; None below ENOUGH groups of items. items, votes: those that
    count."""

    value: float | None
    low: float | None
    high: float | None
    items: int
    votes: int


def alpha(
    items: Sequence[str] | np.ndarray,
    values: np.ndarray,
    groups: Sequence[str] | np.ndarray | None = None,
    level: Level = "nominal",
    seed: int = 1,
) -> Alpha:
    """Of n votes. items: str [n], what each vote is on; values: float [n]; groups: str [n], items that are
    resampled together (a conversation's turns, say), default: each item by itself."""
    groups = items if groups is None else groups
    known = ~np.isnan(values)
    names, unit = np.unique(np.asarray(items)[known], return_inverse=True)
    scale, value = np.unique(values[known], return_inverse=True)
    counts = np.zeros((len(names), len(scale)), dtype=np.int64)
    np.add.at(counts, (unit, value), 1)
    of_item = np.full(len(names), "", dtype=object)
    of_item[unit] = np.asarray(groups, dtype=object)[known]
    paired = counts.sum(axis=1) > 1
    counts, of_item = counts[paired], of_item[paired]
    _, group = np.unique(of_item.astype(str), return_inverse=True)
    each = coincidences(counts)
    k = int(group.max(initial=-1)) + 1
    by_group = np.zeros((k, *each.shape[1:]))
    np.add.at(by_group, group, each)
    found = _alpha(by_group.sum(axis=0)[None], scale, level)[0]
    low = high = None
    if k >= ENOUGH and not np.isnan(found):
        drawn = _resampled(by_group, scale, level, seed)
        low, high = (float(q) for q in np.nanquantile(drawn, [0.025, 0.975]))
    return Alpha(None if np.isnan(found) else float(found), low, high, len(counts), int(counts.sum()))


def coincidences(counts: np.ndarray) -> np.ndarray:
    """Each item's part of the coincidence matrix, float64 [n, V, V]: pairs of its votes, weighted so that an
    item of m votes counts m. counts: int [n, V], votes of each value."""
    m = counts.sum(axis=1)
    pairs = counts[:, :, None] * counts[:, None, :] - counts[:, :, None] * np.eye(counts.shape[1])
    return pairs / np.maximum(m - 1, 1)[:, None, None]


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


def _resampled(by_group: np.ndarray, scale: np.ndarray, level: Level, seed: int) -> np.ndarray:
    draw = np.random.default_rng(seed)
    k, found = len(by_group), []
    flat = by_group.reshape(k, -1)
    for _ in range(0, RESAMPLES, BLOCK):
        weight = draw.multinomial(k, np.full(k, 1 / k), size=BLOCK)
        found.append(_alpha((weight @ flat).reshape(BLOCK, *by_group.shape[1:]), scale, level))
    return np.concatenate(found)


def fleiss(counts: np.ndarray) -> float | None:
    """Fleiss' kappa of items that the same number of people voted on. counts: int [n, V]. None where that
    number differs or is below 2, or all votes are alike."""
    m = counts.sum(axis=1)
    if not len(m) or m.min() != m.max() or m[0] < 2:
        return None
    agreed = (counts * (counts - 1)).sum(axis=1) / (m * (m - 1))
    share = counts.sum(axis=0) / counts.sum()
    chance = float((share**2).sum())
    return None if chance == 1 else float((agreed.mean() - chance) / (1 - chance))


def cohen(
    items: np.ndarray, annotators: np.ndarray, values: np.ndarray
) -> Mapping[tuple[str, str], tuple[float | None, int]]:
    """Cohen's kappa of each two people with ENOUGH items in common: (kappa, those items). kappa is None where
    both gave one value alone. items, annotators: str [n]; values: float [n]."""
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
