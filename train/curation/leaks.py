"""Proof that nothing is trained on and judged by: of rows that were split, all that cross from one split to
another, and of training rows, all that are near a text of a test suite."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from train.curation.contract import NAMED, Violation
from train.data.reading import read
from train.data.split import NAMES
from train.suites.overlap import near_duplicates
from train.suites.suite import Suite

if TYPE_CHECKING:
    import pyarrow as pa

    from train.curation.rows import Counts

READS = ("id", "cluster", "group", "split", "near_suite")


def near_suites(table: pa.Table, suites: Iterable[Suite], threshold: float) -> tuple[pa.Table, Counts, Any]:
    """New column `near_suite`: the first suite that a text (`normal`) is near a text of, else null. Exact,
    not a sketch: a pair that is missed is a figure that flatters."""
    import pyarrow as pa

    texts = table.column("normal").to_pylist()
    found = np.full(len(texts), None, dtype=object)
    counts: dict[str, int] = {}
    for suite in suites:
        asked = [example.text for name, source in suite.sources.items() for example in read(name, source)]
        near = np.unique(near_duplicates(texts, asked, threshold).train)
        counts[f"near.{suite.name}"] = len(near)
        found[near] = np.where(found[near] == None, suite.name, found[near])  # noqa: E711 - element by element
    return pa.table({"near_suite": pa.array(found, pa.string())}), counts, None


def crossings(table: pa.Table, frozen: Collection[str] = ()) -> Iterator[Violation]:
    """What should not be: of rows in some split, clusters or groups in several; training rows near a suite;
    frozen test ids that are in another split.

    It looks at the outcome alone, and knows nothing of how rows were split.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    table = table.filter(pc.is_valid(table.column("split")))
    ids = table.column("id").to_numpy(zero_copy_only=False)
    split = table.column("split").to_numpy(zero_copy_only=False)
    for column, kind in (("cluster", "cluster of near texts"), ("group", "group (author, thread, template)")):
        codes = table.column(column).combine_chunks().dictionary_encode().indices.to_numpy()
        held = np.zeros((int(codes.max(initial=-1)) + 1, len(NAMES)), dtype=bool)
        for position, name in enumerate(NAMES):
            held[codes[split == name], position] = True
        crossing = np.flatnonzero(held.sum(axis=1) > 1)
        if len(crossing):
            rows = ids[np.isin(codes, crossing)]
            what = f"{len(crossing):,} times a {kind} is in several splits, {len(rows):,} rows in all"
            yield Violation(f"leak.{column}", what, len(crossing), tuple(rows[:NAMED]))
    near = ids[(split == "train") & table.column("near_suite").is_valid().to_numpy()]
    if len(near):
        what = f"{len(near):,} training rows are near a text of a suite"
        yield Violation("leak.suite", what, len(near), tuple(near[:NAMED]))
    known = pc.is_in(table.column("id"), pa.array(sorted(frozen), pa.string())).to_numpy()
    moved = ids[(split != "test") & known]
    if len(moved):
        what = f"{len(moved):,} test rows of the version before are in another split"
        yield Violation("leak.frozen", what, len(moved), tuple(moved[:NAMED]))
