"""Texts that read the same, and texts that nearly do: which rows are of one cluster.

Two texts are near where the sets of their character 5-grams (of words alone: no case, punctuation or emoji)
have a Jaccard similarity of at least a threshold. Candidates are found by MinHash signatures (Broder 1997) in
bands (Leskovec, Rajaraman & Ullman, Mining of Massive Datasets, 3.4) on Daft dataframes; a candidate counts
if its signatures agree well enough, and then if the sets themselves do. So a pair that is found is near; a
near pair may be missed, as the S-curve says. Clusters are what pairs join, one after another: two rows of a
cluster may be further apart than the threshold, but no two near rows that were found are in two clusters.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from train.curation.runner import use
from train.data.values import collapsed
from train.spec import Seed, Spec

if TYPE_CHECKING:
    import pyarrow as pa

    from train.curation.rows import Counts

RECALL = 0.99
"""Of pairs right at the threshold, the share that has to become candidates."""
ALL_PAIRS = 8
"""Rows of a bucket up to which all of its pairs are candidates; of a larger one each row with the first and
with the one before, so that a template of a million texts costs two million pairs, not a trillion."""
READS = ("id", "normal")
BATCH = 10_000
_SURE = 3.0
"""Standard errors by which signatures may lie below the threshold and the sets still be compared."""


class Dedup(Spec):
    threshold: float = Field(default=0.7, gt=0, lt=1)
    """Jaccard similarity of 5-gram sets from which two texts are near."""
    permutations: int = Field(default=128, ge=16, le=1024)
    """Length of a signature: more find more near pairs and cost more."""
    seed: Seed = 1

    @property
    def rows(self) -> int:
        """Signature values of a band: the most with which a pair at the threshold still becomes a candidate
        with probability RECALL."""
        good = (r for r in range(self.permutations, 0, -1) if self.candidate(self.threshold, r) >= RECALL)
        return next(good, 1)

    def candidate(self, jaccard: float, rows: int | None = None) -> float:
        """Probability that a pair of this similarity becomes a candidate: the S-curve 1 - (1 - j^r)^b."""
        r = rows or self.rows
        return float(1 - (1 - jaccard**r) ** (self.permutations // r))


def s_curve(spec: Dedup) -> Iterator[tuple[float, float]]:
    """(similarity, probability of being a candidate) at .3, .35, ... .95."""
    return ((j / 100, spec.candidate(j / 100)) for j in range(30, 100, 5))


def duplicates(table: pa.Table, spec: Dedup, runner: str) -> tuple[pa.Table, Counts, Any]:
    """New columns `duplicate_of`, the first row whose text reads the same, null for that row itself; and
    `cluster`, the smallest id of the rows that are near, directly or through others."""
    import pyarrow as pa
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ids = np.asarray(table.column("id").to_numpy(zero_copy_only=False), dtype=object)
    texts = [collapsed(text) for text in table.column("normal").to_pylist()]
    first = _first_alike(texts)
    own = np.flatnonzero(first == np.arange(len(first)))
    pairs, counts = near_pairs([texts[i] for i in own], spec, runner)
    pairs = own[pairs]
    n = len(ids)
    edges = np.concatenate([pairs, np.column_stack([np.arange(n), first])])
    graph = coo_array((np.ones(len(edges), dtype=bool), (edges[:, 0], edges[:, 1])), shape=(n, n))
    k, of = connected_components(graph, directed=False)
    smallest = np.lexsort((ids.astype(str), of))
    names = ids[smallest[np.flatnonzero(np.diff(of[smallest], prepend=-1))]]
    sizes = np.bincount(of, minlength=k)
    copies = first != np.arange(n)
    counts |= {
        "exact_duplicates": int(copies.sum()),
        "clusters": int((sizes > 1).sum()),
        "rows_in_clusters": int(sizes[sizes > 1].sum()),
    }
    found = {
        "bands": spec.permutations // spec.rows,
        "rows": spec.rows,
        "largest_cluster": int(sizes.max(initial=0)),
        "s_curve": [[j, round(p, 4)] for j, p in s_curve(spec)],
    }
    columns = {
        "duplicate_of": pa.array(np.where(copies, ids[first], None), pa.string()),
        "cluster": pa.array(names[of], pa.string()),
    }
    return pa.table(columns), counts, found


def _first_alike(texts: list[str]) -> np.ndarray:
    """The first row with the same text, int64 [n]."""
    import pyarrow as pa

    codes = pa.array(texts).dictionary_encode().indices.to_numpy()
    _, first, of = np.unique(codes, return_index=True, return_inverse=True)
    return first[of].astype(np.int64)


def near_pairs(texts: list[str], spec: Dedup, runner: str) -> tuple[np.ndarray, dict[str, int]]:
    """Pairs of near texts, int64 [k, 2], a < b, that buckets of equal bands hold; and what became of
    candidates. texts: all different."""
    pairs = _candidates(_buckets(texts, spec, runner))
    asked, position = np.unique(pairs, return_inverse=True)
    position = position.reshape(pairs.shape)
    agree = np.zeros(len(pairs), dtype=bool)
    near = np.zeros(len(pairs), dtype=bool)
    least = spec.threshold - _SURE * math.sqrt(spec.threshold * (1 - spec.threshold) / spec.permutations)
    of = [texts[i] for i in asked]
    signs = signatures(of, spec)
    for start in range(0, len(pairs), BATCH):
        part = slice(start, start + BATCH)
        a, b = position[part].T
        agree[part] = (signs[a] == signs[b]).mean(axis=1) >= least
    alike = np.flatnonzero(agree)
    for start in range(0, len(alike), BATCH):
        rows = alike[start : start + BATCH]
        near[rows] = jaccard(of, *position[rows].T) >= spec.threshold
    counts = {
        "pairs.candidates": len(pairs),
        "pairs.refused_by_signature": int((~agree).sum()),
        "pairs.refused_by_sets": int((agree & ~near).sum()),
        "pairs.near": int(near.sum()),
    }
    return pairs[near], counts


def signatures(texts: list[str], spec: Dedup) -> np.ndarray:
    """MinHash signatures, uint32 [n, permutations]; all 2**32 - 1 for a text without a 5-gram."""
    from rensa import RMinHash

    from train.suites.overlap import grams

    parts = [np.empty((0, spec.permutations), dtype=np.uint32)]
    for start in range(0, len(texts), BATCH):
        _, code, size = grams(texts[start : start + BATCH])
        offsets = np.concatenate([[0], np.cumsum(size)]).astype(np.uint64)
        matrix = RMinHash.digest_matrix_from_flat_token_hashes(
            code.astype(np.uint64), offsets, spec.permutations, spec.seed
        )
        parts.append(np.asarray(matrix.to_rows(), dtype=np.uint32))
    return np.concatenate(parts)


def bands(texts: list[str], spec: Dedup) -> np.ndarray:
    """A hash of each band of each signature, its number mixed in, uint64 [n, bands]."""
    signs = signatures(texts, spec).astype(np.uint64)
    count = spec.permutations // spec.rows
    found = np.empty((len(texts), count), dtype=np.uint64)
    for band in range(count):
        key = np.full(len(texts), (band + 1) * 0x9E3779B97F4A7C15 % 2**64, dtype=np.uint64)
        for value in signs[:, band * spec.rows : (band + 1) * spec.rows].T:
            key = (key ^ value) * np.uint64(0xD6E8FEB86659FD93)
            key ^= key >> np.uint64(32)
        found[:, band] = key
    return found


def _buckets(texts: list[str], spec: Dedup, runner: str) -> list[np.ndarray]:
    """Rows that have a band in common, of each band that several have; ascending."""
    import pyarrow as pa

    from train.suites.overlap import grams

    daft = use(runner)

    @daft.func.batch(return_dtype=daft.DataType.list(daft.DataType.uint64()), batch_size=BATCH)  # type: ignore[untyped-decorator]
    def banded(text: Any) -> pa.Array:
        said = text.to_pylist()
        keys = bands(said, spec)
        has = grams(said).size > 0
        sizes = np.where(has, keys.shape[1], 0)
        return pa.ListArray.from_arrays(
            np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32), keys[has].ravel()
        )

    frame = daft.from_arrow(
        pa.table({"row": np.arange(len(texts)), "text": pa.array(texts, pa.large_string())})
    )
    grouped = (
        frame.select("row", banded(daft.col("text")).alias("band"))
        .explode("band")
        .where(daft.col("band").not_null())
        .groupby("band")
        .agg(daft.col("row").count().alias("n"), daft.col("row").list_agg().alias("rows"))
        .where(daft.col("n") > 1)
        .select("rows")
    )
    return [np.sort(rows) for rows in grouped.to_arrow().column("rows").to_numpy()]


def _candidates(buckets: list[np.ndarray]) -> np.ndarray:
    """Different pairs of the buckets, int64 [k, 2], a < b."""
    found = [np.empty((0, 2), dtype=np.int64)]
    for rows in buckets:
        if len(rows) <= ALL_PAIRS:
            a, b = np.triu_indices(len(rows), 1)
            found.append(np.column_stack([rows[a], rows[b]]))
        else:
            found.append(np.column_stack([np.full(len(rows) - 1, rows[0]), rows[1:]]))
            found.append(np.column_stack([rows[1:-1], rows[2:]]))
    return np.unique(np.concatenate(found), axis=0).astype(np.int64)


def jaccard(texts: list[str], a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Similarity of the 5-gram sets of texts a[i] and b[i], float64 [k]."""
    from train.suites.overlap import gram_matrix, grams

    asked, position = np.unique(np.concatenate([a, b]), return_inverse=True)
    owner, code, size = grams([texts[i] for i in asked])
    vocabulary, column = np.unique(code, return_inverse=True)
    sets = gram_matrix(owner, column, (len(asked), len(vocabulary)))
    one, other = position[: len(a)], position[len(a) :]
    both = np.asarray(sets[one].multiply(sets[other]).sum(axis=1)).ravel()
    return both / (size[one] + size[other] - both)
