"""Files with a message a row: what of a thread a message is shown with, and what cannot be placed."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.sources import examples, jsonl, refusal, source
from train.data.messages import Messages, in_context
from train.data.reading import read
from train.example import TURN

TURNS = {"thread": "in", "order": "at", "speaker": "by", "text": "t"}


@pytest.fixture(autouse=True)
def _inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def message(thread: Any, at: Any, text: Any, by: Any = "ann", h: Any = 0, **more: Any) -> dict[str, Any]:
    return {"in": thread, "at": at, "by": by, "t": text, "h": h, "id": f"{thread}{at}", **more}


ROWS = [
    message("x", 1, "one", h=1),
    message("y", 1, "alone", "cy"),
    message("x", 3, " three ", h=None),
    message("x", 2, "two", "bob"),
]


def texts(rows: list[dict[str, Any]], **turns: Any) -> dict[str, str]:
    return {e.id: e.text for e in examples(jsonl("x.jsonl", rows), turns=TURNS | turns, id="id")}


def test_the_last_message_of_a_thread_is_judged_with_those_before_it() -> None:
    reading = read("s", source(jsonl("x.jsonl", ROWS), turns=TURNS, id="id"))
    found = list(reading)
    assert [(e.id, e.group, e.text, e.labels["hate"]) for e in found] == [
        ("s:y1", "s:y", "cy: alone", 0.0),
        ("s:x3", "s:x", TURN.join(("ann: one", "bob: two", "ann: three")), None),
    ]
    assert reading.rows == 4
    assert reading.left_out == {"before the message that is judged": 2}


def test_every_message_is_judged_in_its_context() -> None:
    found = examples(jsonl("x.jsonl", ROWS), turns=TURNS | {"judged": "every", "context": 1})
    assert [(e.id, e.text, e.labels["hate"]) for e in found] == [
        ("s:0", "ann: one", 1.0),
        ("s:1", "cy: alone", 0.0),
        ("s:2", f"bob: two{TURN}ann: three", None),
        ("s:3", f"ann: one{TURN}bob: two", 0.0),
    ], "in the order of the file, each with its own row's number and cells"
    assert {e.group for e in found} == {"s:x", "s:y"}


@pytest.mark.parametrize(("context", "turns"), [(0, 1), (1, 2), (2, 3), (6, 3)])
def test_context_is_bounded(context: int, turns: int) -> None:
    assert texts(ROWS, context=context)["s:x3"].count(TURN) == turns - 1


def test_only_chooses_among_the_judged_and_the_others_are_context() -> None:
    path = jsonl("x.jsonl", ROWS)
    reading = read("s", source(path, turns=TURNS | {"judged": "every"}, only={"by": ["bob"]}))
    assert [e.text for e in reading] == [f"ann: one{TURN}bob: two"]
    assert reading.left_out == {"not among `only`": 3}


@pytest.mark.parametrize(
    "order",
    [
        ["9", "10", "011"],
        [-1, 0.5, 1e3],
        [2**60, 2**60 + 1, 2**60 + 2],
        ["2026-01-09", "2026-01-10T08:00:00", "2026-01-10T08:00:00.5Z"],
        [0, "1970-01-01T00:00:01.5Z", "2"],
        ["2026-01-10T10:00:00+02:00", "2026-01-10T08:30:00Z", "2026-01-10T08:00:00-01:00"],
    ],
)
def test_order_is_of_numbers_and_times_not_of_their_spelling(order: list[Any]) -> None:
    rows = [message("x", at, f"m{i}") | {"id": i} for i, at in enumerate(order)]
    for shuffled in (rows, rows[::-1], [rows[1], rows[2], rows[0]]):
        assert texts(shuffled) == {"s:2": TURN.join(f"ann: m{i}" for i in range(3))}


def test_times_in_parquet() -> None:
    at = [datetime(2026, 1, 1, 10, 0, 0, 5, UTC), datetime(2026, 1, 1, 10, tzinfo=UTC)]
    columns = {"in": [7, 7], "at": at, "by": ["a", "b"], "t": ["second", "first"], "h": [1, 0], "id": [1, 2]}
    pq.write_table(pa.table(columns), "x.parquet")
    (found,) = examples("x.parquet", turns=TURNS)
    assert (found.text, found.group) == (f"b: first{TURN}a: second", "s:7")


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        (message(None, 4, "t"), "without a thread"),
        (message("x", " ", "t"), "without an order"),
        (message("x", "soon", "t"), "whose order is neither number nor time"),
        (message("x", "3.0", "t"), "at a place of its thread that another message has"),
        (message("x", 4, "t", ""), "without a speaker"),
        (message("x", 4, "t", ["a"]), "without a speaker"),
        (message("x", 4, " "), "empty"),
        (message("x", 4, None), "empty"),
        (message("x", 4, 5), "with a turn that is no text"),
    ],
)
def test_a_message_that_cannot_be_placed(row: dict[str, Any], fault: str) -> None:
    path = jsonl("x.jsonl", [*ROWS, row])
    assert refusal(path, turns=TURNS).splitlines() == [
        f"x.jsonl:5: 1 row has no usable text (1 {fault})",
        "    expected: a thread, a place in it that no other message has, a speaker and a text in every row",
        "    try: set bad_rows: drop to leave such rows out",
    ]
    reading = read("s", source(path, turns=TURNS, id="id", bad_rows="drop"))
    assert {e.id: e.text for e in reading} == texts(ROWS), "it is in no context"
    assert reading.left_out[fault] == 1


def test_two_files_are_two_conversations_of_one_group() -> None:
    paths = {"train": jsonl("a.jsonl", ROWS[:1]), "test": jsonl("b.jsonl", ROWS[2:])}
    assert [(e.split, e.group, e.text.count(TURN)) for e in examples(paths, turns=TURNS)] == [
        ("train", "s:x", 0),
        ("test", "s:x", 1),
    ]


def test_a_repeated_id_is_told_of_judged_messages_only() -> None:
    rows = [row | {"id": "same"} for row in ROWS]
    assert "x.jsonl:3: the id is already at x.jsonl:2" in refusal(
        jsonl("x.jsonl", rows), turns=TURNS, id="id"
    )
    (_, x) = examples(jsonl("y.jsonl", [rows[0], ROWS[1], *rows[2:]]), turns=TURNS, id="id")
    assert x.id == "s:same"


def test_a_column_that_is_not_there() -> None:
    assert 'turns.order: no column "att"' in refusal(jsonl("x.jsonl", ROWS), turns=TURNS | {"order": "att"})


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"group": "in"}, "turns.thread is the group"),
        ({"pair": ["id", "by"]}, "turns.thread is the group"),
        ({"aggregate": {"by": "id"}}, "turns.thread is the group"),
        ({"turns": TURNS | {"speaker": "t"}}, "turns.speaker reads the text column t"),
        ({"turns": TURNS | {"context": -1}}, "greater than or equal to 0"),
    ],
)
def test_what_does_not_go_together(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        source("x.jsonl", **{"turns": TURNS, **fields})


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 30)), unique=True, max_size=25),
    st.integers(0, 5),
    st.sampled_from(("last", "every")),
    st.randoms(use_true_random=False),
)
def test_a_message_is_shown_with_what_came_before_it_and_nothing_else(
    places: list[tuple[str, int]], context: int, judged: Any, draw: random.Random
) -> None:
    """However the rows stand in the file: the turns are those of the thread, at most `context` before, none
    after, none of another thread; and rows come out as many as went in, in their order."""
    draw.shuffle(places)
    rows = [(str(i), message(thread, at, f"{thread}{at}")) for i, (thread, at) in enumerate(places)]
    found = list(in_context(Messages(**TURNS, context=context, judged=judged), rows))
    assert [(where, cells | {"t": None}) for where, cells in found] == [
        (where, cells | {"t": None}) for where, cells in rows
    ]
    for (thread, at), (_, cells) in zip(places, found, strict=True):
        of_thread = sorted(one for name, one in places if name == thread)
        if judged == "last" and at != of_thread[-1]:
            assert cells["t"] is None
        else:
            before = [one for one in of_thread if one < at][-context:] if context else []
            assert cells["t"] == [("ann", f"{thread}{one}") for one in (*before, at)]
