"""Proof that nothing is trained on and judged by: of rows that were split, all that cross from one split to
another, and of training rows, all that are near a text of a test suite."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from train.curation.clean import Clean, clean
from train.curation.contract import NAMED, Violation
from train.data.reading import read
from train.data.split import NAMES
from train.suites.overlap import near_duplicates
from train.suites.suite import Suite

if TYPE_CHECKING:
    import pyarrow as pa

    from train.curation.rows import Counts

NEAR_HELD_OUT = "near a text that is held out"
READS = ("id", "cluster", "group", "split", "near_suite")


def near_suites(
    table: pa.Table, suites: Iterable[Suite], threshold: float, cleaning: Clean
) -> tuple[pa.Table, Counts, Any]:
    """New column `near_suite`: the first suite that a text (`normal`) is near a text of, else null. Exact,
    not a sketch: a pair that is missed is a figure that flatters. cleaning: how `normal` came about, and how
    that of the suites' texts does: a text in disguise is near itself."""
    import pyarrow as pa

    texts = table.column("normal").to_pylist()
    found = np.full(len(texts), None, dtype=object)
    counts: dict[str, int] = {}
    for suite in suites:
        asked = [example.text for name, source in suite.sources.items() for example in read(name, source)]
        plain = (
            clean(pa.table({"text": pa.array(asked, pa.string())}), cleaning)[0].column("normal").to_pylist()
        )
        near = np.unique(near_duplicates(texts, plain, threshold).train)
        counts[f"near.{suite.name}"] = len(near)
        found[near] = np.where(found[near] == None, suite.name, found[near])  # noqa: E711 - element by element
    return pa.table({"near_suite": pa.array(found, pa.string())}), counts, None


def apart(
    made: pa.Table, held_out: Sequence[str], suites: Iterable[Suite], threshold: float, cleaning: Clean
) -> tuple[pa.Table, Counts, Any]:
    """New columns `near_suite`, `split` and `left_out` of rows that were made of training rows: in their new
    words they may be near what their parents are not near, a text of a suite or a held-out row: left out.

    held_out: `normal` of rows of the other splits.
    """
    import pyarrow as pa

    columns, counts, _ = near_suites(made, suites, threshold, cleaning)
    why = columns.column("near_suite").to_numpy(zero_copy_only=False).astype(object)
    of_suite = why != None  # noqa: E711 - element by element
    why[of_suite] = [f"near a text of {name}" for name in why[of_suite]]
    near = near_duplicates(made.column("normal").to_pylist(), held_out, threshold).train
    why[np.setdiff1d(near, np.flatnonzero(of_suite))] = NEAR_HELD_OUT
    split = np.where(why == None, made.column("split").to_numpy(zero_copy_only=False), None)  # noqa: E711
    columns = columns.append_column("split", pa.array(split, pa.string()))
    columns = columns.append_column("left_out", pa.array(why, pa.string()))
    return columns, {**counts, "near.held_out": int((why == NEAR_HELD_OUT).sum())}, None


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
