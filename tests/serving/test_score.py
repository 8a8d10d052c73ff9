"""`teensafe score`: texts and conversations in, read as training reads them."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.sources import examples, jsonl
from train.errors import InputError
from train.example import TURN
from train.serving.predictor import Predictor
from train.serving.score import records, score

YOU, TRASH = {"role": "user", "content": "you"}, {"role": "user", "content": "trash"}
SAID = [{"speaker": "user", "text": " you "}, {"speaker": "bot", "text": ""}, TRASH]
MESSAGES = [YOU, {"role": "bot", "content": None}, TRASH]
NO_TURN = "with a turn that is not {speaker, text} or {role, content}"


@pytest.fixture(autouse=True)
def _inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def read(path: str) -> list[str]:
    return [text for _, text in records(Path(path))]


def refusal(row: dict[str, Any]) -> str:
    jsonl("bad.jsonl", [{"text": "fine"}, row])
    with pytest.raises(InputError) as caught:
        list(records(Path("bad.jsonl")))
    message = str(caught.value)
    assert message.startswith("bad.jsonl:2: ")
    return message.splitlines()[0].removeprefix("bad.jsonl:2: ")


def test_turns_are_read_as_training_reads_them() -> None:
    told = [SAID, MESSAGES, [{"speaker": "a", "text": f"x{TURN}y"}]]
    path = jsonl("x.jsonl", [{"c": turns, "h": 1} for turns in told])
    trained = [e.text for e in examples(path, turns="c")]
    assert read(jsonl("y.jsonl", [{"turns": turns} for turns in told])) == trained
    assert trained[0] == trained[1] == f"user: you{TURN}user: trash"


def test_texts_and_turns_may_stand_in_one_file() -> None:
    rows = [
        {"text": "plain"},
        {"turns": SAID},
        {"text": None, "turns": SAID},
        {"text": "", "turns": MESSAGES},
    ]
    rows += [{"text": "again", "turns": None}, {"text": "so", "turns": ""}, {"text": ""}]
    expected = ["plain", *[f"user: you{TURN}user: trash"] * 3, "again", "so", ""]
    assert read(jsonl("x.jsonl", rows)) == expected
    with Path("x.csv").open("w", newline="") as stream:
        table = [["text", "turns"], ["plain", ""], ["", json.dumps(MESSAGES)]]
        csv.writer(stream).writerows(table)
    assert read("x.csv") == expected[:2]
    turn = pa.struct([("role", pa.string()), ("content", pa.string())])
    columns = {"text": ["plain", None], "turns": pa.array([None, MESSAGES], pa.list_(turn))}
    pq.write_table(pa.table(columns), "x.parquet")
    assert read("x.parquet") == expected[:2]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"turns": []}, "turns: a conversation without a last turn"),
        ({"turns": [{"speaker": "a", "text": " "}]}, "turns: a conversation without a last turn"),
        ({"turns": "hello"}, "turns: a conversation without a list of turns"),
        ({"turns": {"speaker": "a", "text": "b"}}, "turns: a conversation without a list of turns"),
        ({"turns": [{"speaker": "a", "text": 5}]}, "turns: a conversation with a turn that is no text"),
        (
            {"turns": ["a"]},
            f"turns: a conversation {NO_TURN}",
        ),
        ({"turns": SAID, "text": "both"}, "both `text` and `turns`"),
        ({"turns": None}, "no column `text`"),
        ({"turns": None, "text": None}, "text is NoneType, not a string"),
        ({"text": 5}, "text is int, not a string"),
    ],
)
def test_what_cannot_be_judged_is_an_error_at_its_place(row: dict[str, Any], said: str) -> None:
    assert refusal(row) == said


def test_no_remedy_names_what_only_a_recipe_can_say() -> None:
    for text in ('text\n"open\n', "text;id\na;1\n", "text\na\0\n"):
        Path("x.csv").write_text(text)
        with pytest.raises(InputError) as raised:
            read("x.csv")
        assert not any(word in str(raised.value) for word in ("quotes:", "delimiter:", "encoding:"))
    Path("x.csv").write_text('text\n"open\n')
    with pytest.raises(InputError, match=r"x.csv:2: a quote mark opens .*\n    try: write it as JSONL"):
        read("x.csv")


def test_a_text_cannot_pass_for_turns() -> None:
    assert read(jsonl("x.jsonl", [{"text": f"a{TURN}b"}])) == ["a b"]


def test_conversations_are_scored(trained_once: Path, tmp_path: Path) -> None:
    (run,) = (trained_once / "runs").iterdir()
    predictor = Predictor.load(str(run))
    told = jsonl("x.jsonl", [{"id": "t", "turns": SAID}, {"id": "u", "text": "user: you\nuser: trash"}])
    assert score(predictor, Path(told), tmp_path / "out.jsonl", lambda rows: None) == 2
    turns, text = (json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines())
    assert (turns["id"], text["id"]) == ("t", "u")
    assert turns["scores"] == pytest.approx(text["scores"], abs=1e-6), "turns are lines to the model"
    bad = jsonl("bad.jsonl", [{"turns": SAID}, {"turns": []}])
    with pytest.raises(InputError, match=r"bad\.jsonl:2: turns"):
        score(predictor, Path(bad), tmp_path / "never.jsonl", lambda rows: None)
    assert not (tmp_path / "never.jsonl").exists()
