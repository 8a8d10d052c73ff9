"""`teensafe score`: a file of texts in, a line of JSON for each out, in the same order."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from train.data.rows import Table, resolve_format
from train.data.turns import NoConversation, joined, told, undivided
from train.data.values import Row
from train.errors import InputError, Problem
from train.files import whole_file
from train.serving.predictor import Predictor

_SETTING = re.compile(r"\b(columns|delimiter|encoding|format|quotes):")
_PLAIN = (
    "write it as JSONL in UTF-8; or as CSV with commas, a header line, and quote marks inside a field doubled"
)

CHUNK = 4_096
"""Texts held at once; within a chunk they are scored in order of length."""


def score(predictor: Predictor, source: Path, target: Path, advance: Callable[[int], None]) -> int:
    """Write {"id", "scores", "flags"} for each row of `source` (column `text`, or a conversation's `turns`;
    optional `id`) to `target`.

    The target appears when all is scored. A row whose `text` is missing or no string, or whose `turns` are no
    conversation, is an InputError: a text that was not judged must not look like one that was. Returns the
    number of rows.
    """
    count = 0
    if target.is_dir() or target.resolve() == source.resolve():
        what = "is a folder" if target.is_dir() else "is the input"
        raise InputError(Problem(str(target), f"--output {what}", "a file to write", "--output scores.jsonl"))
    with whole_file(target.resolve()) as part, part.open("w", encoding="utf-8") as stream:
        found = records(source)
        while chunk := list(islice(found, CHUNK)):
            for scored in predictor.predict([id for id, _ in chunk], [text for _, text in chunk]):
                line = {"id": scored.id, "scores": scored.scores, "flags": scored.flags}
                stream.write(json.dumps(line, ensure_ascii=False) + "\n")
            count += len(chunk)
            advance(len(chunk))
    return count


def records(source: Path) -> Iterator[tuple[str, str]]:
    """(id, text) of each row. Raises InputError."""
    for number, (where, row) in enumerate(_rows(source)):
        yield _id(where, row.get("id"), number), text_of(where, row)


def _rows(source: Path) -> Iterator[Row]:
    """The file's rows. What a source of a recipe could say of its layout cannot be said here."""
    try:
        yield from Table(source, resolve_format(source, None)).rows()
    except InputError as error:
        raise InputError(
            [replace(p, remedy=_PLAIN if _SETTING.search(p.remedy) else p.remedy) for p in error.problems]
        ) from None


def text_of(where: str, row: Mapping[str, Any]) -> str:
    """The row's `text`, or its `turns` as training reads them. An empty cell is no turns.

    Half of a surrogate pair, as a cut-off emoji leaves it, is no character: it is read as `?`. Raises
    InputError.
    """
    return _text(where, row).encode("utf-8", "replace").decode("utf-8")


def _text(where: str, row: Mapping[str, Any]) -> str:
    text, turns = row.get("text"), row.get("turns")
    if turns is None or turns == "":
        if isinstance(text, str):
            return undivided(text)
        found = f"text is {type(text).__name__}, not a string" if "text" in row else "no column `text`"
        raise _unusable(where, found)
    if text:
        raise _unusable(where, "both `text` and `turns`")
    try:
        return joined(told(turns))
    except NoConversation as wrong:
        raise _unusable(where, f"turns: a conversation {wrong}") from None


def _unusable(where: str, found: str) -> InputError:
    expected = "a `text` in every row, or `turns`: a list of {speaker, text}; and optionally an `id`"
    return InputError(Problem(where, found, expected, "rename the column, or remove the row"))


def _id(where: str, given: Any, number: int) -> str:
    """The row's `id`; its number in the file where there is none."""
    if given is None or given == "":
        return str(number)
    if isinstance(given, bool) or not isinstance(given, str | int):
        raise InputError(
            Problem(where, f"id is {type(given).__name__}", "text or a whole number", "mend the id")
        )
    return str(given).encode("utf-8", "replace").decode("utf-8")
