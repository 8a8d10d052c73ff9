"""A source: one file, and what its columns say about the policy's labels. Rows go in, examples come out."""

from __future__ import annotations

import codecs
import hashlib
import math
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from train.data import grammar
from train.data.rows import (
    Findings,
    Format,
    Row,
    collapsed,
    columns,
    in_quotes,
    is_folder,
    must_be_file,
    nearest,
    other_delimiter,
    quoted,
    rows,
)
from train.errors import InputError, Problem
from train.example import Example
from train.files import sha256_bytes, sha256_file
from train.spec import Spec

LONGEST_TEXT = 100_000  # characters
PLACES = 10  # rows named in a message about many
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


class Votes(Spec):
    """A soft label from annotator votes: sum of the vote columns / the count column."""

    votes: str | Annotated[tuple[str, ...], Field(min_length=1)]
    """Column, or columns whose counts are added."""
    of: str
    """Column with the number of annotators; empty is unknown."""


class Column(Spec):
    """A label from one column: a number in [0, 1], true/false, or what `map` says. Empty is unknown."""

    column: str
    map: dict[str, Annotated[float, Field(ge=0, le=1)] | None] | None = None
    """Value in the file -> probability, null = unknown. A value that is not listed is an error."""

    @field_validator("map", mode="before")
    @classmethod
    def _keys_as_text(cls, value: object) -> object:
        """YAML reads `1: ` and `true: ` as a number and a boolean; in the file they are text."""
        if not isinstance(value, Mapping):
            return value
        plain = (bool, int, float)
        return {_plain(key) if isinstance(key, plain) else key: cell for key, cell in value.items()}


class SliceColumn(Spec):
    column: str


