"""Which rows people should label next: a sample in which every row has a known chance, so that what they find
can be told of all rows, not only of those they saw.

A row's chance grows with how unsure a model is of its labels and how little its given labels fit; a part of
the sample is drawn at random, as an audit that nothing steers. Rows are drawn systematically with probability
proportional to size (Madow 1949), in the order of clusters of like texts: so the sample spreads over what
there is to say, and has exactly as many rows as asked for. What a labelled sample says of all rows is the sum
of value / chance (Horvitz & Thompson 1952).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from pydantic import Field, model_validator

from train.files import hashed
from train.spec import Seed, Spec

if TYPE_CHECKING:
    import pyarrow as pa

READS = ("id", "group", "normal", "split", "cluster", "label.", "slice.", "quality.")
MOST = 20_000
"""Rows that a model is fitted on, and rows that are scored, at most: drawn by (seed, id)."""
STRATA = 20


class Quota(Spec):
    where: dict[str, str] = Field(min_length=1)
    """Slice -> value, such as {lang: de}."""
    rows: int = Field(ge=1)


class Select(Spec):
    rows: int = Field(default=200, ge=1)
    """Texts in the queue."""
    unsure: float = Field(default=0.5, ge=0, le=1)
    """Share of the sample that goes by how unsure a model is."""
    misfit: float = Field(default=0.2, ge=0, le=1)
    """Share that goes by how badly given labels fit (see `audit`)."""
    random: float = Field(default=0.3, gt=0, le=1)
    """Share that goes by nothing: every row has a chance."""
    quotas: tuple[Quota, ...] = ()
    """Slices with rows of their own; the rest is drawn from all other rows."""
    send_escalated: bool = False
    """Whether texts that a tier-3 label holds for, or may hold for, go into the queue."""
    seed: Seed = 1

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if abs(self.unsure + self.misfit + self.random - 1) > 1e-9:
            raise ValueError("unsure, misfit and random add up to 1")
        if sum(quota.rows for quota in self.quotas) > self.rows:
            raise ValueError("quotas ask for more rows than there are in all")
        return self


def select(table: pa.Table, spec: Select, held: np.ndarray) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """(rows of the queue: row, id, chance, unsure, misfit, quota; what was found). held: bool [n], rows
    that may not be in it. The pool is training rows with an unknown cell or a label that fits badly, one
    of a cluster."""
    from train.curation.rows import LABEL, labels

    def column(name: str) -> np.ndarray:
        return np.asarray(table.column(name).to_numpy(zero_copy_only=False), dtype=object)

    names = labels(table)
    cells = np.column_stack([np.asarray(table.column(LABEL + name), dtype=np.float32) for name in names])
    order = np.array([hashed("select", spec.seed, id) for id in column("id")], dtype=np.uint64)
    misfit = _misfit(table, len(order))
    trained = column("split") == "train"
    pool = _one_a_cluster(
        np.flatnonzero(trained & ~held & (np.isnan(cells).any(axis=1) | (misfit > 0.5))),
        column("cluster"),
        order,
    )
    pool = pool[np.argsort(order[pool], kind="stable")][:MOST]
    unsure, stratum = _scored(column("normal"), cells, trained, pool, order)
    chosen: list[dict[str, Any]] = []
    free = np.ones(len(pool), dtype=bool)
    rest = spec.rows
    for quota in spec.quotas:
        inside = free.copy()
        for name, value in quota.where.items():
            inside &= (
                column(f"slice.{name}")[pool] == value if f"slice.{name}" in table.column_names else False
            )
        chosen += _drawn(pool, inside, quota.rows, unsure, misfit[pool], stratum, order, spec, quota.where)
        free &= ~inside
        rest -= quota.rows
    chosen += _drawn(pool, free, rest, unsure, misfit[pool], stratum, order, spec, {})
    ids = column("id")
    return [{"id": str(ids[one["row"]]), **one} for one in chosen], {
        "pool": len(pool),
        "held_back": int(held.sum()),
    }


def _drawn(
    pool: np.ndarray,
    inside: np.ndarray,
    rows: int,
    unsure: np.ndarray,
    misfit: np.ndarray,
    stratum: np.ndarray,
    order: np.ndarray,
    spec: Select,
    quota: Mapping[str, str],
) -> list[dict[str, Any]]:
    at = np.flatnonzero(inside)
    if not len(at) or not rows:
        return []
    size = spec.random / len(at) + spec.unsure * _shares(unsure[at]) + spec.misfit * _shares(misfit[at])
    chance = chances(size, rows)
    by_stratum = np.lexsort((order[pool[at]], stratum[at]))
    start = hashed("start", spec.seed, dict(quota)) / 2**60
    taken = by_stratum[systematic(chance[by_stratum], start)]
    return [
        {
            "row": int(pool[at[i]]),
            "chance": float(chance[i]),
            "unsure": float(unsure[at[i]]),
            "misfit": float(misfit[at[i]]),
            "quota": dict(quota),
        }
        for i in taken
    ]


def _shares(score: np.ndarray) -> np.ndarray:
    total = score.sum()
    return score / total if total > 0 else np.full(len(score), 1 / len(score))


def chances(size: np.ndarray, rows: int) -> np.ndarray:
    """Inclusion probabilities proportional to size, float [n], that add up to min(rows, n); 1 where they
    would be above it, and the rest shared by the others."""
    certain = np.zeros(len(size), dtype=bool)
    rows = min(rows, len(size))
    while True:
        left = rows - certain.sum()
        chance = np.where(certain, 1.0, size * left / max(size[~certain].sum(), 1e-300))
        over = ~certain & (chance >= 1)
        if not over.any() or left == 0:
            return np.minimum(chance, 1.0)
        certain |= over


def systematic(chance: np.ndarray, start: float) -> np.ndarray:
    """Positions drawn, ascending: those in whose stretch of the running sum a point start, start + 1, ...
    lies. start: in [0, 1), uniform."""
    ends = np.cumsum(chance)
    points = start + np.arange(round(float(ends[-1])))
    return np.unique(np.minimum(np.searchsorted(ends, points, side="right"), len(chance) - 1))


def _misfit(table: pa.Table, n: int) -> np.ndarray:
    """1 - quality of the worst of a row's cells, 0 where none was judged."""
    worst = np.zeros(n)
    for name in table.column_names:
        if name.startswith("quality."):
            quality = np.asarray(table.column(name).to_numpy(zero_copy_only=False), dtype=np.float64)
            worst = np.fmax(worst, 1 - quality)
    return worst


