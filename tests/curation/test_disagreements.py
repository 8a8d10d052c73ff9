"""The queue of disagreements."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
import pytest

from train.curation.people.disagreements import disagreements, entropy
from train.curation.people.votes import Vote, table


def cast(item: str, *values: float | None, label: str = "hate", round_: int = 0) -> list[Vote]:
    return [Vote(item, label, f"p{n}", value, round_) for n, value in enumerate(values)]


def rows(**slices: str) -> pa.Table:
    return pa.table({"id": [*slices], "slice.lang": [*slices.values()]})


def test_the_greatest_first() -> None:
    votes = table(
        [
            *cast("agreed", 1, 1, 1),
            *cast("three", 1, 1, 0),
            *cast("six", 1, 1, 1, 0, 0, 0),
            *cast("two", 1, 0, None),
            *cast("mixed", 1, 0, 0.5),
            *cast("elsewhere", 1, 0),
        ]
    )
    found = disagreements(votes, rows(agreed="en", three="en", six="en", two="en", mixed="en"), 10)
    assert [(one.item, one.votes) for one in found] == [("mixed", 3), ("two", 2), ("six", 6), ("three", 3)]
    assert [one.entropy for one in found] == pytest.approx([1.585, 1, 1, 0.918], abs=0.001)
    assert {one.round for one in found} == {1}
    best = disagreements(votes, rows(six="en", three="en", two="en"), 2)
    assert [one.item for one in best] == ["two", "six"]


def test_no_label_and_no_language_crowds_out_the_others() -> None:
    votes = [vote for n in range(100) for vote in cast(f"en{n}", 1, 0)]
    votes += [vote for n in range(3) for vote in cast(f"de{n}", 1, 1, 1, 0)]
    votes += [vote for n in range(40) for vote in cast(f"en{n}", 1, 1, 0, label="harassment")]
    languages = {f"en{n}": "en" for n in range(100)} | {f"de{n}": "de" for n in range(3)}
    found = disagreements(table(votes), rows(**languages), 30, "lang")
    shares = Counter((one.label, one.slice) for one in found)
    assert shares == {("hate", "de"): 3, ("hate", "en"): 13, ("harassment", "en"): 14}
    assert found == disagreements(table(votes[::-1]), rows(**languages), 30, "lang")
    assert len(disagreements(table(votes), rows(**languages), 10_000, "lang")) == 143


def test_what_was_adjudicated_is_settled_unless_it_is_not() -> None:
    votes = table([*cast("a", 1, 0), *cast("a", 1, round_=1), *cast("b", 1, 0), *cast("b", 1, 0, round_=1)])
    found = disagreements(votes, rows(a="en", b="en"), 5)
    assert [(one.item, one.round) for one in found] == [("b", 2)]


def test_entropy() -> None:
    assert entropy(Counter({1.0: 5})) == 0
    assert entropy(Counter({0.0: 2, 1.0: 2})) == 1
