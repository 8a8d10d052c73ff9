"""How far the people who voted on a text differ, and which texts somebody should decide who knows that."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from train.files import hashed

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")
DISPUTED = "disputed."
"""disputed.<L>: bits of the votes on a row, as `spread` has them; null where fewer than two people spoke."""
READS = ("id", "split", "language", DISPUTED, "label.")


def spread(votes: pa.Table) -> dict[str, dict[str, float]]:
    """Label -> item -> entropy of its votes in bits, 0 where all say the same. votes: the table of votes.py,
    those that hold. Of an item that was adjudicated the last round speaks, even if one person did; of others
    it takes two votes."""
    cast: dict[tuple[str, str], dict[int, Counter[float]]] = {}
    columns = (votes.column(name).to_pylist() for name in ("label", "item", "round", "value"))
    for label, item, round_, value in zip(*columns, strict=True):
        if value is not None:
            cast.setdefault((label, item), {}).setdefault(round_, Counter())[value] += 1
    found: dict[str, dict[str, float]] = {}
    for (label, item), rounds in cast.items():
        last = max(rounds)
        if last or rounds[last].total() > 1:
            found.setdefault(label, {})[item] = entropy(rounds[last])
    return found


def entropy(cast: Counter[float]) -> float:
    """Of votes by value, in bits; 0: all are alike."""
    share = np.array([*cast.values()]) / cast.total()
    return float(max(0.0, -(share * np.log2(share)).sum()))


def disagreements(
    table: pa.Table, labels: Collection[str], most: int, held: np.ndarray
) -> list[dict[str, Any]]:
    """At most `most` rows to adjudicate, in order: row, id, rank, asks (the labels in dispute), bits.

    table: with READS. Rows of any split, since a test is only as good as its labels; none that was left out.
    held: bool [n], rows that may not be shown. They are taken in turns between labels and languages, the
    greatest disagreement first, so that none crowds out the others; what one lacks goes to the rest.
    """
    ids, languages = (table.column(name).to_pylist() for name in ("id", "language"))
    open_ = np.asarray(table.column("split").is_valid()) & ~held
    bits: dict[int, dict[str, float]] = {}
    waiting: dict[tuple[str, str], list[int]] = {}
    for label in sorted(labels):
        if DISPUTED + label not in table.column_names:
            continue
        its = np.asarray(table.column(DISPUTED + label), dtype=np.float64)
        for row in np.flatnonzero(open_ & (np.nan_to_num(its) > 0)).tolist():
            bits.setdefault(row, {})[label] = float(its[row])
            waiting.setdefault((label, languages[row] or ""), []).append(row)
    queues = [
        sorted(rows, key=lambda row, label=label: (-bits[row][label], hashed(ids[row], label)))  # type: ignore[misc]
        for (label, _), rows in sorted(waiting.items())
    ]
    chosen = [row for row, _ in zip(dict.fromkeys(_in_turns(queues)), range(most), strict=False)]
    return [_row(row, rank, ids, bits[row]) for rank, row in enumerate(chosen, 1)]


def _row(row: int, rank: int, ids: Sequence[str], bits: Mapping[str, float]) -> dict[str, Any]:
    return {"row": row, "id": ids[row], "rank": rank, "asks": " ".join(bits), "bits": max(bits.values())}


def _in_turns(queues: Iterable[Iterable[T]]) -> Iterator[T]:
    """The first of each, then the second of each that has one, and so on."""
    waiting = deque(iter(queue) for queue in queues)
    while waiting:
        queue = waiting.popleft()
        for one in queue:
            yield one
            waiting.append(queue)
            break