def _one_a_cluster(rows: np.ndarray, cluster: np.ndarray, order: np.ndarray) -> np.ndarray:
    ranked = rows[np.argsort(order[rows], kind="stable")]
    _, first = np.unique(cluster[ranked].astype(str), return_index=True)
    return ranked[np.sort(first)]


def _scored(
    texts: np.ndarray, cells: np.ndarray, trained: np.ndarray, pool: np.ndarray, order: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(how unsure a model is of the pool's unknown cells, the most of a row's, in [0, 1]; the cluster of like
    texts that a row is in, int). A label that known rows do not know both sides of says nothing."""
    from sklearn.cluster import MiniBatchKMeans
    from sklearn.decomposition import TruncatedSVD

    from train.model.linear import features, fitted

    if not len(pool):
        return np.zeros(0), np.zeros(0, dtype=np.int64)
    known = np.flatnonzero(trained & ~np.isnan(cells).all(axis=1))
    known = known[np.argsort(order[known], kind="stable")][:MOST]
    x = features((3, 4)).fit_transform([*texts[known], *texts[pool]]).tocsr()
    learned, asked = x[: len(known)], x[len(known) :]
    unsure = np.zeros(len(pool))
    for label in range(cells.shape[1]):
        target = cells[known, label]
        rows = np.isnan(cells[pool, label])
        if rows.any() and (target > 0.5).any() and (target < 0.5).any():
            p = fitted(learned, target).predict_proba(asked[rows])[:, 1]
            unsure[rows] = np.fmax(unsure[rows], 1 - np.abs(2 * p - 1))
    if len(pool) <= STRATA or x.shape[1] <= STRATA:
        return unsure, np.arange(len(pool)) % STRATA
    reduced = TruncatedSVD(STRATA, random_state=0).fit_transform(asked)
    return unsure, MiniBatchKMeans(STRATA, random_state=0, n_init=1).fit_predict(reduced)
