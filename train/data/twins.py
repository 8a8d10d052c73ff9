"""Equal texts made one example: whatever any of the rows knows, the example knows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Twins:
    """n texts of m rows.

    of: the text of each row, int64 [m]; first: the first row of each text, int64 [n], ascending; targets:
    float32 [n, L]; contradictions: int64 [L], texts that one row calls positive and another negative.
    """

    of: np.ndarray
    first: np.ndarray
    targets: np.ndarray
    contradictions: np.ndarray


def unite(twin: np.ndarray, cells: np.ndarray) -> Twins:
    """Rows with the same number in `twin` [m] become one; cells: float32 [m, L], NaN where unknown.

    A cell is the mean of the rows that know it: of two annotators who disagree, neither is silently right.
    """
    _, first, of = np.unique(twin, return_index=True, return_inverse=True)
    order = np.argsort(first, kind="stable")  # np.unique sorts by value; we keep the order of the rows
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    first, of = first[order], place[of]
    targets = cells[first]
    several = np.bincount(of) > 1
    rows = np.flatnonzero(several[of])
    contradictions = np.zeros(cells.shape[1], dtype=np.int64)
    if len(rows):
        n = len(first)
        for column in range(cells.shape[1]):
            value = cells[rows, column].astype(np.float64)
            known = ~np.isnan(value)
            count = np.bincount(of[rows][known], minlength=n)
            total = np.bincount(of[rows][known], weights=value[known], minlength=n)
            mean = np.divide(total, count, out=np.full(n, np.nan), where=count > 0)
            targets[several, column] = mean[several]
            above = np.bincount(of[rows][known & (value > 0.5)], minlength=n) > 0
            below = np.bincount(of[rows][known & (value < 0.5)], minlength=n) > 0
            contradictions[column] = int((above & below).sum())
    return Twins(of, first, targets, contradictions)
