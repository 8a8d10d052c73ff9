"""Sources for tests: rows written to a file, read, and built to a corpus."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from train.data.corpus import Corpus, Data, build
from train.data.encoding import Encoder
from train.data.reading import read
from train.data.source import Source, content_digest
from train.errors import InputError, Problem
from train.example import Example


def corpus(
    encoder: Encoder,
    labels: list[str] | None = None,
    leave_out: tuple[str, ...] = (),
    **sources: dict[str, Any],
) -> Corpus:
    data = Data(sources={name: Source(**source) for name, source in sources.items()}, leave_out=leave_out)
    digests = {name: content_digest(source) for name, source in data.sources.items()}

    def problem(path: str, what: str, expected: str = "", remedy: str = "") -> Problem:
        return Problem("recipe.yaml", f"{path}: {what}", expected, remedy)

    return build(data, labels, digests, encoder, problem)


def jsonl(path: Path | str, rows: list[dict[str, Any]]) -> str:
    Path(path).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def source(path: Any, **fields: Any) -> Source:
    """Text in `t`, the label `hate` in `h`, unless the fields say otherwise."""
    text = {} if "turns" in fields else {"text": "t"}
    path = str(path) if isinstance(path, Path) else path
    return Source(**({"path": path, "labels": {"hate": "h"}, "licence": "MIT"} | text | fields))


def examples(path: Any, **fields: Any) -> list[Example]:
    return list(read("s", source(path, **fields)))


def refusal(path: Any, **fields: Any) -> str:
    """The message of the InputError that reading must end with."""
    with pytest.raises(InputError) as caught:
        examples(path, **fields)
    return str(caught.value)
