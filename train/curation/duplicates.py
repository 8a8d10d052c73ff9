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
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from train.curation.runner import NATIVE, use
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
NO_GRAM = np.uint32(2**32 - 1)
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
    import pyarrow.compute as pc
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    n, ids = table.num_rows, table.column("id")
    texts = [collapsed(text) for text in table.column("normal").to_pylist()]
    first = _first_alike(texts)
    copies = first != np.arange(n)
    own = np.flatnonzero(~copies)
    pairs, counts = near_pairs([texts[i] for i in own], spec, runner)
    edges = np.concatenate([own[pairs], np.column_stack([np.arange(n), first])])
    graph = coo_array((np.ones(len(edges), dtype=bool), (edges[:, 0], edges[:, 1])), shape=(n, n))
    _, of = connected_components(graph, directed=False)
    by = [("of", "ascending"), ("id", "ascending")]
    order = pc.sort_indices(pa.table({"of": of, "id": ids}), sort_keys=by).to_numpy()
    smallest = order[np.flatnonzero(np.diff(of[order], prepend=-1))]
    sizes = np.bincount(of)
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
        "duplicate_of": pc.if_else(pa.array(copies), ids.take(pa.array(first)), None),
        "cluster": ids.take(pa.array(smallest[of])),
    }
    return pa.table(columns), counts, found


def _first_alike(texts: list[str]) -> np.ndarray:
    """The first row with the same text, int64 [n]."""
    import pyarrow as pa

    codes = pa.array(texts, pa.large_string()).dictionary_encode().indices.to_numpy()
    _, first, of = np.unique(codes, return_index=True, return_inverse=True)
    return first[of].astype(np.int64)


def near_pairs(texts: list[str], spec: Dedup, runner: str) -> tuple[np.ndarray, dict[str, int]]:
    """Pairs of near texts, int64 [k, 2], a < b, that buckets of equal bands hold; and what became of
    candidates. texts: all different."""
    signs = _signed(texts, spec, runner)
    pairs = candidates(signs, spec)
    least = spec.threshold - _SURE * math.sqrt(spec.threshold * (1 - spec.threshold) / spec.permutations)
    agree = _those(pairs, lambda a, b: (signs[a] == signs[b]).mean(axis=1) >= least)
    near = _those(agree, lambda a, b: jaccard(texts, a, b) >= spec.threshold)
    counts = {
        "pairs.candidates": len(pairs),
        "pairs.refused_by_signature": len(pairs) - len(agree),
        "pairs.refused_by_sets": len(agree) - len(near),
        "pairs.near": len(near),
    }
    return near, counts


def _those(pairs: np.ndarray, hold: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> np.ndarray:
    """The pairs that `hold`, asked for a batch at a time: bounds the memory."""
    parts = [pairs[start : start + BATCH] for start in range(0, len(pairs), BATCH)]
    return np.concatenate([pairs[:0], *(part[hold(*part.T)] for part in parts)])


def _signed(texts: list[str], spec: Dedup, runner: str) -> np.ndarray:
    """`signatures` of all texts, by Daft: on all cores, or machines."""
    import pyarrow as pa

    daft = use(runner)
    signature = daft.DataType.fixed_size_list(daft.DataType.uint32(), spec.permutations)

    @daft.func.batch(return_dtype=signature, batch_size=BATCH)  # type: ignore[untyped-decorator]
    def signed(text: Any) -> pa.Array:
        values = signatures(text.to_pylist(), spec).ravel()
        return pa.FixedSizeListArray.from_arrays(values, spec.permutations)

    table = pa.table({"row": np.arange(len(texts)), "text": pa.array(texts, pa.large_string())})
    frame = daft.from_arrow(table)
    if runner != NATIVE:
        frame = frame.into_partitions(len(texts) // (10 * BATCH) + 1)
    found = np.empty((len(texts), spec.permutations), dtype=np.uint32)
    for done in frame.select("row", signed(daft.col("text")).alias("signature")).to_arrow_iter():
        values = done.column("signature").flatten().to_numpy()
        found[done.column("row").to_numpy()] = values.reshape(-1, spec.permutations)
    return found


def signatures(texts: list[str], spec: Dedup) -> np.ndarray:
    """MinHash signatures, uint32 [n, permutations]; NO_GRAM alone where a text has no 5-gram. n < 2**19."""
    from rensa import RMinHash

    from train.suites.overlap import grams

    _, code, size = grams(texts)
    offsets = np.concatenate([[0], np.cumsum(size)]).astype(np.uint64)
    matrix = RMinHash.digest_matrix_from_flat_token_hashes(
        code.astype(np.uint64), offsets, spec.permutations, spec.seed
    )
    return np.array(matrix.to_rows(), dtype=np.uint32).reshape(len(texts), spec.permutations)


def candidates(signs: np.ndarray, spec: Dedup) -> np.ndarray:
    """Different pairs of rows that have a band in common, int64 [k, 2], a < b; see ALL_PAIRS.

    Buckets are found by sorting, a band at a time: memory holds the keys of one band.
    """
    rows = np.flatnonzero((signs != NO_GRAM).any(axis=1))
    found = [np.empty(0, dtype=np.int64)]
    for start in range(0, spec.permutations - spec.rows + 1, spec.rows):
        key = _hashed(signs[rows, start : start + spec.rows])
        order = np.argsort(key, kind="stable")
        key, row = key[order], rows[order]
        begins = np.flatnonzero(np.diff(key, prepend=~key[:1]) != 0)
        size = np.diff(begins, append=len(key))
        place = np.arange(len(key)) - np.repeat(begins, size)
        size = np.repeat(size, size)
        for apart in range(1, ALL_PAIRS):
            later = np.flatnonzero((place >= apart) & ((size <= ALL_PAIRS) | (apart == 1)))
            found.append(row[later - apart] * len(signs) + row[later])
        later = np.flatnonzero((place > 1) & (size > ALL_PAIRS))
        found.append(row[later - place[later]] * len(signs) + row[later])
    pairs = np.sort(np.concatenate(found))
    pairs = pairs[np.diff(pairs, prepend=-1) > 0]  # np.unique hashes, which takes much longer
    return np.column_stack(np.divmod(pairs, max(1, len(signs))))


def _hashed(band: np.ndarray) -> np.ndarray:
    """uint32 [n, r] -> uint64 [n]."""
    key = np.full(len(band), 0x9E3779B97F4A7C15, dtype=np.uint64)
    for value in band.T:
        key = (key ^ value) * np.uint64(0xD6E8FEB86659FD93)
        key ^= key >> np.uint64(32)
    return key


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
