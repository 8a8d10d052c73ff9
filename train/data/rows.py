"""A file of any known format to its rows: (where, {column: value}), one at a time.

CSV, TSV, JSONL and Parquet are streamed: memory holds a line or a batch, not the file. A JSON array has no
place to stop before its end and is read whole.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePath
from typing import Literal

from train.data import delimited, grammar, hub
from train.data.findings import EMPTY, WHOLE, Findings, is_folder, must_be_file, quoted
from train.data.lines import Lines
from train.data.values import Row
from train.errors import InputError, Problem

Format = Literal["csv", "tsv", "json", "jsonl", "parquet", "grammar"]
Layout = Format | Literal["hub"]
"""`hub` is no format of a file, but what an address that begins so has."""

SAMPLE = 1000  # rows of a JSON file that tell its columns
DELIMITERS = {"csv": ",", "tsv": "\t"}
_SUFFIXES: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".yaml": "grammar",
}
_UNPACKED_ONLY = ("parquet", "grammar")
_NO_FILE = ("grammar", "hub")


@dataclass(frozen=True)
class Table:
    """A file, or a grammar folder, and how it is laid out."""

    path: Path
    format: Layout
    encoding: str = "utf-8"
    delimiter: str | None = None
    """Default: the format's."""
    quotes: bool = True
    """Whether quote marks enclose the fields of a CSV or TSV file."""
    names: Sequence[str] | None = None
    """The columns of a CSV or TSV file without a header line."""

    @property
    def is_delimited(self) -> bool:
        return self.format in DELIMITERS

    def rows(self, only: Collection[str] | None = None, found: Findings | None = None) -> Iterator[Row]:
        """Yield (where, row) in file order.

        where: "x.csv:41" (line a record starts at), "x.json item 12", "x.parquet row 12", counted from 1.
        only: the columns to read from Parquet. found: where to note problems of single rows; they are raised
        at the end of the file when it is not given. Problems that end the reading are raised at once, as
        InputError.
        """
        notes = Findings(self.path) if found is None else found
        if self.format not in _NO_FILE:
            must_be_file(self.path)
        any_row = False
        for row in self._rows(only, notes):
            any_row = True
            yield row
        if not any_row and not notes:
            notes.stop(str(self.path), "has no rows", remedy=WHOLE)
        if found is None:
            notes.close()

    def _rows(self, only: Collection[str] | None, found: Findings) -> Iterator[Row]:
        if self.format == "grammar":
            return grammar.rows(self.path)
        if self.format == "hub":
            return hub.Address.parse(str(self.path)).rows(only)
        if self.format == "parquet":
            return _parquet(self.path, only, found)
        if self.format == "json":
            return _json(self.path, self.encoding, found)
        if self.format == "jsonl":
            return _jsonl(self.path, self.encoding, found)
        return delimited.rows(self.path, self._layout(), found)

    def columns(self) -> list[str]:
        """The header or schema; for JSON and JSONL the keys of the first 1,000 items."""
        found = Findings(self.path)
        if self.format not in _NO_FILE:
            must_be_file(self.path)
        if self.format == "hub":
            return hub.Address.parse(str(self.path)).columns()
        if self.format == "parquet":
            return _parquet_columns(self.path, found)
        if self.is_delimited:
            return delimited.columns(self.path, self._layout(), found)
        keys = dict.fromkeys(key for _, row in islice(self.rows(found=found), SAMPLE) for key in row)
        if not keys:
            found.close()
        return list(keys)

    def _layout(self) -> delimited.Layout:
        mark = self.delimiter or DELIMITERS[self.format]
        return delimited.Layout(mark, self.encoding, self.quotes, self.names)


def resolve_format(path: Path, format: Format | None) -> Format:
    """The format given, or the one that the name tells; a folder is a grammar."""
    if format is not None:
        return format
    if is_folder(path):
        return "grammar"
    if (found := named_format(path.name)) is not None:
        return found
    must_be_file(path)
    known = ", ".join(_SUFFIXES)
    what = f"the name does not tell the format (suffix {path.suffix!r})"
    remedy = (
        "unpack it" if path.suffix.lower() == ".gz" else "set format: to csv, tsv, json, jsonl or parquet"
    )
    raise InputError(Problem(str(path), what, f"{known}; text formats also with .gz", remedy))