class Source(Spec):
    """Local CSV, TSV, JSON, JSONL or Parquet (text formats also .gz), or a folder of template grammars."""

    path: str
    """Relative to the recipe; if it begins with ${env:...}, relative to the working directory."""
    format: Format | None = None
    """Default: from the file's name."""
    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    encoding: str = "utf-8"
    columns: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Names of the columns of a CSV or TSV file that has no header line."""
    quotes: bool = True
    """Whether quote marks enclose CSV and TSV fields; false: they are characters like any other."""
    text: str
    """Column with the text."""
    id: str | None = None
    """Column that identifies a row; default: the row's number in the file, from 0 (a grammar's own ids)."""
    group: str | tuple[str, ...] | None = None
    """Column(s) that must stay in one split (author, thread); default: equal texts stay together, and the
    texts of one template."""
    labels: dict[str, str | Votes | Column] = Field(min_length=1)
    """Policy label -> column, votes, or mapped column. Labels not named here are unknown, never negative."""
    slices: dict[str, str | SliceColumn] = Field(default_factory=dict)
    """Slice -> a constant for all rows, or {column: ...}."""
    licence: str
    synthetic: bool = False
    """Written by people or models for training, not seen in the wild: reported apart from real text."""
    bad_rows: Literal["error", "drop"] = "error"
    """Empty, missing or over-long text: stop, or leave such rows out and count them."""

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        try:
            codecs.lookup(value)
        except LookupError:
            raise ValueError("not a known encoding; utf-8, cp1252, latin-1 and utf-16 are") from None
        return value

    @model_validator(mode="after")
    def _keeps_texts_out_of_names(self) -> Self:
        """Ids, groups, labels and slices stand in reports and messages, where a text must not."""
        for field, column in self.reads():
            if field != "text" and column == self.text:
                raise ValueError(f"{field} reads the text column {column}")
        return self

    def reads(self) -> Iterator[tuple[str, str]]:
        """(field, column) for each column that this mapping reads."""
        yield "text", self.text
        if self.id is not None:
            yield "id", self.id
        yield from (("group", column) for column in _several(self.group))
        for label, said in self.labels.items():
            if isinstance(said, Votes):
                yield from ((f"labels.{label}.votes", column) for column in _several(said.votes))
                yield f"labels.{label}.of", said.of
            else:
                yield f"labels.{label}", said if isinstance(said, str) else said.column
        for name, value in self.slices.items():
            if isinstance(value, SliceColumn):
                yield f"slices.{name}", value.column


def read(name: str, source: Source) -> Reading:
    """The source's examples, in file order.

    Raises InputError: at once where the file or a column is missing or the file is unreadable; after the
    last row with everything that is wrong with single rows.
    """
    path = Path(source.path)
    format = resolve_format(path, source.format)
    if format == "grammar":
        table = list(grammar.rows(path))
        _require_columns(source, path, str(path), list(table[0][1]))
        source = source.model_copy(update={"id": source.id or "id", "group": source.group or "template"})
        return Reading(name, source, path, lambda found: iter(table))
    if format not in ("csv", "tsv"):
        _refuse_delimiting(source, path, format)
    layout: dict[str, Any] = {"names": source.columns, "quotes": source.quotes}
    opening = (path, format, source.delimiter, source.encoding)
    headed = format in ("csv", "tsv") and source.columns is None
    _require_columns(source, path, f"{path}:1" if headed else str(path), columns(*opening, **layout))
    only = {column for _, column in source.reads()}
    return Reading(name, source, path, lambda found: rows(*opening, **layout, only=only, found=found))


def resolve_format(path: Path, format: Format | None) -> Format:
    """The format given, or the one that the name tells; a folder is a grammar."""
    if format is not None:
        return format
    if is_folder(path):
        return "grammar"
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    packed = suffixes[-1:] == [".gz"]
    found = _SUFFIXES.get("".join(suffixes[:-1] if packed else suffixes[-1:]))
    if found is not None and not (packed and found in _UNPACKED_ONLY):
        return found
    must_be_file(path)
    known = ", ".join(_SUFFIXES)
    what = f"the name does not tell the format (suffix {path.suffix!r})"
    remedy = "unpack it" if packed else "set format: to csv, tsv, json, jsonl or parquet"
    raise InputError(Problem(str(path), what, f"{known}; text formats also with .gz", remedy))


def content_digest(source: Source) -> str:
    """sha256 of the file's bytes; of a grammar folder, of its files' relative names and bytes."""
    path = Path(source.path)
    if not is_folder(path):
        must_be_file(path)
        return _file_digest(path)
    parts = [f"{p.relative_to(path).as_posix()}\0{_file_digest(p)}\n" for p in grammar.files(path)]
    return sha256_bytes("".join(parts).encode())


class Reading(Iterator[Example]):
    """Examples of one source. After the last one, or so far: `rows` read, and why some were `left_out`."""

    def __init__(
        self, name: str, source: Source, path: Path, table: Callable[[Findings], Iterator[Row]]
    ) -> None:
        self.rows = 0
        self.left_out: Counter[str] = Counter()
        self._name, self._source, self._path, self._table = name, source, path, table
        self._examples = self._read()

    @property
    def dropped(self) -> int:
        return self.left_out.total()

    def __next__(self) -> Example:
        return next(self._examples)

    def _read(self) -> Iterator[Example]:
        name, source = self._name, self._source
        found = Findings(self._path)
        cells = {label: _cell(label, said, found) for label, said in source.labels.items()}
        constants = {key: value for key, value in source.slices.items() if isinstance(value, str)}
        sliced = {key: v.column for key, v in source.slices.items() if isinstance(v, SliceColumn)}
        group_columns = _several(source.group)
        unusable = _Unusable(self._path)
        ids = array("q")  # hashes: 8 bytes a row; a suspicion is looked into by reading again
        for where, row in self._table(found):
            number = self.rows
            self.rows += 1
            text: Any = row.get(source.text)
            if fault := _fault(text):
                if source.bad_rows == "drop":
                    self.left_out[fault] += 1
                else:
                    unusable.note(where, fault)
                continue
            try:
                own = _plain(row.get(source.id)) if source.id else str(number)
                labels = {label: cell.read(where, row) for label, cell in cells.items()}
                slices = constants
                if sliced:
                    values = {key: _plain(row.get(column)) for key, column in sliced.items()}
                    slices = constants | {key: value for key, value in values.items() if value}
                group = _group(name, text, [_plain(row.get(column)) for column in group_columns])
                "".join((own or "", group, *slices.values())).encode()
            except _NotOneValue as error:
                found.add(where, f"id, group or slice: {error}", "a text or a number")
                continue
            except UnicodeEncodeError:
                found.add(
                    where, "id, group or slice: half a character (a lone surrogate)", "whole characters"
                )
                continue
            if not own:
                found.add(where, f'the id column "{source.id}" is empty', "an id in every row")
                continue
            if source.id:
                ids.append(hash(own))
            yield Example(f"{name}:{own}", group, text, labels, name, slices)
        for cell in cells.values():
            cell.report()
        unusable.report(found)
        self._report_repeated_ids(ids, found)
        found.close()
        if self.rows == self.dropped:
            reasons = ", ".join(f"{count:,} {fault}" for fault, count in self.left_out.most_common())
            found.stop(str(self._path), f"no usable row among {self.rows:,}: {reasons}", "rows with a text")

    def _report_repeated_ids(self, ids: array[int], found: Findings) -> None:
        if not ids:
            return
        import numpy as np

        hashes, counts = np.unique(np.frombuffer(ids, dtype=np.int64), return_counts=True)
        suspects = set(hashes[counts > 1].tolist())
        if not suspects:
            return
        first: dict[str, str] = {}
        told = set()
        for where, row in self._table(Findings(self._path)):
            if _fault(row.get(self._source.text)):
                continue
            try:
                own = _plain(row.get(str(self._source.id))) or ""
            except _NotOneValue:
                continue
            if hash(own) not in suspects:
                continue
            if own not in first:
                first[own] = where
            elif own not in told:
                told.add(own)
                found.add(
                    where,
                    f"id {_shown(own, most=0 if ' ' in own else 80)} is already at {first[own]}",
                    "an id of its own in each row",
                )


# --- labels -------------------------------------------------------------------------------------------------


def _cell(label: str, said: str | Votes | Column, found: Findings) -> _VoteCell | _ColumnCell:
    if isinstance(said, Votes):
        return _VoteCell(label, said, found)
    return _ColumnCell(label, Column(column=said) if isinstance(said, str) else said, found)


class _VoteCell:
    def __init__(self, label: str, said: Votes, found: Findings) -> None:
        self._label, self._votes, self._of, self._found = label, _several(said.votes), said.of, found

    def read(self, where: str, row: Mapping[str, Any]) -> float | None:
        try:
            return self._share(row)
        except _WrongCell as error:
            self._found.add(where, f"labels.{self._label}: {error.what}", error.expected)
            return None

    def _share(self, row: Mapping[str, Any]) -> float | None:
        of = _amount(row, self._of)
        if of is None:
            return None
        if of <= 0:
            raise _WrongCell(self._of, row, "more than 0 annotators")
        total = 0.0
        for column in self._votes:
            votes = _amount(row, column)
            if votes is None or votes < 0:
                raise _WrongCell(column, row, "a number of votes, 0 or more")
            total += votes
        if total > of * (1 + 1e-9):  # weights that are fractions may add up to a little more
            error = _WrongCell(self._of, row, "at least as many as the votes")
            error.what += f", {' + '.join(self._votes)} is {total:g}"
            raise error
        return min(1.0, total / of)

    def report(self) -> None:
        """All was said row by row."""


class _WrongCell(Exception):
    def __init__(self, column: str, row: Mapping[str, Any], expected: str) -> None:
        super().__init__(column)
        self.what = f'column "{column}" is {_shown(row.get(column), most=16)}'
        self.expected = expected


def _amount(row: Mapping[str, Any], column: str) -> float | None:
    try:
        return _number(row.get(column))
    except _NotANumber:
        raise _WrongCell(column, row, "a number") from None


class _ColumnCell:
    def __init__(self, label: str, said: Column, found: Findings) -> None:
        self._label, self._column, self._map, self._found = label, said.column, said.map, found
        self._canonical = {_canonical(key.strip()): value for key, value in (said.map or {}).items()}
        self._odd: Counter[str] = Counter()
        self._first = ""

    def read(self, where: str, row: Mapping[str, Any]) -> float | None:
        value = row.get(self._column)
        if self._map is not None and isinstance(value, str) and value in self._map:
            return self._map[value]
        try:
            text = _canonical(_plain(value) or "")
        except _NotOneValue as error:
            self._unlisted(where, str(error))
            return None
        if self._map is not None and text in self._canonical:
            return self._canonical[text]
        if not text:
            return None
        if self._map is None:
            if text in ("true", "false"):
                return float(text == "true")
            if _is_number(text) and 0 <= float(text) <= 1:
                return float(text)
        self._unlisted(where, _shown(value))
        return None

    def _unlisted(self, where: str, shown: str) -> None:
        self._first = self._first or where
        # a free-text column named by mistake has a new value in every row
        self._odd[shown if shown in self._odd or len(self._odd) < 1000 else "others"] += 1

    def report(self) -> None:
        if not self._odd:
            return
        listed = [f"{shown} ({count:,} rows)" for shown, count in self._odd.most_common(PLACES)]
        if len(self._odd) > PLACES:
            listed.append(f"and {len(self._odd) - PLACES:,} more")
        if len(self._odd) > 50:
            listed = [f"over 50 different ones, in {self._odd.total():,} rows"]
        reads = f'labels.{self._label}: column "{self._column}"'
        if self._map is None:
            what = f"{reads} has values that are no probability: {', '.join(listed)}"
            expected = "a number in [0, 1], true or false, or empty for unknown"
            remedy = f"labels.{self._label}: {{column: {self._column}, map: {{<value>: <probability>}}}}"
        else:
            what = f"{reads} has values that `map` does not list: {', '.join(listed)}"
            expected = f"one of {quoted(self._map)}"
            near = (
                (shown, _meant(shown.strip('"'), self._map)) for shown, _ in self._odd.most_common(PLACES)
            )
            meant = [f'"{key}" for {shown}' for shown, key in near if key]
            remedy = "; ".join([*meant, f"list them under labels.{self._label}.map (null is unknown)"])
        self._found.add(self._first, what, expected, remedy)


def _meant(value: str, keys: Iterable[str]) -> str | None:
    """The key that was probably meant; never one inside the other: "unsafe" is not a way to write "safe"."""
    key = nearest(value, keys)
    if key is None or key.casefold() == value.casefold():
        return key
    return None if key.casefold() in value.casefold() or value.casefold() in key.casefold() else key


# --- values -------------------------------------------------------------------------------------------------


class _NotOneValue(Exception):
    """A list, an object or bytes where one value belongs."""


class _NotANumber(Exception):
    pass


def _plain(value: Any) -> str | None:
    """A cell as text: no outer white space, 1.0 as "1", True as "true"; empty, null and NaN are None."""
    if isinstance(value, str):
        return value.strip() or None
    if value is None or value != value:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, dict, bytes)):
        kind = {list: "a list", dict: "an object", bytes: "bytes"}[type(value)]
        raise _NotOneValue(f"{kind} instead of one value")
    if isinstance(value, (float, Decimal)) and math.isfinite(value) and value == int(value):
        return str(int(value))
    return str(value)


def _canonical(text: str) -> str:
    """Text whose equality is equality of meaning: "1.0" and "1", "True" and "true"."""
    if (small := text.lower()) in ("true", "false"):
        return small
    if text and _is_number(text):
        number = Decimal(text)  # exact: a float would take two long ids for one
        return str(int(number)) if number == int(number) else str(number.normalize())
    return text


def _is_number(text: str) -> bool:
    try:
        return _number(text) is not None
    except _NotANumber:
        return False


def _number(value: Any) -> float | None:
    """The finite number of a cell, None if it is empty. Raises _NotANumber."""
    if value is None or isinstance(value, bool) or not isinstance(value, (str, int, float, Decimal)):
        if value is None:
            return None
        raise _NotANumber
    if isinstance(value, str):
        value = value.strip()
        if not value:
            return None
        if len(value) > 40 or "_" in value:
            raise _NotANumber
    elif value != value:
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        raise _NotANumber from None
    if not math.isfinite(number):
        raise _NotANumber
    return number


def _shown(value: Any, most: int = 40) -> str:
    """A value for a message, where it cannot be a user's text."""
    if value is None or value == "":
        return "empty"
    if isinstance(value, (list, dict, bytes)):
        return "not one value"
    text = str(value)
    if len(text) > most:
        return f"(a value of {len(text)} characters)"
    return in_quotes(text) if isinstance(value, str) else text


