"""Which items should be decided by somebody who has seen that people differ: ids and counts, no texts."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import numpy as np

from train.files import hashed

if TYPE_CHECKING:
    import pyarrow as pa

T = TypeVar("T")


class Disagreement(NamedTuple):
    """entropy: of the votes that say something, in bits; round: the one to send it out in."""

    item: str
    label: str
    slice: str | None
    votes: int
    entropy: float
    round: int


def disagreements(
    votes: pa.Table, rows: pa.Table, most: int, slice_: str | None = None
) -> list[Disagreement]:
    """At most `most`, the greatest first, in turns between the values of a slice and the labels, so that none
    crowds out the others; what one lacks goes to the rest.

    votes: the table of votes.py; rows: id and slice.<k>, and only these items. Of a label whose item was
    adjudicated the last round speaks. Of equal entropy fewer votes come first, since one more tells more;
    then chance, the same every time.
    """
    from train.curation.rows import SLICE

    values = rows.column(SLICE + slice_).to_pylist() if slice_ else [None] * len(rows)
    where: dict[str, str | None] = dict(zip(rows.column("id").to_pylist(), values, strict=True))
    cast: dict[tuple[str, str], dict[int, Counter[float]]] = {}
    columns = (votes.column(name).to_pylist() for name in ("item", "label", "round", "value"))
    for item, label, round_, value in zip(*columns, strict=True):
        if item in where and value is not None:
            cast.setdefault((item, label), {}).setdefault(round_, Counter())[value] += 1
    found: dict[tuple[str, str], list[Disagreement]] = {}
    for (item, label), rounds in cast.items():
        last = max(rounds)
        if (bits := entropy(rounds[last])) > 0:
            one = Disagreement(item, label, where[item], rounds[last].total(), bits, last + 1)
            found.setdefault((label, where[item] or ""), []).append(one)
    queues = [sorted(found[key], key=_rank) for key in sorted(found)]
    return sorted((one for one, _ in zip(in_turns(queues), range(most), strict=False)), key=_rank)


def _rank(one: Disagreement) -> tuple[float, int, int, str]:
    return -one.entropy, one.votes, hashed(one.item, one.label), one.item


def entropy(cast: Counter[float]) -> float:
    """Of votes by value, in bits; 0: all are alike."""
    share = np.array([*cast.values()]) / cast.total()
    return float(max(0.0, -(share * np.log2(share)).sum()))


def in_turns(queues: Iterable[Iterable[T]]) -> Iterator[T]:
    """The first of each, then the second of each that has one, and so on."""
    waiting = deque(iter(queue) for queue in queues)
    while waiting:
        queue = waiting.popleft()
        for one in queue:
            yield one
            waiting.append(queue)
            break
