"""A source's examples with their tokens, as an Arrow file named by all that decides its content.

Change the file, the mapping or the tokenizer and the name changes; nothing is ever invalidated. The cache
holds the source's texts, so its folder is readable by its owner only.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from train.data.encoding import Encoder
from train.data.reading import read
from train.data.source import Source
from train.data.values import collapsed
from train.example import Example
from train.files import cache_folder, canonical_json, sha256_bytes, whole_file, write_json

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

FORMAT = 4
"""Raise it when reading or encoding changes what the file holds."""
CHUNK = 2_000
_MIXING = {"path", "licence", "synthetic", "all_negative", "share", "rows", "max_repeats"}  # not of its rows


def encoded(
    name: str, source: Source, digest: str, encoder: Encoder
) -> tuple[datasets.Dataset, dict[str, int]]:
    """The source's examples, memory-mapped: id, group, text, source, split, twin, label.<L>, slice.<k>,
    input_ids.

    With it, how many rows were left out for what reason (`bad_rows: drop`). `digest` is the source's content
    digest. Raises InputError where the source is wrong.
    """
    import datasets

    mapping = source.model_dump(mode="json", exclude=_MIXING)
    forms = [[claim, source.table(path).format] for claim, path in source.paths().items()]
    key = sha256_bytes(canonical_json([FORMAT, name, forms, mapping, digest, encoder.digest]).encode())
    path = cache_folder() / f"{name}-{key[:32]}.arrow"
    if not path.exists():
        _write(path, name, source, encoder)
    try:
        return datasets.Dataset.from_file(str(path)), _left_out(path)
    except (OSError, ValueError):  # damaged since: it is only a cache
        path.unlink()
        _write(path, name, source, encoder)
        return datasets.Dataset.from_file(str(path)), _left_out(path)


def _left_out(path: Path) -> dict[str, int]:
    return dict(json.loads(path.with_suffix(".json").read_text(encoding="utf-8")))


def _schema(source: Source) -> pa.Schema:
    import pyarrow as pa

    return pa.schema(
        [(column, pa.string()) for column in ("id", "group", "text", "source", "split")]
        + [("twin", pa.int64())]
        + [(f"label.{label}", pa.float32()) for label in sorted(source.labels)]
        + [(f"slice.{key}", pa.string()) for key in sorted(source.slices)]
        + [("input_ids", pa.list_(pa.int32()))]
    )


def _write(path: Path, name: str, source: Source, encoder: Encoder) -> None:
    import pyarrow as pa

    schema = _schema(source)
    reading = read(name, source)
    with whole_file(path) as part, pa.ipc.new_stream(str(part), schema) as stream:
        for chunk in _chunks(reading):
            columns: dict[str, list[object]] = {
                "id": [example.id for example in chunk],
                "group": [example.group for example in chunk],
                "text": [example.text for example in chunk],
                "source": [name] * len(chunk),
                "split": [example.split for example in chunk],
                "twin": [_twin(example.text) for example in chunk],
                "input_ids": list(encoder([example.text for example in chunk])),
            }
            for label in source.labels:
                columns[f"label.{label}"] = [example.labels.get(label) for example in chunk]
            for key in source.slices:
                columns[f"slice.{key}"] = [example.slices.get(key) for example in chunk]
            stream.write_batch(pa.RecordBatch.from_pydict(columns, schema=schema))
        write_json(path.with_suffix(".json"), dict(reading.left_out))


def _twin(text: str) -> int:
    """A number that texts which read the same share: 63 bits of a hash."""
    digest = hashlib.blake2b(collapsed(text).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def _chunks(examples: Iterator[Example]) -> Iterator[list[Example]]:
    while chunk := list(islice(examples, CHUNK)):
        yield chunk
