"""How well and how fast near-duplicates are found, among generated short texts in which some were planted.

    scripts/bench dedup [--rows 1000000] [--runner native] [--runner ray] [--datasketch 50000] [--json]

Texts have 5 to 40 words, drawn by Zipf's law from 50,000 made-up ones, in random order. Every tenth has a
copy somewhere: exact, in other case and punctuation, with one or two words added, or with up to a third of
its words changed. So many copies are near, and many are hard negatives, just below the threshold of .7: which
ones is computed from their 5-gram sets, not assumed. Each way runs in a process of its own, whose peak memory
is measured with that of its children (memory they share is counted once). datasketch's MinHashLSH, given the
same sets, as many permutations and the same threshold, sees fewer rows, made in the same way; its time for
all is extrapolated, and said so.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import sys
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from benchmarks.measure import measured

WORDS = 50_000
EVERY = 10
NARROW = ((0.5, 0.6), (0.6, 0.7), (0.7, 0.75), (0.75, 0.8), (0.8, 0.9), (0.9, 1.0))
"""Similarities between which the planted pairs that were joined are counted."""


def texts(rows: int, seed: int = 1) -> tuple[list[str], list[tuple[int, int, str]]]:
    """(texts, planted pairs: original, copy, kind)."""
    draw = random.Random(seed)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(draw.choices(letters, k=draw.randint(3, 9))) for _ in range(WORDS)]
    cumulated = list(accumulate(1 / rank for rank in range(1, WORDS + 1)))
    made: list[str] = []
    planted: list[tuple[int, int, str]] = []
    place = draw.sample(range(rows), rows)
    while len(made) < rows:
        said = draw.choices(words, cum_weights=cumulated, k=draw.randint(5, 40))
        made.append(" ".join(said))
        if len(made) < rows and draw.randrange(EVERY) == 0:
            kind = draw.choice(["exact", "dressed", "added", "changed", "changed"])
            planted.append((place[len(made) - 1], place[len(made)], kind))
            made.append(copied(said, kind, words, draw))
    return [text for _, text in sorted(zip(place, made, strict=True))], planted


def copied(said: list[str], kind: str, words: list[str], draw: random.Random) -> str:
    copy = list(said)
    if kind == "added":
        copy += draw.choices(words, k=draw.randint(1, 2))
    elif kind == "changed":
        for at in draw.sample(range(len(copy)), draw.randint(1, max(1, len(copy) // 3))):
            copy[at] = draw.choice(words)
    text = " ".join(copy)
    return f"{text.upper()}!!! \U0001f600" if kind == "dressed" else text


def ours(said: list[str], runner: str) -> list[tuple[int, int]]:
    import numpy as np
    import pyarrow as pa

    from train.curation.duplicates import Dedup, duplicates

    table = pa.table({"id": [f"{i:09d}" for i in range(len(said))], "normal": said})
    columns, _, _ = duplicates(table, Dedup(), runner)
    cluster = columns.column("cluster").to_numpy(zero_copy_only=False)
    leader = np.array([int(name) for name in cluster])
    return [(int(a), i) for i, a in enumerate(leader) if a != i]


def datasketch(said: list[str]) -> list[tuple[int, int]]:
    import numpy as np
    from datasketch import MinHash, MinHashLSH

    from train.suites.overlap import grams

    _, code, size = grams(said)
    index = MinHashLSH(threshold=0.7, num_perm=128)
    found = []
    for at, own in enumerate(np.split(code, np.cumsum(size)[:-1])):
        sketch = MinHash(num_perm=128)
        sketch.update_batch([gram.tobytes() for gram in own])
        found += [(int(other), at) for other in index.query(sketch)]
        index.insert(str(at), sketch)
    return found


def judged(
    said: list[str], planted: list[tuple[int, int, str]], pairs: list[tuple[int, int]]
) -> dict[str, Any]:
    """Of planted pairs, by similarity and by kind, the share that is in one cluster; precision: of the pairs
    that make the clusters (a row and the first one of its cluster), the share that is near."""
    import numpy as np
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    from train.curation.duplicates import Dedup

    n, least = len(said), Dedup().threshold
    joined = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(joined), bool), (joined[:, 0], joined[:, 1])), shape=(n, n))
    _, of = connected_components(graph, directed=False)
    a, b = np.array([pair[:2] for pair in planted]).T
    kinds = np.array([kind for _, _, kind in planted])
    similarity, hit = _similarities(said, a, b), of[a] == of[b]
    near = similarity >= least
    between = {f"{low} to {high}": (low <= similarity) & (similarity < high) for low, high in NARROW}
    return {
        "recall": _share(hit[near]),
        "recall_by_kind": {kind: _share(hit[near & (kinds == kind)]) for kind in sorted({*kinds})},
        "joined_by_similarity": {name: _share(hit[rows]) for name, rows in between.items()},
        "precision": _share(_similarities(said, *joined.T) >= least),
        "clusters": int((np.bincount(of) > 1).sum()),
    }


def _similarities(said: list[str], a: Any, b: Any) -> Any:
    import numpy as np

    from train.curation.duplicates import BATCH, jaccard

    parts = [jaccard(said, a[i : i + BATCH], b[i : i + BATCH]) for i in range(0, len(a), BATCH)]
    return np.concatenate([np.empty(0), *parts])


def _share(hits: Any) -> dict[str, Any]:
    """With its exact 95% interval."""
    from scipy.stats import beta

    n, k = len(hits), int(hits.sum())
    low = float(beta.ppf(0.025, k, n - k + 1)) if k else 0.0
    high = float(beta.ppf(0.975, k + 1, n - k)) if k < n else 1.0
    return {"value": k / n if n else None, "low": low, "high": high, "n": n}


def _told(share: dict[str, Any]) -> str:
    if not share["n"]:
        return "none"
    return f"{share['value']:.4f} ({share['low']:.4f} to {share['high']:.4f}, n = {share['n']:,})"


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/bench dedup", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runner", action="append", help="native or ray; default: both")
    parser.add_argument("--datasketch", type=int, default=50_000, metavar="N", help="rows it sees; 0: none")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    said, planted = texts(options.rows)
    machine = {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()}
    document: dict[str, Any] = {"machine": machine, "rows": len(said), "ways": {}}
    for runner in options.runner or ["native", "ray"]:
        pairs, seconds, peak = measured(ours, said, runner)
        document["ways"][runner] = {"seconds": seconds, "peak_mb": peak} | judged(said, planted, pairs)
        print(f"{runner}: {seconds:.0f} s, {peak:,.0f} MB at most", file=sys.stderr, flush=True)
    if options.datasketch:
        part, planted = texts(options.datasketch)
        pairs, seconds, peak = measured(datasketch, part)
        way = {"seconds": seconds, "peak_mb": peak} | judged(part, planted, pairs)
        way["extrapolated_seconds"] = seconds * len(said) / len(part)
        document["ways"][f"datasketch, {len(part):,} rows"] = way
    if options.json:
        print(json.dumps(document, indent=2))
        return 0
    for name, way in document["ways"].items():
        found = ", ".join(f"{what} {_told(way[what])}" for what in ("recall", "precision"))
        print(f"{name}: {way['seconds']:.1f} s, {way['peak_mb']:,.0f} MB at most; {found}")
        for narrow, share in way["joined_by_similarity"].items():
            print(f"    joined of planted pairs of similarity {narrow}: {_told(share)}")
        if "extrapolated_seconds" in way:
            print(f"    extrapolated to all rows: {way['extrapolated_seconds']:,.0f} s")
    return 0
