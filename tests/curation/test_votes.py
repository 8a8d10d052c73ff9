"""Votes: read from sources, kept whole and for ever, the last of each person holding."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.curation.people import convabuse
from train.curation.people.votes import Vote, forget, gathered, keep, kept, of_source, standing, table
from train.data.reading import read
from train.data.source import Source
from train.errors import Failure
from train.policy import Policy

DAVIDSON = {
    "text": "tweet",
    "labels": {
        "hate": {"votes": "hate_speech", "of": "count"},
        "harassment": {"votes": ["hate_speech", "offensive_language"], "of": "count"},
    },
    "licence": "MIT",
}


def means(votes: pa.Table) -> dict[tuple[str, str], float]:
    said: dict[tuple[str, str], list[float]] = {}
    for vote in votes.to_pylist():
        said.setdefault((vote["item"], vote["label"]), []).append(vote["value"])
    return {key: float(np.mean(values)) for key, values in said.items()}


def test_convabuse_a_row_a_vote(real_data: Path) -> None:
    source = convabuse(real_data)
    votes = of_source("convabuse", source)
    assert len(votes) == 2 * 12_122 and votes.column("value").null_count == 0
    cells = {(e.id, label): value for e in read("convabuse", source) for label, value in e.labels.items()}
    assert len(cells) == 2 * 4_091
    assert means(votes) == pytest.approx(cells)
    assert len(set(votes.column("ballot").to_pylist())) == 12_122


def test_davidson_counts_of_votes(real_data: Path) -> None:
    source = Source(path=str(real_data / "davidson" / "labeled_data.csv"), **DAVIDSON)  # type: ignore[arg-type]
    votes = of_source("davidson", source)
    cells = {(e.id, label): value for e in read("davidson", source) for label, value in e.labels.items()}
    assert means(votes) == pytest.approx(cells)
    people = Counter(votes.filter(pa.compute.equal(votes.column("label"), "hate")).column("item").to_pylist())
    with Path(str(source.path)).open(newline="", encoding="utf-8") as stream:
        counts = [int(row["count"]) for row in csv.DictReader(stream)]
    assert [people[f"davidson:{n}"] for n in range(24_783)] == counts


def test_who_annotated_and_what_is_nobodys_vote(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("t,who,h\na,ann,1\na,bob,0\nb,ann,\nb,,1\n")
    by = {**TEXT, "aggregate": {"by": "t", "annotator": "who"}, "labels": {"hate": "h"}}
    votes = of_source("x", Source(path=str(path), **by)).to_pylist()  # type: ignore[arg-type]
    said = [(vote["item"], vote["annotator"], vote["value"]) for vote in votes]
    assert said == [("x:0", "x:ann", 1), ("x:0", "x:bob", 0), ("x:2", "x:ann", None), ("x:2", None, 1)]
    path.write_text("t,y,n\na,0.5,2.5\nb,1,2\n")
    weights = {**TEXT, "labels": {"hate": {"votes": "y", "of": "n"}}}
    votes = of_source("x", Source(path=str(path), **weights)).to_pylist()  # type: ignore[arg-type]
    assert [(vote["item"], vote["value"]) for vote in votes] == [("x:1", 1), ("x:1", 0)]
    weights["labels"] = {"hate": "y"}
    assert len(of_source("x", Source(path=str(path), **weights))) == 0  # type: ignore[arg-type]


TEXT = {"text": "t", "licence": "MIT"}
VOTES = [Vote("s:1", "hate", "p1", 1.0, 0, "7", "toy 1.0.0", "a.json"), Vote("s:2", "hate", None, None)]


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_kept_for_ever(tmp_path: Path) -> None:
    first = keep(tmp_path, table(VOTES))
    before = content(tmp_path)
    assert keep(tmp_path, table(VOTES)) == first
    assert keep(tmp_path, table([vote._replace(file="copy.json") for vote in VOTES])) == first
    assert content(tmp_path) == before
    second = keep(tmp_path, table(VOTES[:1]))
    assert keep(tmp_path, table(VOTES)) == first
    assert content(tmp_path).items() > before.items()
    assert kept(tmp_path).to_pylist() == [vote._asdict() for vote in [*VOTES, *VOTES[:1]]]
    assert [path.stat().st_mode & 0o777 for path in (first, second, tmp_path)] == [0o600, 0o600, 0o700]


@pytest.mark.parametrize("damage", [lambda b: b[:-40], lambda b: b""])
def test_a_damaged_part_is_refused(tmp_path: Path, damage: Any) -> None:
    path = keep(tmp_path, table(VOTES))
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(Failure, match=r"not what was imported"):
        kept(tmp_path)


def test_other_votes_under_its_name_are_refused(tmp_path: Path) -> None:
    path, other = keep(tmp_path, table(VOTES)), keep(tmp_path / "b", table(VOTES[1:]))
    path.write_bytes(other.read_bytes())
    with pytest.raises(Failure, match=r"not what was imported"):
        kept(tmp_path)


def test_deleted_rows_take_their_votes_along(tmp_path: Path) -> None:
    keep(tmp_path, table(VOTES))
    keep(tmp_path, table(VOTES[:1]))
    last = keep(tmp_path, table(VOTES[1:]))
    assert forget(tmp_path, ["s:1"]) == 2
    assert {vote["item"] for vote in kept(tmp_path).to_pylist()} == {"s:2"}
    assert last.exists()
    assert forget(tmp_path, ["s:1"]) == 0


def test_the_last_vote_of_a_person_holds(policy: Policy) -> None:
    """An export that is taken again when more is done: what it repeats counts once, what was changed as it is
    now."""
    one = Vote("s:1", "hate", "p1", 1.0, ballot="7", policy="toy 1.0.0")
    nobody = one._replace(annotator=None)
    week = [one, one._replace(annotator="p2"), nobody, nobody._replace(ballot="8")]
    changed = one._replace(value=0.0, ballot="9")
    adjudicated = one._replace(round=1)
    votes, counts = standing(gathered([table(week), table([*week[1:], changed, adjudicated])]), policy)
    assert votes.to_pylist() == [vote._asdict() for vote in [*week[1:], changed, adjudicated]]
    assert counts == {"votes.repeated": 4}


def test_votes_under_another_policy_do_not_hold(policy: Policy) -> None:
    """A major version turns some decision around: old votes are to be read again. Others keep them valid."""
    unders = ("toy 1.0.0", None, "other 2.0.0", "toy 2.1.0")
    votes = [Vote(f"s:{n}", "hate", "p", 1.0, policy=under) for n, under in enumerate(unders)]
    for version, held in (("1.4.2", ["s:0", "s:1"]), ("2.0.0", ["s:1", "s:3"])):
        found, counts = standing(table(votes), policy.model_copy(update={"version": version}))
        assert found.column("item").to_pylist() == held
        assert counts == {"votes.other_policy": 2}
