"""Files with a row an annotation: one example an item, its cells the means of what its annotators said."""

from __future__ import annotations

import csv
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sources import corpus, examples, jsonl, refusal, source
from train.data.encoding import Encoder
from train.data.reading import read
from train.example import TURN


@pytest.fixture(autouse=True)
def _inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def item(key: Any, text: str, said: Any, **more: Any) -> dict[str, Any]:
    return {"k": key, "t": text, "h": said, **more}


def test_a_cell_is_the_mean_of_the_known_ones() -> None:
    table = [
        item("x", "a", 1),
        item("y", "b", None),
        item("x", "a", 0),
        item("x", "a", None),
        item("z", "c", 0.3),
    ]
    found = examples(jsonl("x.jsonl", table), aggregate={"by": "k"})
    assert [(e.id, e.text, e.labels["hate"]) for e in found] == [
        ("s:0", "a", 0.5),
        ("s:1", "b", None),
        ("s:4", "c", 0.3),
    ]


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([0, 0.25, 1, None])), min_size=1, max_size=30)
)
def test_means_in_any_order(rows: list[tuple[str, float | None]]) -> None:
    path = jsonl("h.jsonl", [item(key, f"text {key}", said) for key, said in rows])
    found = {e.text[-1]: e.labels["hate"] for e in examples(path, aggregate={"by": "k"})}
    assert list(found) == list(dict.fromkeys(key for key, _ in rows))
    for key, value in found.items():
        known = [said for of, said in rows if of == key and said is not None]
        assert value == (pytest.approx(sum(known) / len(known)) if known else None)


def test_several_columns_and_equal_numbers_make_an_item() -> None:
    rows = [
        item(1, "a", 1, n="x"),
        item("1.0", "a", 0, n="x"),
        item(1.0, "a", 0, n="x"),
        item(1, "a", 1, n="y"),
    ]
    found = examples(jsonl("x.jsonl", rows), aggregate={"by": ("k", "n")})
    values = {e.id: e.labels["hate"] for e in found}
    assert values in ({"s:0": 0.5, "s:1": 0.0, "s:3": 1.0}, {"s:0": pytest.approx(1 / 3), "s:3": 1.0})


def test_rows_of_no_item_are_not_one_item() -> None:
    rows = [item("x", "a", 1), item("", "b", 1), item(None, "c", 0), item("x", "a", 0)]
    path = jsonl("x.jsonl", rows)
    message = refusal(path, aggregate={"by": "k"})
    assert message.startswith('x.jsonl:2: aggregate.by: "k" is empty, 2 times; also 3')
    assert "bad_rows: drop" in message
    reading = read("s", source(path, aggregate={"by": "k"}, bad_rows="drop"))
    assert [e.labels["hate"] for e in reading] == [0.5]
    assert reading.left_out == {"of no item": 2}
    rows = [item("x", "a", 1, n=""), item("x", "a", 0, n="")]  # one of several may be empty
    assert len(examples(jsonl("y.jsonl", rows), aggregate={"by": ("k", "n")})) == 1


def test_rows_of_an_item_that_disagree_are_findings_with_both_places() -> None:
    rows = [
        item("x", "a", 1, g="1", l="en"),
        item("x", "A", 1, g="1", l="en"),
        item("x", "a", 1, g="2", l="de"),
    ]
    message = refusal(
        jsonl("x.jsonl", rows), aggregate={"by": "k"}, group="g", slices={"lang": {"column": "l"}}
    )
    assert [line for line in message.splitlines() if line[0] != " "] == [
        "x.jsonl:2: text differ from x.jsonl:1, a row of the same item",
        "x.jsonl:3: group, slices differ from x.jsonl:1, a row of the same item",
    ]
    rows = [item("x", "a", 1, s="dev"), item("x", "a", 1, s="test")]
    said = {"column": "s", "map": {"dev": "dev", "test": "test"}}
    assert "x.jsonl:2: split differ" in refusal(jsonl("x.jsonl", rows), aggregate={"by": "k"}, split=said)
    one, two = jsonl("1.jsonl", rows[:1]), jsonl("2.jsonl", rows[1:])
    message = refusal({"any": one, "test": two}, aggregate={"by": "k"})
    assert message.startswith("2.jsonl:1: split differ from 1.jsonl:1")


def test_ids_are_those_of_the_first_rows_and_unique() -> None:
    rows = [item("x", "a", 1, i="p"), item("y", "b", 1, i="q"), item("x", "a", 1, i="r")]
    path = jsonl("x.jsonl", rows)
    assert [e.id for e in examples(path, aggregate={"by": "k"}, id="i")] == ["s:p", "s:q"]
    rows[1]["i"] = "p"
    message = refusal(jsonl("x.jsonl", rows), aggregate={"by": "k"}, id="i")
    assert message.startswith("x.jsonl:2: the id is that of another item, at x.jsonl:1")
    assert [e.id for e in examples(path, aggregate={"by": "t"}, id="k")] == ["s:x", "s:y"], "an item's own id"


def test_wrong_cells_of_an_item_are_findings() -> None:
    path = jsonl("x.jsonl", [item("x", "a", 1), item("x", "a", "yes")])
    assert 'x.jsonl:2: labels.hate: column "h" has values' in refusal(path, aggregate={"by": "k"})
    assert 'aggregate.by: no column "j"' in refusal(path, aggregate={"by": ("k", "j")})
    path = jsonl("x.jsonl", [item(["x"], "a", 1)])
    assert "x.jsonl:1: id, group, split, slice or item: a list" in refusal(path, aggregate={"by": "k"})


