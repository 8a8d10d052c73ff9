"""The row that travels from stage to stage: an Arrow table whose columns each stage may add to.

| column | type | what |
|---|---|---|
| id | string | `<source>:<the file's own id or row number>`: the same however often the files are read |
| source, licence | string | where it is from; what it may be used under |
| group | string | what stays in one split; after `split` it is called by the id of its first row |
| claim | string | the split that its source puts it in, or `any` |
| conversation | bool | each turn of its text says first who speaks |
| synthetic | bool | written for training, not seen in the wild |
| parent | string or null | id of the row it was made from |
| text | string | as it was written; after `scrub`, with placeholders. Turns are set apart by `example.TURN` |
| label.<L> | float32 or null | probability that the label holds; null: unknown, never negative |
| slice.<k> | string or null | such as slice.lang, slice.surface |
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

Counts = Mapping[str, int]
"""What a stage did to a shard, by name: whole numbers that add up over shards, such as `changed.nfkc`."""

LABEL, SLICE = "label.", "slice."
FIXED = pa.schema(
    [
        *((name, pa.string()) for name in ("id", "source", "group", "licence", "claim", "parent", "text")),
        ("synthetic", pa.bool_()),
        ("conversation", pa.bool_()),
    ]
)
"""The columns that every row has."""


def labels(table: pa.Table) -> list[str]:
    """The labels that a table has a column of, in order."""
    return [name.removeprefix(LABEL) for name in table.column_names if name.startswith(LABEL)]


def slices(table: pa.Table) -> list[str]:
    return [name.removeprefix(SLICE) for name in table.column_names if name.startswith(SLICE)]


def coded(column: pa.ChunkedArray) -> tuple[list[str], np.ndarray]:
    """(the values of a column without nulls, in the order of their first rows; each row's, int64 [n])."""
    found = column.combine_chunks().dictionary_encode()
    return found.dictionary.to_pylist(), found.indices.to_numpy().astype(np.int64)
