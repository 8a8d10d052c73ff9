"""Columns that a header leaves unnamed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sources import examples, refusal
from train.data.rows import Table


@pytest.fixture(autouse=True)
def _inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(content: str, name: str = "x.csv") -> str:
    Path(name).write_text(content, encoding="utf-8")
    return name


@pytest.mark.parametrize("mark", ["", "\ufeff"], ids=["plain", "with a byte order mark"])
def test_an_unnamed_column_is_named_by_its_place(mark: str) -> None:
    path = write(f"{mark},t,,h\n7,one,x,1\n8,two,y,0\n")
    assert Table(Path(path), "csv").columns() == ["column 1", "t", "column 3", "h"]
    found = examples(path, id="column 1", slices={"kind": {"column": "column 3"}})
    assert [(e.id, e.slices) for e in found] == [("s:7", {"kind": "x"}), ("s:8", {"kind": "y"})]
    assert 'expected: one of "column 1", "t", "column 3", "h"' in refusal(path, id="number")


def test_a_name_that_is_taken_is_a_repeated_one() -> None:
    assert 'the header names "column 1" more than once' in refusal(write(",column 1,t,h\n1,2,a,1\n"))


def test_names_that_are_given_are_not_replaced() -> None:
    path = write("a\t1\t\nb\t0\tx\n", "x.tsv")
    assert [e.text for e in examples(path, columns=("t", "h", "rest"))] == ["a", "b"]


def test_the_first_column_of_the_real_tweets(real_data: Path) -> None:
    path = real_data / "davidson" / "labeled_data.csv"
    columns = ["column 1", "count", "hate_speech", "offensive_language", "neither", "class", "tweet"]
    assert Table(path, "csv").columns() == columns
    found = examples(
        path, id="column 1", text="tweet", labels={"hate": {"votes": "hate_speech", "of": "count"}}
    )
    assert (len(found), found[0].id, found[-1].id) == (24_783, "s:0", "s:25296")
