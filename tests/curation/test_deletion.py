"""Deletion by id, where a row's words stand elsewhere, too: as context of later messages, and by a hash."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.curation.curations import CONTRACT, WORDS, written
from train.cli import main
from train.curation.build import build
from train.curation.curation import load
from train.curation.production import in_other_words
from train.data.delivered import read as read_manifest
from train.files import cache_folder
from train.llm import answers
from train.llm.answers import Answer, Answers
from train.terminal import Terminal

CHATS = """
schema: 1
name: chats
version: 1.0.0
about: a message a row
policy: policy.yaml
contract: contract.yaml
data:
  split: {seed: 3, dev: 0.1, calibration: 0.1, test: 0.1}
  sources:
    chat: {path: chats.jsonl, turns: {thread: in, order: at, speaker: by, text: t, judged: every, context: 2},
      id: n, labels: {hate: h}, slices: {lang: en}, licence: MIT}
audit: null
"""
SAID = "zyxdeleted word of anna"


@pytest.fixture
def chats(tmp_path: Path) -> tuple[Path, Path]:
    """(curation file, folder): 40 threads of 6 messages. Message 2 of thread 7 is to be deleted, message 4 of
    it and of thread 8 say the same."""
    path = written(tmp_path, CHATS, CONTRACT.split("required:")[0] + CONTRACT[CONTRACT.index("retention") :])
    with (tmp_path / "chats.jsonl").open("w") as stream:
        for number in range(240):
            thread, at = divmod(number, 6)
            words = " ".join(WORDS[(number * k) % len(WORDS)] for k in (1, 5, 7, 11, 13))
            said = SAID if (thread, at) in {(7, 2), (7, 4), (8, 4)} else f"{words} {thread} {at}"
            row = {"n": f"{thread}-{at}", "in": thread, "at": at, "by": "ab"[at % 2], "t": said}
            stream.write(json.dumps(row | {"h": number % 3 == 0}) + "\n")
    return path, tmp_path / "to"


def texts(folder: Path) -> Iterator[tuple[str, str]]:
    """(id, all that is said in a row) of a delivery."""
    for part in read_manifest(folder).parts.values():
        for file in part.files.values():
            for row in pq.read_table(folder / file.path).to_pylist():
                yield row["id"], " / ".join(turn["text"] for turn in row["turns"])


def test_a_message_is_gone_from_what_came_after_it(chats: tuple[Path, Path]) -> None:
    path, to = chats
    first = build(load(path), to, Terminal(speaks=False)).delivery
    assert first is not None
    before = dict(texts(first))
    assert {id for id, said in before.items() if SAID in said and id.startswith("chat:7")} == {
        f"chat:7-{at}" for at in (2, 3, 4, 5)
    }
    assert main(["data", "delete", "--to", str(to), "--id", "chat:7-2"]) == 0
    after = dict(texts(to / "chats@1.0.1"))
    assert before.keys() - after.keys() == {"chat:7-2", "chat:7-3", "chat:7-4"}, "5 shows 4, no longer 2"
    assert "chat:8-5" in after
    path.write_text(CHATS.replace("version: 1.0.0", "version: 1.1.0\nprevious: chats@1.0.1"))
    again = build(load(path), to, Terminal(speaks=False)).delivery
    assert again is not None
    now = dict(texts(again))
    assert now.keys() == before.keys() - {"chat:7-2"}
    words = {at: before[f"chat:7-{at}"].split(" / ")[-1] for at in range(6)}
    assert now["chat:7-3"] == " / ".join(words[at] for at in (0, 1, 3))
    assert now["chat:7-4"] == " / ".join(words[at] for at in (1, 3, 4))


def test_verdicts_on_deleted_texts_are_gone(chats: tuple[Path, Path]) -> None:
    path, to = chats
    build(load(path), to, Terminal(speaks=False), "gather")
    (shard,) = (to / "work/gather").glob("*.parquet")
    rows = {row["id"]: row["text"] for row in pq.read_table(shard).to_pylist()}
    kept = Answers("a" * 64)
    for id in ("chat:7-2", "chat:7-3", "chat:9-1"):
        kept.keep(rows[id], Answer([0.5], 3, 4))
    kept.keep(in_other_words(rows["chat:7-2"]), Answer(["said otherwise"], 3, 4))
    kept.close()
    (file,) = (cache_folder() / "verdicts").glob("*.jsonl")
    with file.open("ab") as stream:
        stream.write(b'{"text": "cut')
    assert main(["data", "delete", "--to", str(to), "--id", "chat:7-2"]) == 0
    left = Answers("a" * 64)
    assert [left.get(rows[id]) is None for id in ("chat:7-2", "chat:7-3", "chat:9-1")] == [True, True, False]
    assert left.get(in_other_words(rows["chat:7-2"])) is None and b"otherwise" not in file.read_bytes()
    left.close()
    assert answers.forget([]) == 0 and file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--to", "{to}"], "says no id"),
        (["--to", "{to}", "--ids", "none.txt"], "none.txt: cannot be read"),
        (["--to", "{to}-elsewhere", "--id", "a:b"], "holds neither work nor deliveries"),
        (["--to", "{to}", "--id", "nowhere"], "SOURCE:ID"),
    ],
)
def test_a_deletion_that_would_do_nothing(
    chats: tuple[Path, Path], arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody is told that something is gone where nothing was looked at."""
    path, to = chats
    build(load(path), to, Terminal(speaks=False), "gather")
    assert main(["data", "delete", *(a.format(to=to) for a in arguments)]) == 2
    assert said in capsys.readouterr().err
    assert not Path(f"{to}-elsewhere").exists() and not (to / "deleted.txt").exists()


def test_an_id_that_is_nowhere_is_named(chats: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    path, to = chats
    build(load(path), to, Terminal(speaks=False), "gather")
    assert main(["data", "delete", "--to", str(to), "--id", "chat:7-2", "--id", "chat:99"]) == 0
    assert "no row here has chat:99" in capsys.readouterr().err
