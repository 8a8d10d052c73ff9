"""Conversations: as columns and as lists, and what of them fits."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.sources import examples, jsonl, refusal
from train.data.encoding import Encoder, Encoding, MaxLength
from train.data.reading import read
from train.example import TURN

COLUMNS = [
    {"speaker": "user", "text": "a"},
    {"speaker": "bot", "text": "b"},
    {"speaker": "user", "text": "c"},
]
SAID = [
    {"speaker": "user", "text": "one"},
    {"speaker": "bot", "text": " two "},
    {"speaker": "user", "text": "three"},
]
EXPECTED = f"user: one{TURN}bot: two{TURN}user: three"


@pytest.fixture(autouse=True)
def _inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def texts(*values: Any, **fields: Any) -> list[str]:
    path = jsonl("list.jsonl", [{"c": value, "h": 1} for value in values])
    return [e.text for e in examples(path, turns="c", **fields)]


def fault(value: Any) -> str:
    message = refusal(jsonl("fault.jsonl", [{"c": "[]", "h": 1}, {"c": value, "h": 1}]), turns="c")
    return message.splitlines()[0]


def test_turns_in_columns() -> None:
    rows = [("one", " two\n", "three"), ("", "two", "three"), (None, None, "three"), ("one", "", "three")]
    path = jsonl("x.jsonl", [{"a": a, "b": b, "c": c, "h": 1} for a, b, c in rows])
    assert [e.text for e in examples(path, turns=COLUMNS)] == [
        EXPECTED,
        f"bot: two{TURN}user: three",
        "user: three",
        f"user: one{TURN}user: three",
    ]


def test_turns_in_columns_that_cannot_be_judged() -> None:
    path = jsonl("x.jsonl", [{"a": "one", "b": "two", "c": c, "h": 1} for c in ("", " ", None, "x")])
    assert refusal(path, turns=COLUMNS).startswith(
        "x.jsonl:1: 3 rows have no usable text (3 without a last turn); also 2, 3\n"
    )
    reading = read("s", source_of(path))
    assert [e.id for e in reading] == ["s:3"]
    assert reading.left_out == {"without a last turn": 3}
    path = jsonl("y.jsonl", [{"a": 5, "b": "two", "c": "three", "h": 1}])
    assert "1 with a turn that is no text" in refusal(path, turns=COLUMNS), "never dropped without a word"
    assert 'turns: no column "b"' in refusal(jsonl("z.jsonl", [{"a": "x", "c": "y", "h": 1}]), turns=COLUMNS)


def source_of(path: str) -> Any:
    from tests.sources import source

    return source(path, turns=COLUMNS, bad_rows="drop")


def test_a_list_of_turns() -> None:
    messages = [{"role": turn["speaker"], "content": turn["text"]} for turn in SAID]
    assert texts(SAID, messages) == [EXPECTED, EXPECTED]
    tool = [messages[0], {"role": "bot", "content": None, "tool_calls": [{}]}, messages[2]]
    assert texts(tool) == [f"user: one{TURN}user: three"], "a message that only calls a tool has no text"
    assert texts(SAID[2:]) == ["user: three"]


def test_a_list_of_turns_written_as_json_in_a_csv() -> None:
    with Path("x.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([["c", "h"], [json.dumps(SAID), 1], [json.dumps(SAID, indent=1), 0]])
    assert [e.text for e in examples("x.csv", turns="c")] == [EXPECTED, EXPECTED]


def test_a_list_of_turns_in_parquet() -> None:
    both = pa.struct([(key, pa.string()) for key in ("role", "content", "speaker", "text")])
    asked = [{"role": turn["speaker"], "content": turn["text"]} for turn in SAID]
    table = {"c": pa.array([SAID, asked], pa.list_(both)), "h": [1, 0]}
    pq.write_table(pa.table(table), "x.parquet")
    assert [e.text for e in examples("x.parquet", turns="c")] == [EXPECTED, EXPECTED]


@pytest.mark.parametrize("value", [None, "", "hello", "{}", 5, {"speaker": "a", "text": "b"}, "[" * 100_000])
def test_what_is_no_list_of_turns(value: Any) -> None:
    assert "1 without a list of turns" in fault(value)


@pytest.mark.parametrize(
    "value", [[], [{"speaker": "a", "text": ""}], [SAID[0], {"role": "a", "content": " "}]]
)
def test_no_last_turn(value: Any) -> None:
    assert "2 without a last turn" in fault(value)


@pytest.mark.parametrize("turn", ["x", {}, {"speaker": "a"}, {"text": "b"}, {"speaker": None, "text": "b"}])
def test_what_is_no_turn(turn: Any) -> None:
    assert "1 with a turn that is not {speaker, text} or {role, content}" in fault([turn, SAID[0]])
    assert "with a turn that is no text" in fault([{"speaker": "a", "text": [1]}, SAID[0]])


def test_a_text_cannot_pass_for_turns() -> None:
    cunning = f"hello{TURN}bot: I agree"
    assert texts([{"speaker": "user", "text": cunning}]) == ["user: hello bot: I agree"]
    assert texts([{"speaker": f"u{TURN}v", "text": "x"}]) == ["u v: x"]
    path = jsonl("x.jsonl", [{"t": cunning, "h": 1}, {"t": TURN, "h": 1}])
    assert [e.text for e in examples(path, bad_rows="drop")] == ["hello bot: I agree"]
    assert "1 empty" in refusal(path)


def test_a_conversation_is_one_text_with_one_limit() -> None:
    long = [{"speaker": "user", "text": "a" * 60_000}] * 2
    assert "1 longer than 100,000 characters" in fault(long)
    assert "half a character" in fault([{"speaker": "user", "text": "\ud800"}])


def test_a_conversation_and_its_transcript_are_twins() -> None:
    path = jsonl("x.jsonl", [{"c": SAID, "h": 1}])
    other = jsonl("y.jsonl", [{"t": "User: one bot: two  user: THREE", "h": 1}])
    assert examples(path, turns="c")[0].group == examples(other)[0].group


# --- what fits ----------------------------------------------------------------------------------------------


def ids(tokenizer: Any, text: str) -> list[int]:
    return tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]


@pytest.fixture(params=["truncate", "window"])
def fitting(request: pytest.FixtureRequest, tokenizer: Any) -> Encoder:
    length = MaxLength(tokens=16, overflow=request.param, stride=4)
    return Encoder(tokenizer, Encoding(max_length=length))


def conversation(*turns: str) -> str:
    return TURN.join(turns)


def test_the_last_turns_that_fit_are_kept_whole(tokenizer: Any, fitting: Encoder) -> None:
    """16 tokens hold [CLS], 14 more and [SEP]; each of these turns is 5 long."""
    turns = [
        f"{speaker}: {word} red blue"
        for speaker, word in zip("abcd", ("one", "two", "six", "ten"), strict=True)
    ]
    assert [len(ids(tokenizer, turn)) for turn in turns] == [5] * 4
    before, after = tokenizer.cls_token_id, tokenizer.sep_token_id
    (found,) = fitting([conversation(*turns)])
    assert found == [before, *ids(tokenizer, turns[2]), *ids(tokenizer, turns[3]), after]
    (found,) = fitting([conversation(*turns[:2])])
    assert found == [before, *ids(tokenizer, turns[0]), *ids(tokenizer, turns[1]), after]


def test_turns_that_fit_exactly_are_all_kept(tokenizer: Any, fitting: Encoder) -> None:
    turns = ["a: one red blue", "b: two red blue", "c: red blue"]
    assert sum(len(ids(tokenizer, turn)) for turn in turns) == 14
    (found,) = fitting([conversation(*turns)])
    assert found[1:-1] == [token for turn in turns for token in ids(tokenizer, turn)]
    (found,) = fitting([conversation("x: " + turns[0], *turns[1:])])  # two tokens more: the first one goes
    assert found[1:-1] == [token for turn in turns[1:] for token in ids(tokenizer, turn)]


def test_an_early_turn_does_not_come_back_after_one_that_is_too_long(
    tokenizer: Any, fitting: Encoder
) -> None:
    (found,) = fitting([conversation("a: hi", "b: " + "word " * 40, "c: bye")])
    assert found[1:-1] == ids(tokenizer, "c: bye")


def test_a_last_turn_longer_than_the_limit_is_a_text_like_any(tokenizer: Any, fitting: Encoder) -> None:
    last = "user: " + " ".join(f"w{i}" for i in range(20))
    whole = ids(tokenizer, last)
    (found,) = fitting([conversation("bot: hello", last)])
    assert found == fitting([last])[0]
    seen = fitting.windows(found)
    if len(found) == 16:
        assert found[1:-1] == whole[:14]
        assert len(seen) == 1
    else:
        assert found[1:-1] == whole
        assert all(len(window) <= 16 for window in seen)
        assert len(seen) > 1


def test_turns_change_nothing_for_the_texts_beside_them(tokenizer: Any, fitting: Encoder) -> None:
    plain = ["hello there", "a longer text " * 10, "line one\nline two"]
    alone = [fitting([text])[0] for text in plain]
    assert fitting([*plain, conversation("a: x", "b: y")])[:3] == alone


def test_a_tokenizer_that_spells_out_line_ends_pays_for_them(tiny_base: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"[UNK]": 0, "[PAD]": 1, "a": 2, "b": 3, "\n": 4}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split("\n", "isolated"), pre_tokenizers.Split(" ", "removed")]
    )
    spelled = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]", pad_token="[PAD]")
    encoder = Encoder(spelled, Encoding(max_length=MaxLength(tokens=8)))
    (found,) = encoder([conversation("a a a", "b b b b")])
    assert found == [2, 2, 2, 4, 3, 3, 3, 3]
    (found,) = encoder([conversation("a a a a", "b b b b")])
    assert found == [3, 3, 3, 3], "with the line's end they are 9"


def test_the_cache_knows_how_many_turns_fit(tokenizer: Any) -> None:
    """Windows are cut later, but which turns are seen depends on their size."""
    turns = conversation("a: one red blue", "b: two red blue", "c: three red blue")
    small, large = (
        Encoder(tokenizer, Encoding(max_length=MaxLength(tokens=n, overflow="window", stride=2)))
        for n in (8, 32)
    )
    assert small([turns]) != large([turns])
    assert small.digest != large.digest
