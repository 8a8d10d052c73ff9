"""Which rows people should label next: a sample in which every row has a known chance, so that what they find
can be told of all rows, not only of those they saw.

A row's chance grows with how unsure a model is of its unknown labels, how far those who labelled it differ,
and how little its labels fit its text; a share of every chance is the same for all, an audit that nothing
steers. Rows are drawn systematically with probability proportional to size (Madow 1949), along clusters of
like texts: so the sample spreads over what there is to say, and has exactly as many rows as asked for. What
labelled rows say of all rows that could have been drawn is the sum of value / chance, which is right on
average over seeds (Horvitz & Thompson 1952). The queue is in an order of chance, so whoever stops after k of
its rows has a sample, too, in which a row's chance is chance x k / rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from pydantic import Field, model_validator

from train.curation.people.disagreements import DISPUTED
from train.curation.scores import Fit
from train.files import hashed
from train.model.linear import learned
from train.spec import Seed, Spec

if TYPE_CHECKING:
    import pyarrow as pa

READS = ("id", "normal", "split", "cluster", "label.", "slice.", "quality.", DISPUTED)
MOST = 20_000
"""Rows that a model is fitted on, and rows that are scored, at most: drawn by (seed, id)."""
STRATA = 20
STEERS = ("unsure", "disputed", "misfit")


class Quota(Spec):
    where: dict[str, str] = Field(min_length=1)
    """Slice -> value, such as {lang: de}."""
    rows: int = Field(ge=1)


class Select(Spec):
    rows: int = Field(default=200, ge=1)
    """Texts in the queue."""
    unsure: float = Field(default=0.4, ge=0, le=1)
    """Share of the sample that goes by how unsure a model is of unknown labels."""
    disputed: float = Field(default=0.1, ge=0, le=1)
    """Share that goes by how far those who labelled a row differ."""
    misfit: float = Field(default=0.2, ge=0, le=1)
    """Share that goes by how badly given labels fit (see `audit`)."""
    random: float = Field(default=0.3, gt=0, le=1)
    """Share that goes by nothing: every row has a chance."""
    quotas: tuple[Quota, ...] = ()
    """Slices with rows of their own; the rest, and what a slice lacks, is drawn from all other rows. A row
    counts for the first that it is in."""
    send_escalated: bool = False
    """Whether texts that a tier-3 label holds for, or may hold for, go into the queue."""
    seed: Seed = 1

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if abs(self.unsure + self.disputed + self.misfit + self.random - 1) > 1e-9:
            raise ValueError("unsure, disputed, misfit and random add up to 1")
        if sum(quota.rows for quota in self.quotas) > self.rows:
            raise ValueError("quotas ask for more rows than there are in all")
        return self


def select(
    table: pa.Table, spec: Select, held: np.ndarray, fit: Fit = learned
) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """(rows of the queue in its order: row, id, rank, reason, chance, unsure, disputed, misfit, quota; what
    was counted).

    held: bool [n], rows that may not be in it, nor any of their cluster: near texts say what they say. fit:
    the model that is unsure. Open to the draw are training rows with an unknown cell, split votes, or a label
    that fits badly; of a cluster one is drawn, any of its open rows as likely as another.
    """
    from train.curation.rows import LABEL, SLICE, labels

    def column(name: str) -> np.ndarray:
        return np.asarray(table.column(name).to_numpy(zero_copy_only=False), dtype=object)

    ids, texts, cluster = column("id"), column("normal"), column("cluster")
    trained = column("split") == "train"
    cells = np.column_stack(
        [np.asarray(table.column(LABEL + name), dtype=np.float32) for name in labels(table)]
    )
    disputed, misfit = _disputed(table, cells), _misfit(table)
    asks = trained & (np.isnan(cells).any(axis=1) | (disputed > 0) | (misfit > 0.5))
    free = asks & ~np.isin(cluster, cluster[held])
    pool, weight = _pool(np.flatnonzero(free), ids, cluster, spec.seed)
    known = np.flatnonzero(trained & ~np.isnan(cells).all(axis=1))
    known = known[np.argsort(_lots("known", spec.seed, ids[known]))][:MOST]
    steers = {
        "unsure": _unsure(texts[pool], cells[pool], texts[known], cells[known], fit),
        "disputed": disputed[pool],
        "misfit": misfit[pool],
    }

    def has(name: str, value: str) -> np.ndarray:
        there = SLICE + name in table.column_names
        return column(SLICE + name)[pool] == value if there else np.full(len(pool), False)

    places = [np.logical_and.reduce([has(*one) for one in q.where.items()]) for q in spec.quotas]
    along = np.lexsort((_lots("along", spec.seed, ids[pool]), _strata(texts[pool])))
    queue = [
        {"row": int(pool[at]), "id": str(ids[pool[at]]), "reason": reason, "chance": chance / weight[at]}
        | {name: float(steer[at]) for name, steer in steers.items()}
        | {"quota": where}
        for at, chance, reason, where in _drawn(spec, steers, places, along)
    ]
    queue.sort(key=lambda one: hashed("rank", spec.seed, one["id"]))
    counts = {"open": int(free.sum()), "pool": len(pool), "held_back": int((asks & ~free).sum())}
    return [one | {"rank": rank} for rank, one in enumerate(queue, 1)], counts


def _drawn(
    spec: Select, steers: Mapping[str, np.ndarray], places: Sequence[np.ndarray], along: np.ndarray
) -> Iterator[tuple[int, float, str, dict[str, str]]]:
    """(position in the pool, chance, reason, where its quota is) of each row, one quota after another.

    places: of each quota, which of the pool are in it, bool [m]; along: the order to walk in, int [m].
    """
    free, rest = np.full(len(along), True), spec.rows
    for quota, inside in [*zip(spec.quotas, places, strict=True), (None, free)]:
        among = along[(inside & free)[along]]
        size, reason = sizes({name: steer[among] for name, steer in steers.items()}, spec)
        where = quota.where if quota else {}
        chance = chances(size, quota.rows if quota else rest)
        drawn = systematic(chance, hashed("start", spec.seed, where) / 2**60)
        yield from ((int(among[i]), float(chance[i]), reason[i], dict(where)) for i in drawn)
        free, rest = free & ~inside, rest - len(drawn)


def sizes(steers: Mapping[str, np.ndarray], spec: Select) -> tuple[np.ndarray, list[str]]:
    """(each row's share of the sample, float [n], 1 in all; what gives it most of that: random or a steer).

    steers: of STEERS, float [n] of at least 0. The share of one that is 0 everywhere goes to random.
    """
    n = len(steers[STEERS[0]])
    even = np.full(n, 1 / max(n, 1))
    parts = {"random": spec.random * even}
    for name in STEERS:
        share, total = getattr(spec, name), float(steers[name].sum())
        if total > 0:
            parts[name] = steers[name] * (share / total)
        else:
            parts["random"] = parts["random"] + share * even
    names, table = [*parts], np.stack([*parts.values()])
    return table.sum(axis=0), [names[i] for i in table.argmax(axis=0)]


def chances(size: np.ndarray, rows: int) -> np.ndarray:
    """Inclusion probabilities proportional to size (above 0), float [n], that add up to min(rows, n); 1 where
    they would be above it, and the rest shared by the others."""
    certain = np.zeros(len(size), dtype=bool)
    rows = min(rows, len(size))
    while True:
        left = rows - certain.sum()
        chance = np.where(certain, 1.0, size * left / max(size[~certain].sum(), 1e-300))
        over = ~certain & (chance >= 1)
        if not over.any():
            return np.asarray(chance)
        certain |= over


def systematic(chance: np.ndarray, start: float) -> np.ndarray:
    """Positions drawn, ascending: those in whose stretch of the running sum a point start, start + 1, ...
    lies. start: in [0, 1), uniform."""
    if not len(chance):
        return np.zeros(0, dtype=np.int64)
    ends = np.cumsum(chance)
    points = start + np.arange(round(float(ends[-1])))
    return np.unique(np.minimum(np.searchsorted(ends, points, side="right"), len(chance) - 1))


def _pool(rows: np.ndarray, ids: np.ndarray, cluster: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(one row of each cluster, at most MOST of them; how many rows each stands for, float [m]).

    Two lots, since a large cluster's lowest lot is lower than a small one's: the first draws its row, the
    second, which knows nothing of the first, the clusters.
    """
    rows = rows[np.argsort(_lots("cluster", seed, ids[rows]))]
    _, first, size = np.unique(cluster[rows].astype(str), return_index=True, return_counts=True)
    lot = np.argsort(_lots("pool", seed, ids[rows[first]]))[:MOST]
    return rows[first[lot]], size[lot] * (len(first) / max(len(lot), 1))


def _lots(what: str, seed: int, ids: Sequence[str] | np.ndarray) -> np.ndarray:
    return np.array([hashed(what, seed, id) for id in ids], dtype=np.uint64)


def _disputed(table: pa.Table, cells: np.ndarray) -> np.ndarray:
    """Bits of the label that votes split most on, float [n], 0 where all are of a mind: of the votes, or
    where none are known, of a cell that is a share of them."""
    from scipy.special import entr

    p = np.nan_to_num(cells.astype(np.float64))
    bits = ((entr(p) + entr(1 - p)) / np.log(2)).max(axis=1, initial=0)
    voted = [name for name in table.column_names if name.startswith(DISPUTED)]
    if not voted:
        return np.asarray(bits)
    of_votes = np.column_stack([np.asarray(table.column(name), dtype=np.float64) for name in voted])
    heard = ~np.isnan(of_votes).all(axis=1)
    return np.where(heard, np.nan_to_num(of_votes).max(axis=1), bits)


def _misfit(table: pa.Table) -> np.ndarray:
    """1 - quality of the worst of a row's cells, 0 where none was judged, float [n]."""
    worst = np.zeros(len(table))
    for name in table.column_names:
        if name.startswith("quality."):
            worst = np.fmax(worst, 1 - np.asarray(table.column(name), dtype=np.float64))
    return worst


def _unsure(
    texts: np.ndarray, cells: np.ndarray, known_texts: np.ndarray, known_cells: np.ndarray, fit: Fit
) -> np.ndarray:
    """How unsure a model of the known rows is of a row's unknown cells, the most of them, float [n]: 1 at a
    score of .5, 0 at 0 and 1. A label that it could not learn says nothing."""
    if not len(texts) or not len(known_texts):
        return np.zeros(len(texts))
    scores = fit(known_texts.tolist(), known_cells)(texts.tolist())
    doubt = np.where(np.isnan(cells), 1 - np.abs(2 * scores - 1), 0)
    return np.asarray(np.nan_to_num(doubt).max(axis=1, initial=0))


def _strata(texts: np.ndarray) -> np.ndarray:
    """Which cluster of like texts each is in, int [n]."""
    from sklearn.cluster import MiniBatchKMeans
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    if len(texts) <= STRATA:
        return np.arange(len(texts))
    pieces = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 4), sublinear_tf=True, max_features=50_000)
    x = pieces.fit_transform(texts)
    if x.shape[1] > STRATA:
        x = TruncatedSVD(STRATA, random_state=0).fit_transform(x)
    return np.asarray(MiniBatchKMeans(STRATA, random_state=0, n_init=1).fit_predict(x))