CONVABUSE = {
    "delimiter": ";",
    "turns": [
        {"speaker": "bot", "text": "Input.prev_agent"},
        {"speaker": "user", "text": "Input.prev_user"},
        {"speaker": "bot", "text": "Input.agent"},
        {"speaker": "user", "text": "Input.user"},
    ],
    "aggregate": {
        "by": ("Input.conv_id", "Input.prev_agent", "Input.prev_user", "Input.agent", "Input.user")
    },
    "group": "Input.conv_id",
    "labels": {"harassment": {"column": "is_abuse", "map": {"-3": 1, "-2": 1, "-1": 1, "0": 0.5, "1": 0}}},
    "bad_rows": "drop",
}


def test_the_real_annotations(real_data: Path) -> None:
    path = real_data / "convabuse" / "convabuse.csv"
    columns = CONVABUSE["aggregate"]["by"]  # type: ignore[index]
    said: dict[tuple[str, ...], list[float]] = defaultdict(list)
    rows = 0
    with path.open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream, delimiter=";"):
            rows += 1
            if not any(row.values()):
                continue
            judged = int(float(row["is_abuse"]))
            said[tuple(row[column].strip() for column in columns)].append(
                1.0 if judged < 0 else 0.5 if judged == 0 else 0.0
            )
    reading = read("convabuse", source(path, **CONVABUSE))
    found = list(reading)
    assert (len(said), sum(map(len, said.values()))) == (4_092, 12_125)
    assert len(said.pop(("",) * 5)) == 3, "one of the items has a judgement and no words"
    assert len(found) == len(said) == 4_091 == len({e.id for e in found})
    assert reading.rows == rows
    assert reading.left_out == {"without a last turn": rows - 12_122}
    for example, (key, votes) in zip(found, said.items(), strict=True):
        spoken = [
            f"{speaker}: {text}" for speaker, text in zip(("bot", "user") * 2, key[1:], strict=True) if text
        ]
        assert example.text == TURN.join(spoken)
        assert example.group == f"convabuse:{key[0]}"
        assert example.labels["harassment"] == pytest.approx(sum(votes) / len(votes))


# --- all_negative -------------------------------------------------------------------------------------------


def test_all_negative_knows_what_the_source_does_not_name(encoder: Encoder) -> None:
    one = jsonl("a.jsonl", [{"t": f"a {i}", "h": i % 2, "g": i % 3 == 0} for i in range(60)])
    two = jsonl("b.jsonl", [{"t": f"b {i}", "h": [0, 1, None][i % 3]} for i in range(60)])
    mapped = {"text": "t", "licence": "MIT"}
    entries = {
        "a": {"path": one, **mapped, "labels": {"hate": "h", "grooming": "g"}},
        "b": {"path": two, **mapped, "labels": {"hate": "h"}},
    }
    plain = corpus(encoder, **entries)
    entries["b"]["all_negative"] = True
    found = corpus(encoder, **entries)
    assert found.labels == ("grooming", "hate")
    theirs = found.source == "b"
    assert np.isnan(plain.targets[theirs, 0]).all()
    assert (found.targets[theirs, 0] == 0).all()
    assert np.array_equal(found.targets[:, 1], plain.targets[:, 1], equal_nan=True)
    assert np.isnan(found.targets[theirs, 1]).sum() == 20, "a named label's empty cell stays unknown"
    assert np.array_equal(found.targets[~theirs], plain.targets[~theirs], equal_nan=True)
    only = corpus(encoder, ["hate"], **entries)
    assert np.array_equal(only.targets, found.targets[:, 1:], equal_nan=True)


def test_a_source_without_a_label_column_is_all_negative(encoder: Encoder) -> None:
    one = jsonl("a.jsonl", [{"t": f"a {i}", "h": i % 2} for i in range(60)])
    two = jsonl("b.jsonl", [{"t": f"b {i}"} for i in range(60)])
    mapped = {"text": "t", "licence": "MIT"}
    found = corpus(
        encoder,
        a={"path": one, **mapped, "labels": {"hate": "h"}},
        b={"path": two, **mapped, "all_negative": True},
    )
    theirs = found.source == "b"
    assert theirs.sum() == 60 and (found.targets[theirs] == 0).all()
    assert found.targets[~theirs].mean() == 0.5


def test_all_negative_against_a_twin_that_says_yes_is_a_contradiction(encoder: Encoder) -> None:
    one = jsonl("a.jsonl", [{"t": f"text {i}", "h": 1, "g": 1} for i in range(60)])
    two = jsonl("b.jsonl", [{"t": f"Text {i}", "h": 1} for i in range(0, 60, 2)])
    mapped = {"text": "t", "licence": "MIT"}
    found = corpus(
        encoder,
        a={"path": one, **mapped, "labels": {"hate": "h", "grooming": "g"}},
        b={"path": two, **mapped, "labels": {"hate": "h"}, "all_negative": True},
    )
    assert found.contradictions == {"grooming": 30}
    assert found.targets[:4, 0].tolist() == [0.5, 1.0, 0.5, 1.0]
