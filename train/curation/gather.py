"""Sources to the first shards: every usable row, with all labels and slices that any source speaks of.

Rows that were deleted on request are left out here, before anything else sees them.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from train.curation.shards import Shard, begin, commit, finished, key, note, noted
from train.data.reading import read
from train.data.source import Source, content_digest
from train.data.split import Split
from train.example import Example
from train.spec import Spec

if TYPE_CHECKING:
    import pyarrow as pa

VERSION = 2
"""Raise it when reading changes what the shards hold."""


class Gathered(Spec):
    split: Split = Split()
    """Shares of the four splits; a source's own division is honoured."""
    sources: dict[str, Source] = Field(min_length=1)
    """Files and what their columns say, as in a recipe; a source's name is a folder of the delivery."""

    @model_validator(mode="after")
    def _can_be_delivered(self) -> Gathered:
        for name, source in self.sources.items():
            if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
                raise ValueError(f"sources.{name}: a name is of letters, digits, - and _")
            if source.share or source.rows or source.max_repeats:
                raise ValueError(f"sources.{name}: share, rows and max_repeats belong to a recipe")
        return self

    @property
    def labels(self) -> list[str]:
        return sorted({label for source in self.sources.values() for label in source.labels})

    @property
    def slices(self) -> list[str]:
        return sorted({name for source in self.sources.values() for name in source.slices})


def gather(
    name: str, data: Gathered, labels: Collection[str], deleted: Collection[str], rows: int, folder: Path
) -> tuple[list[Shard], dict[str, int]]:
    """(the shards of one source, of `rows` rows each but the last; why rows are in none, and how many).

    labels: those that `all_negative` is about. deleted: ids. Raises InputError where the source is wrong.
    """
    source = data.sources[name]
    begin(folder)
    schema = _schema(data, labels)
    gone = frozenset(id for id in deleted if source.parent or id.startswith(f"{name}:"))
    said = source.model_dump(mode="json", exclude={"path"})
    forms = [[claim, source.table(path).format] for claim, path in source.paths().items()]
    made_of = key(VERSION, name, said, forms, content_digest(source), sorted(gone), schema.to_string(), rows)
    if before := noted(folder, name, made_of):
        shards = [finished(folder, called, key(made_of, called)) for called in before["shards"]]
        if all(shards):
            return [shard for shard in shards if shard], before["left_out"]
    reading = read(name, source, gone)
    made = []
    rest = (example for example in reading if example.parent not in gone)
    for number, chunk in enumerate(_chunks(rest, rows)):
        called = f"{name}-{number:05d}"
        shard = finished(folder, called, key(made_of, called))
        made.append(shard or commit(folder, called, key(made_of, called), _table(chunk, source, schema), {}))
    left_out = dict(sorted(reading.left_out.items()))
    note(folder, name, made_of, {"shards": [shard.name for shard in made], "left_out": left_out})
    return made, left_out


def _schema(data: Gathered, labels: Collection[str]) -> pa.Schema:
    import pyarrow as pa

    from train.curation.rows import FIXED, LABEL, SLICE

    known = sorted({*data.labels, *labels})
    return pa.schema(
        [
            *FIXED,
            *((LABEL + label, pa.float32()) for label in known),
            *((SLICE + name, pa.string()) for name in data.slices),
        ]
    )


def _table(examples: list[Example], source: Source, schema: pa.Schema) -> pa.Table:
    import pyarrow as pa

    from train.curation.rows import LABEL, SLICE

    n = len(examples)
    columns: dict[str, list[object]] = {
        "id": [example.id for example in examples],
        "source": [example.source for example in examples],
        "group": [example.group for example in examples],
        "licence": [source.licence] * n,
        "claim": [example.split for example in examples],
        "parent": [example.parent for example in examples],
        "text": [example.text for example in examples],
        "synthetic": [source.synthetic] * n,
        "conversation": [source.turns is not None] * n,
    }
    for column in schema.names:
        if column.startswith(LABEL):
            label = column.removeprefix(LABEL)
            absent = 0.0 if source.all_negative and label not in source.labels else None
            columns[column] = [example.labels.get(label, absent) for example in examples]
        elif column.startswith(SLICE):
            columns[column] = [example.slices.get(column.removeprefix(SLICE)) for example in examples]
    return pa.Table.from_pydict(columns, schema=schema)


def _chunks(examples: Iterator[Example], rows: int) -> Iterator[list[Example]]:
    while chunk := list(islice(examples, rows)):
        yield chunk
