"""`teensafe score`: a file of texts in, a line of JSON for each out, in the same order."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from train.data.rows import Table, resolve_format
from train.errors import InputError, Problem
from train.files import whole_file
from train.serving.predictor import Predictor

CHUNK = 4_096
"""Texts held at once; within a chunk they are scored in order of length."""


def score(predictor: Predictor, source: Path, target: Path, advance: Callable[[int], None]) -> int:
    """Write {"id", "scores", "flags"} for each row of `source` (column `text`, optional `id`) to `target`.

    The target appears when all is scored. A row whose `text` is missing or no string is an InputError: a
    text that was not judged must not look like one that was. Returns the number of rows.
    """
    count = 0
    if target.is_dir() or target.resolve() == source.resolve():
        what = "is a folder" if target.is_dir() else "is the input"
        raise InputError(Problem(str(target), f"--output {what}", "a file to write", "--output scores.jsonl"))
    with whole_file(target.resolve()) as part, part.open("w", encoding="utf-8") as stream:
        records = _records(source)
        while chunk := list(islice(records, CHUNK)):
            for found in predictor.predict([id for id, _ in chunk], [text for _, text in chunk]):
                line = {"id": found.id, "scores": found.scores, "flags": found.flags}
                stream.write(json.dumps(line, ensure_ascii=False) + "\n")
            count += len(chunk)
            advance(len(chunk))
    return count


def _records(source: Path) -> Iterator[tuple[str, str]]:
    for number, (where, row) in enumerate(Table(source, resolve_format(source, None)).rows()):
        text: Any = row.get("text")
        if not isinstance(text, str):
            found = (
                "no column `text`" if "text" not in row else f"text is {type(text).__name__}, not a string"
            )
            raise InputError(
                Problem(
                    where,
                    found,
                    "a `text` in every row, and optionally an `id`",
                    "rename the column, or remove the row",
                )
            )
        # half of a surrogate pair, as a cut-off emoji leaves it, is no character: it is read as U+FFFD
        yield _id(where, row.get("id"), number), text.encode("utf-8", "replace").decode("utf-8")


def _id(where: str, given: Any, number: int) -> str:
    """The row's `id`; its number in the file where there is none."""
    if given is None or given == "":
        return str(number)
    if isinstance(given, bool) or not isinstance(given, str | int):
        raise InputError(
            Problem(where, f"id is {type(given).__name__}", "text or a whole number", "mend the id")
        )
    return str(given).encode("utf-8", "replace").decode("utf-8")