# --- texts and groups ---------------------------------------------------------------------------------------


def _fault(text: Any) -> str:
    """Why a text cannot be used; "" if it can."""
    if text is None:
        return "missing"
    if not isinstance(text, str):
        return "not a string"
    if len(text) > LONGEST_TEXT:
        return f"longer than {LONGEST_TEXT:,} characters"
    if not text or text.isspace():
        return "empty"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "with half a character (a lone surrogate)"
    return ""


class _Unusable:
    """Rows without a usable text: how many of each kind, and where the first ones are."""

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self._counts: Counter[str] = Counter()
        self._places: list[str] = []

    def note(self, where: str, fault: str) -> None:
        self._counts[fault] += 1
        if len(self._places) < PLACES:
            self._places.append(where)

    def report(self, found: Findings) -> None:
        total = self._counts.total()
        if not total:
            return
        kinds = ", ".join(f"{count:,} {fault}" for fault, count in self._counts.most_common())
        others = ", ".join(place.removeprefix(self._path).lstrip(": ") for place in self._places[1:])
        also = f"; also {others}{' ...' if total > PLACES else ''}" if others else ""
        what = f"{total:,} {'row has' if total == 1 else 'rows have'} no usable text ({kinds}){also}"
        found.add(self._places[0], what, "a text in every row", "set bad_rows: drop to leave such rows out")


