#!/usr/bin/env python3
"""How well and how fast near-duplicates are found, among generated short texts in which some were planted.

    .venv/bin/python scripts/bench_dedup.py [--rows 1000000] [--runner native] [--runner ray] [--datasketch
    50000] [--json]

Texts have 8 to 40 words, drawn by Zipf's law from 50,000 made-up ones. Every twentieth is followed by a copy:
exact, with a word changed, with two words added, or in other case and punctuation; and every twentieth by a
text that shares half of its words, which is no duplicate. What is planted has the similarity that it has: a
pair counts as near where the 5-gram sets say so (threshold .7), which is computed, not assumed. Each way runs
in a process of its own, whose peak memory is measured with that of its children. datasketch's MinHashLSH with
as many permutations and the same threshold sees the first rows only; its time for all is extrapolated, and
said so.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import platform
import random
import sys
import time
from collections.abc import Callable
from threading import Event, Thread
from typing import Any

import psutil

WORDS = 50_000
EVERY = 20


def texts(rows: int, seed: int = 1) -> tuple[list[str], list[tuple[int, int, str]]]:
    """(texts, planted pairs: original, copy, kind)."""
    draw = random.Random(seed)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(draw.choices(letters, k=draw.randint(3, 9))) for _ in range(WORDS)]
    cumulated = []
    total = 0.0
    for rank in range(1, WORDS + 1):
        total += 1 / rank
        cumulated.append(total)
    made: list[str] = []
    planted: list[tuple[int, int, str]] = []
    while len(made) < rows:
        said = draw.choices(words, cum_weights=cumulated, k=draw.randint(8, 40))
        made.append(" ".join(said))
        at, which = len(made) - 1, draw.randrange(EVERY)
        if which == 0 and len(made) < rows:
            kind = draw.choice(["exact", "changed", "added", "dressed"])
            copy = list(said)
            if kind == "changed":
                copy[draw.randrange(len(copy))] = draw.choice(words)
            elif kind == "added":
                copy += draw.choices(words, k=2)
            text = " ".join(copy)
            made.append(text.upper() + "!!! \U0001f600" if kind == "dressed" else text)
            planted.append((at, at + 1, kind))
        elif which == 1 and len(made) < rows:
            half = said[: len(said) // 2] + draw.choices(words, k=len(said) - len(said) // 2)
            made.append(" ".join(half))
    return made, planted


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
    from datasketch import MinHash, MinHashLSH

    from train.data.values import collapsed

    index = MinHashLSH(threshold=0.7, num_perm=128)
    found = []
    for at, text in enumerate(said):
        whole = collapsed(text)
        sketch = MinHash(num_perm=128)
        sketch.update_batch([whole[i : i + 5].encode() for i in range(max(1, len(whole) - 4))])
        found += [(int(other), at) for other in index.query(sketch)]
        index.insert(str(at), sketch)
    return found


def measured(work: Callable[..., Any], *given: Any) -> tuple[Any, float, float]:
    """(result, seconds, peak MB of the process and its children), run in a process of its own."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(there, work, given))
    peak, over = [0.0], Event()

    def watch() -> None:
        while not over.wait(0.2):
            try:
                tree = psutil.Process(process.pid)
                family = [tree, *tree.children(recursive=True)]
                peak[0] = max(peak[0], sum(_unshared(one) for one in family) / 2**20)
            except psutil.Error:
                continue

    process.start()
    watcher = Thread(target=watch, daemon=True)
    watcher.start()
    result, seconds = here.recv()
    over.set()
    process.join()
    return result, seconds, peak[0]


def _unshared(process: psutil.Process) -> int:
    """Of Ray's shared store each process would count all."""
    memory = process.memory_info()
    return int(memory.rss - getattr(memory, "shared", 0))


def _run(pipe: Any, work: Callable[..., Any], given: tuple[Any, ...]) -> None:
    start = time.perf_counter()
    result = work(*given)
    pipe.send((result, time.perf_counter() - start))