def named_format(name: str) -> Format | None:
    """The format that the name of a file tells; None where it tells none."""
    suffixes = [suffix.lower() for suffix in PurePath(name).suffixes[-2:]]
    packed = suffixes[-1:] == [".gz"]
    found = _SUFFIXES.get("".join(suffixes[:-1] if packed else suffixes[-1:]))
    return None if packed and found in _UNPACKED_ONLY else found


# --- JSON ---------------------------------------------------------------------------------------------------


def _json(path: Path, encoding: str, found: Findings) -> Iterator[Row]:
    text = "".join(Lines(path, encoding, "\n", found))
    if not text.strip():
        found.stop(str(path), EMPTY, remedy=WHOLE)
    try:
        items = json.loads(text)
    except json.JSONDecodeError as error:
        remedy = "format: jsonl, if each line is an object of its own" if error.msg == "Extra data" else ""
        found.stop(f"{path}:{error.lineno}:{error.colno}", f"broken JSON: {error.msg}", remedy=remedy)
    except (RecursionError, ValueError):
        found.stop(str(path), "broken JSON: nested too deep, or a number of thousands of digits")
    del text
    if not isinstance(items, list):
        found.stop(f"{path}:1", f"the file holds {_kind(items)}", "an array of objects: [{...}, {...}]")
    for number, item in enumerate(items, 1):
        if isinstance(item, dict):
            yield f"{path} item {number}", item
        else:
            found.add(f"{path} item {number}", f"is {_kind(item)}", "an object: {...}")


def _jsonl(path: Path, encoding: str, found: Findings) -> Iterator[Row]:
    lines = Lines(path, encoding, "\n", found)
    first = True
    for line in lines:
        if line.isspace():
            continue
        try:
            item = json.loads(line)
        except json.JSONDecodeError as error:
            where = f"{path}:{lines.number}:{error.colno}"
            if first and line.strip() in ("[", "{"):
                found.stop(
                    where, "broken JSON: one value over several lines", "one object a line", "format: json"
                )
            found.add(where, f"broken JSON: {error.msg}", "one object a line")
        except (RecursionError, ValueError):
            found.add(f"{path}:{lines.number}", "broken JSON: nested too deep, or thousands of digits")
        else:
            if isinstance(item, dict):
                yield f"{path}:{lines.number}", item
            else:
                remedy = "format: json" if first and isinstance(item, list) else ""
                found.add(f"{path}:{lines.number}", f"is {_kind(item)}", "an object: {...}", remedy)
        first = False
    if first:
        found.stop(str(path), EMPTY, remedy=WHOLE)


def _kind(value: object) -> str:
    kinds: Mapping[type, str] = {
        list: "an array",
        dict: "an object",
        str: "a text",
        bool: "true or false",
        type(None): "null",
    }
    return kinds.get(type(value), "a number")


# --- Parquet ------------------------------------------------------------------------------------------------


def _parquet(path: Path, only: Collection[str] | None, found: Findings) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    _parquet_columns(path, found)
    number = 0
    try:
        with pq.ParquetFile(path) as file:
            wanted = None if only is None else sorted(only)
            for batch in file.iter_batches(batch_size=1024, columns=wanted):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path} row {number}", row
    except (pa.ArrowException, OSError, ValueError) as error:
        after = f"{path} row {number + 1}" if number else str(path)
        found.stop(after, f"broken Parquet ({type(error).__name__})", remedy="write or fetch the file again")


def _parquet_columns(path: Path, found: Findings) -> list[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.stat().st_size == 0:
        found.stop(str(path), EMPTY, remedy=WHOLE)
    try:
        names: list[str] = pq.read_schema(path).names
    except (pa.ArrowException, OSError, ValueError) as error:
        remedy = "fetch the file again, or set format: to what it is"
        found.stop(str(path), f"is not whole, or not Parquet ({type(error).__name__})", remedy=remedy)
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        found.stop(str(path), f"the columns {quoted(repeated)} occur more than once", "each name once")
    return names
