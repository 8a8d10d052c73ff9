"""Delimited text (CSV, TSV): records over lines, a header, and what to say when they do not fit."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from train.data.findings import EMPTY, WHOLE, Findings, quoted
from train.data.lines import Lines
from train.data.values import Row

FIELD_LIMIT = 1 << 24  # characters; a longer CSV field is a quote mark that nobody closed


@dataclass(frozen=True)
class Layout:
    """How a delimited file is laid out."""

    delimiter: str
    encoding: str
    quotes: bool
    """Whether quote marks enclose fields."""
    names: Sequence[str] | None
    """The columns, where the file has no header line."""


def rows(path: Path, layout: Layout, found: Findings) -> Iterator[Row]:
    """(place, {column: field}) of each record; a record with too few or too many fields is a finding."""
    records = _records(path, layout, found)
    names = layout.names
    header = _header(records, path, found) if names is None else list(names)
    width = len(header)
    expected = f"{width}, as many as the header" if names is None else f"{width}, as many as `columns` names"
    remedy = f"quote the fields that hold {layout.delimiter!r}"
    if width == 1 and names is None and (hint := other_delimiter(header)):
        remedy = hint
    for line, fields in records:
        if len(fields) == width:
            yield f"{path}:{line}", dict(zip(header, fields, strict=True))
        else:
            found.add(f"{path}:{line}", f"{len(fields)} fields", expected, remedy)


def columns(path: Path, layout: Layout, found: Findings) -> list[str]:
    """The header line's names, or those that stand in for it."""
    records = _records(path, layout, found)
    if layout.names is None:
        return _header(records, path, found)
    if next(records, None) is None:
        found.stop(str(path), EMPTY, remedy=WHOLE)
    return list(layout.names)


def other_delimiter(header: Sequence[str]) -> str:
    """What to set when a header that came out as one field holds another delimiter."""
    marks = {";": "';'", "\t": r'"\t"', "|": "'|'", ",": "','"}
    marks = {mark: shown for mark, shown in marks.items() if len(header) == 1 and mark in header[0]}
    return f"delimiter: {marks[max(marks, key=header[0].count)]}" if marks else ""


def _header(records: Iterator[tuple[int, list[str]]], path: Path, found: Findings) -> list[str]:
    line, header = next(records, (0, []))
    if not line:
        found.stop(str(path), EMPTY, remedy=WHOLE)
    header = [name or f"column {number}" for number, name in enumerate(header, 1)]
    if repeated := sorted({name for name in header if header.count(name) > 1}):
        what = f"the header names {quoted(repeated)} more than once"
        found.stop(f"{path}:{line}", what, "each name once", "columns: [...], if the file has no header line")
    return header


def _records(path: Path, layout: Layout, found: Findings) -> Iterator[tuple[int, list[str]]]:
    """(line it starts at, fields) of each record; blank lines are skipped."""
    csv.field_size_limit(FIELD_LIMIT)
    lines = Lines(path, layout.encoding, "", found)
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if layout.quotes else csv.QUOTE_NONE
    reader = csv.reader(lines, delimiter=layout.delimiter, quoting=quoting, strict=True)
    start = 1
    try:
        for fields in reader:
            if fields:
                yield start, fields
            start = lines.number + 1
    except csv.Error as error:
        message = str(error)
        if "end of data" in message:
            what = "a quote mark opens a field here and is never closed"
        elif "field limit" in message:
            what = f"a field of over {FIELD_LIMIT:,} characters: perhaps a quote mark that is never closed"
        else:
            what = "text follows the quote mark that closes a field"
        remedy = (
            "double the quote marks inside a quoted field; or, if they enclose nothing here, quotes: false"
        )
        found.stop(f"{path}:{start}", what, remedy=remedy)