def judged(
    said: list[str], planted: list[tuple[int, int, str]], pairs: list[tuple[int, int]]
) -> dict[str, Any]:
    """Recall of planted pairs that are near, by kind; precision of clusters as the share of rows joined to a
    row that they are near to, directly or through others: here a planted copy."""
    import numpy as np
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    from train.curation.duplicates import Dedup, jaccard

    n = len(said)
    edges = np.array(pairs or [(0, 0)])
    graph = coo_array((np.ones(len(edges), bool), (edges[:, 0], edges[:, 1])), shape=(n, n))
    _, of = connected_components(graph, directed=False)
    a, b = np.array([p[0] for p in planted]), np.array([p[1] for p in planted])
    near = np.concatenate([jaccard(said, a[i : i + 5000], b[i : i + 5000]) for i in range(0, len(a), 5000)])
    is_near = near >= Dedup().threshold
    kinds = np.array([p[2] for p in planted])
    hit = of[a] == of[b]
    recall = {kind: _share(hit[is_near & (kinds == kind)]) for kind in sorted({*kinds})}
    sizes = np.bincount(of)
    joined = [(int(x), int(y)) for x, y in edges if x != y]
    x, y = (np.array([pair[i] for pair in joined], dtype=np.int64) for i in (0, 1))
    true = np.concatenate(
        [jaccard(said, x[i : i + 5000], y[i : i + 5000]) for i in range(0, len(x), 5000)] or [near[:0]]
    )
    return {
        "planted_near": int(is_near.sum()),
        "recall": _share(hit[is_near]),
        "recall_by_kind": recall,
        "joined_pairs": len(joined),
        "precision": _share(true >= Dedup().threshold),
        "clusters": int((sizes > 1).sum()),
    }


def _share(hits: Any) -> dict[str, Any]:
    """With its exact 95% interval."""
    from scipy.stats import beta

    n, k = len(hits), int(hits.sum())
    low = float(beta.ppf(0.025, k, n - k + 1)) if k else 0.0
    high = float(beta.ppf(0.975, k + 1, n - k)) if k < n else 1.0
    return {"value": k / n if n else None, "low": low, "high": high, "n": n}


def _told(share: dict[str, Any]) -> str:
    return f"{share['value']:.4f} ({share['low']:.4f} to {share['high']:.4f}, n = {share['n']:,})"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--runner", action="append", help="native or ray; default: both")
    parser.add_argument("--datasketch", type=int, default=50_000, metavar="N", help="rows it sees; 0: none")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    said, planted = texts(options.rows)
    machine = {"processor": platform.processor() or platform.machine(), "cores": psutil.cpu_count()}
    document: dict[str, Any] = {"machine": machine, "rows": len(said), "ways": {}}
    for runner in options.runner or ["native", "ray"]:
        pairs, seconds, peak = measured(ours, said, runner)
        document["ways"][runner] = {"seconds": seconds, "peak_mb": peak} | judged(said, planted, pairs)
        print(f"{runner}: {seconds:.0f} s, {peak:,.0f} MB at most", file=sys.stderr, flush=True)
    if options.datasketch:
        part = said[: options.datasketch]
        mine = [p for p in planted if p[1] < len(part)]
        pairs, seconds, peak = measured(datasketch, part)
        way = {"seconds": seconds, "peak_mb": peak} | judged(part, mine, pairs)
        way["extrapolated_seconds"] = seconds * len(said) / len(part)
        document["ways"][f"datasketch, first {len(part):,} rows"] = way
    if options.json:
        print(json.dumps(document, indent=2))
        return 0
    for name, way in document["ways"].items():
        found = ", ".join(f"{what} {_told(way[what])}" for what in ("recall", "precision"))
        print(f"{name}: {way['seconds']:.1f} s, {way['peak_mb']:,.0f} MB at most; {found}")
        if "extrapolated_seconds" in way:
            print(f"    extrapolated to all rows: {way['extrapolated_seconds']:,.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
