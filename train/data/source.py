"""A source: one file, and what its columns say about the policy's labels. Rows go in, examples come out."""

from __future__ import annotations

import codecs
import hashlib
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from train.data import grammar
from train.data.cells import Column, Votes, reader
from train.data.delimited import other_delimiter
from train.data.findings import Findings, is_folder, must_be_file, nearest, quoted
from train.data.rows import Format, Table, resolve_format
from train.data.values import NotOneValue, Row, as_shown, collapsed, plain, several
from train.errors import InputError, Problem
from train.example import Example
from train.files import sha256_bytes, sha256_file
from train.spec import Spec

LONGEST_TEXT = 100_000  # characters
PLACES = 10  # rows named in a message about many


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
        yield from (("group", column) for column in several(self.group))
        for label, said in self.labels.items():
            if isinstance(said, Votes):
                yield from ((f"labels.{label}.votes", column) for column in several(said.votes))
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
    table = Table(
        path,
        resolve_format(path, source.format),
        source.encoding,
        source.delimiter,
        source.quotes,
        source.columns,
    )
    if table.format == "grammar":
        made = list(table.rows())  # parsed once, for its columns and for its rows
        _require_columns(source, path, str(path), list(made[0][1]))
        source = source.model_copy(update={"id": source.id or "id", "group": source.group or "template"})
        return Reading(name, source, path, lambda found: iter(made))
    if not table.is_delimited:
        _refuse_delimiting(source, path, table.format)
    headed = table.is_delimited and source.columns is None
    _require_columns(source, path, f"{path}:1" if headed else str(path), table.columns())
    only = {column for _, column in source.reads()}
    return Reading(name, source, path, lambda found: table.rows(only, found))


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
        cells = {label: reader(label, said, found) for label, said in source.labels.items()}
        constants = {key: value for key, value in source.slices.items() if isinstance(value, str)}
        sliced = {key: v.column for key, v in source.slices.items() if isinstance(v, SliceColumn)}
        group_columns = several(source.group)
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
                own = plain(row.get(source.id)) if source.id else str(number)
                labels = {label: cell.read(where, row) for label, cell in cells.items()}
                slices = constants
                if sliced:
                    values = {key: plain(row.get(column)) for key, column in sliced.items()}
                    slices = constants | {key: value for key, value in values.items() if value}
                group = _group(name, text, [plain(row.get(column)) for column in group_columns])
                "".join((own or "", group, *slices.values())).encode()
            except NotOneValue as error:
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
                own = plain(row.get(str(self._source.id))) or ""
            except NotOneValue:
                continue
            if hash(own) not in suspects:
                continue
            if own not in first:
                first[own] = where
            elif own not in told:
                told.add(own)
                found.add(
                    where,
                    f"id {as_shown(own, most=0 if ' ' in own else 80)} is already at {first[own]}",
                    "an id of its own in each row",
                )


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