def _group(name: str, text: str, values: list[str | None]) -> str:
    """What must stay in one split: the given values; without any, texts that read the same."""
    if any(values):
        return f"{name}:{'|'.join(value or '' for value in values)}"
    return f"text:{hashlib.sha256(collapsed(text).encode()).hexdigest()[:16]}"


def _several(value: str | tuple[str, ...] | None) -> tuple[str, ...]:
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else value


# --- before the rows ----------------------------------------------------------------------------------------


def _require_columns(source: Source, path: Path, where: str, header: list[str]) -> None:
    absent = [(field, column) for field, column in source.reads() if column not in header]
    if not absent:
        return
    if source.columns is None and (hint := other_delimiter(header)):
        what = f"the header is a single field, without the column {quoted([source.text])}"
        raise InputError(Problem(where, what, "columns set apart by the delimiter", hint))
    problems = []
    for field, column in absent:
        near = nearest(column, header)
        remedy = quoted([near]) if near else ""
        problems.append(
            Problem(where, f"{field}: no column {quoted([column])}", f"one of {quoted(header)}", remedy)
        )
    raise InputError(problems)


def _refuse_delimiting(source: Source, path: Path, format: Format) -> None:
    given = {"delimiter": source.delimiter is not None, "columns": source.columns is not None}
    named = [
        *(field for field, is_given in given.items() if is_given),
        *([] if source.quotes else ["quotes"]),
    ]
    if named:
        what = f"{', '.join(named)} given for a {format} file"
        raise InputError(Problem(str(path), what, "csv or tsv", "remove it, or set format:"))


def _file_digest(path: Path) -> str:
    try:
        return sha256_file(path)
    except OSError as error:
        raise InputError(Problem(str(path), f"cannot be read: {error.strerror}")) from None
