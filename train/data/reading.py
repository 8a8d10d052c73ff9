"""A source's rows to examples: each row judged, what is wrong with it said once and at its place."""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from train.data.cells import OddValues, reader
from train.data.delimited import other_delimiter
from train.data.findings import Findings, Places, nearest, quoted
from train.data.messages import NEEDS, Messages, in_context
from train.data.pairs import joined as joined_pairs
from train.data.rows import Table
from train.data.source import SliceColumn, Source
from train.data.split import ANY, Claim
from train.data.turns import NoConversation, Turns, joined, spoken, told, undivided
from train.data.values import NotOneValue, Row, as_shown, canonical, collapsed, plain, several
from train.errors import InputError, Problem
from train.example import Example

LONGEST_TEXT = 100_000  # characters
_LEAVE_OUT = "set bad_rows: drop to leave such rows out"


def read(name: str, source: Source, deleted: Collection[str] = ()) -> Reading:
    """The source's examples, in file order. deleted: ids of those that are none, and whose messages stand in
    nobody's context.

    Raises InputError: at once where a file or a column is missing or a file is unreadable; after the last row
    with everything that is wrong with single rows.
    """
    parts: list[_Part] = []
    if isinstance(source.turns, Messages):
        source = source.model_copy(update={"group": source.turns.thread})
    gone = frozenset(deleted)
    for claim, path in source.paths().items():
        table = source.table(path)
        prefix = f"{claim}/" if isinstance(source.path, dict) else ""
        if table.format == "grammar":
            made = list(table.rows())  # parsed once, for its columns and for its rows
            source = source.model_copy(update={"id": source.id or "id", "group": source.group or "template"})
            _require_columns(source, table.path, str(table.path), list(made[0][1]))
            parts.append(_Part(claim, prefix, table.path, lambda found, made=made: iter(made)))  # type: ignore[misc]
            continue
        headed = table.is_delimited and source.columns is None
        where = f"{table.path}:1" if headed else str(table.path)
        _require_columns(source, table.path, where, table.columns())
        unheard = _Deleted(name, source.id, prefix, gone)
        parts.append(_Part(claim, prefix, table.path, partial(_rows, source, table, unheard)))
    return Reading(name, source, parts, gone)


@dataclass(frozen=True)
class _Part:
    """One file of a source."""

    claim: Claim
    prefix: str
    """Before the number of a row that has no id of its own."""
    path: Path
    rows: Callable[[Findings], Iterator[Row]]


def _rows(source: Source, table: Table, gone: Callable[[int, Row], bool], found: Findings) -> Iterator[Row]:
    rows = table.rows({column for _, column in source.reads()}, found)
    return in_context(source.turns, rows, gone) if isinstance(source.turns, Messages) else rows


@dataclass(frozen=True)
class _Deleted:
    """Whether a row of a file, by its number, is one of those that were deleted."""

    name: str
    column: str | None
    prefix: str
    ids: frozenset[str]

    def __call__(self, number: int, row: Row) -> bool:
        if not self.ids:
            return False
        with suppress(NotOneValue):  # said when the row's turn comes
            own = plain(row[1].get(self.column)) if self.column else f"{self.prefix}{number}"
            return f"{self.name}:{own or ''}" in self.ids
        return False


class Reading(Iterator[Example]):
    """Examples of one source. After the last one, or so far: `rows` read, and why some were `left_out`."""

    def __init__(
        self, name: str, source: Source, parts: list[_Part], deleted: frozenset[str] = frozenset()
    ) -> None:
        self.rows = 0
        self.left_out: Counter[str] = Counter()
        self._name, self._source, self._parts, self._deleted = name, source, parts, deleted
        self._found = Findings(parts[0].path)
        self._constants = {key: value for key, value in source.slices.items() if isinstance(value, str)}
        self._sliced = {key: v.column for key, v in source.slices.items() if isinstance(v, SliceColumn)}
        self._group_columns = several(source.group)
        self._pairs: dict[str, str] = {}
        self._only = {column: set(map(_same, values)) for column, values in source.only.items()}
        self._unseen = {column: set(values) for column, values in self._only.items()}
        self._claims = {_same(v): claim for v, claim in source.split.map.items()} if source.split else {}
        self._odd_splits = OddValues()
        self._examples = self._read()

    @property
    def dropped(self) -> int:
        return self.left_out.total()

    def __next__(self) -> Example:
        return next(self._examples)

    def _read(self) -> Iterator[Example]:
        source, found = self._source, self._found
        if source.pair:
            self._pairs = joined_pairs(self._all_pairs())
        ids = array("q")  # hashes: 8 bytes a row; a suspicion is looked into by reading again
        placed = self._placed()
        for _, example in _aggregated(source, placed, found) if source.aggregate else placed:
            if source.id:
                ids.append(hash(example.id))
            if example.id not in self._deleted:
                yield example
        self._report_repeated_ids(ids)
        self._report_unseen()
        found.close()
        if self.rows == self.dropped:
            reasons = ", ".join(f"{count:,} {fault}" for fault, count in self.left_out.most_common())
            what = f"no usable row among {self.rows:,}: {reasons}"
            found.stop(str(self._parts[0].path), what, "rows with a text")

    def _placed(self) -> Iterator[tuple[tuple[str, tuple[str | None, ...]], Example]]:
        """((place, item), example) of each usable row; the item is what `aggregate` says it belongs to."""
        source, found = self._source, self._found
        cells = {label: reader(label, said, found) for label, said in source.labels.items()}
        by = several(source.aggregate.by) if source.aggregate else ()
        needs = NEEDS if isinstance(source.turns, Messages) else "a text in every row"
        unusable = _Unusable(self._parts[0].path, needs)
        for part in self._parts:
            for number, (where, row) in enumerate(part.rows(found)):
                self.rows += 1
                if reason := self._passed_over(row):
                    self.left_out[reason] += 1
                    continue
                text, fault = _text(source, row)
                if fault:
                    if source.bad_rows == "drop":
                        self.left_out[fault] += 1
                    else:
                        unusable.note(where, fault)
                    continue
                labels = {label: cell.read(where, row) for label, cell in cells.items()}
                try:
                    example = self._example(row, text, f"{part.prefix}{number}", labels)
                    item = tuple(plain(row.get(column)) for column in by)
                except NotOneValue as error:
                    found.add(where, f"id, group, split, slice or item: {error}", "a text or a number")
                    continue
                except UnicodeEncodeError:
                    what = "id, group or slice: half a character (a lone surrogate)"
                    found.add(where, what, "whole characters")
                    continue
                except KeyError as unlisted:
                    self._odd_splits.note(where, as_shown(unlisted.args[0]))
                    continue
                if by and not any(item):  # what nothing names would be one item
                    if source.bad_rows == "drop":
                        self.left_out["of no item"] += 1
                    else:
                        columns = f"{quoted(by)} {'is' if len(by) == 1 else 'are'} empty"
                        found.add(where, f"aggregate.by: {columns}", "an item for every row", _LEAVE_OUT)
                    continue
                if example.id == self._id(""):
                    found.add(where, f'the id column "{source.id}" is empty', "an id in every row")
                    continue
                yield (where, item), replace(example, split=part.claim) if part.claim != ANY else example
        for cell in cells.values():
            cell.report()
        self._report_odd_splits()
        unusable.report(found)

    def _example(
        self, row: Mapping[str, Any], text: str, number: str, labels: dict[str, float | None]
    ) -> Example:
        """Raises NotOneValue, UnicodeEncodeError, and KeyError for a value that `split.map` does not list."""
        name, source = self._name, self._source
        own = plain(row.get(source.id)) if source.id else number
        slices = self._constants
        if self._sliced:
            values = {key: plain(row.get(column)) for key, column in self._sliced.items()}
            slices = slices | {key: value for key, value in values.items() if value}
        keys = [plain(row.get(column)) for column in self._group_columns]
        if source.pair:
            keys = [self._pairs[key] for key in self._pair(row)[:1]]
        group = keys[0] or "" if source.delivered else _group(name, text, keys)
        "".join((own or "", group, *slices.values())).encode()
        claim = self._claims[_same(row.get(source.split.column))] if source.split else ANY
        parent = plain(row.get(source.parent)) if source.parent else None
        return Example(self._id(own or ""), group, text, labels, name, slices, claim, parent or None)

    def _id(self, own: str) -> str:
        return own if self._source.delivered else f"{self._name}:{own}"

    def _passed_over(self, row: Mapping[str, Any]) -> str:
        """Why a row is none that was asked for; "" if it is."""
        taken = self._taken(row)
        if isinstance(self._source.turns, Messages) and row[self._source.turns.text] is None:
            return "before the message that is judged"
        return "" if taken else "not among `only`"

    def _taken(self, row: Mapping[str, Any]) -> bool:
        taken = True
        for column, wanted in self._only.items():
            try:
                value = _same(row.get(column))
            except NotOneValue:
                return False
            taken = taken and value in wanted
            self._unseen[column].discard(value)
        return taken

    def _report_unseen(self) -> None:
        for column, values in self._unseen.items():
            if values and self.rows > self.dropped:
                what = f"only: no row has {quoted(sorted(values))} in {quoted([column])}"
                self._found.add(str(self._parts[0].path), what, "values as the file has them")

    def _pair(self, row: Mapping[str, Any]) -> tuple[str, ...]:
        """A row's own key and its contrast's, where it has them. Raises NotOneValue."""
        return tuple(key for column in self._source.pair or () if (key := plain(row.get(column))))

    def _all_pairs(self) -> Iterator[tuple[str, ...]]:
        for _, row in self._again():
            with suppress(NotOneValue):  # said when the row's turn comes
                yield self._pair(row)

    def _report_odd_splits(self) -> None:
        if self._odd_splits and self._source.split:
            said, known = self._odd_splits.listed(), quoted(self._source.split.map)
            what = f'split: column "{self._source.split.column}" has values that `map` does not list: {said}'
            self._found.add(self._odd_splits.first, what, f"one of {known}", "list them under split.map")

    def _report_repeated_ids(self, ids: array[int]) -> None:
        if not ids or self._source.aggregate:
            return
        import numpy as np

        hashes, counts = np.unique(np.frombuffer(ids, dtype=np.int64), return_counts=True)
        suspects = set(hashes[counts > 1].tolist())
        if not suspects:
            return
        first: dict[str, str] = {}
        told = set()
        for where, own in self._own_ids():
            if hash(self._id(own)) not in suspects:
                continue
            if own not in first:
                first[own] = where
            elif own not in told:
                told.add(own)
                what = f"the id is already at {first[own]}"
                self._found.add(where, what, "an id of its own in each row")

    def _own_ids(self) -> Iterator[tuple[str, str]]:
        """(place, id) of the rows that gave an example, read once more."""
        for where, row in self._again():
            if self._passed_over(row) or _text(self._source, row)[1]:
                continue
            try:
                yield where, plain(row.get(str(self._source.id))) or ""
            except NotOneValue:
                continue

    def _again(self) -> Iterator[Row]:
        """All rows, read once more; what is wrong with them is said elsewhere."""
        return (row for part in self._parts for row in part.rows(Findings(part.path)))


_OF_AN_ITEM = ("text", "group", "slices", "split")


def _aggregated(
    source: Source,
    placed: Iterator[tuple[tuple[str, tuple[str | None, ...]], Example]],
    found: Findings,
) -> Iterator[tuple[None, Example]]:
    """One example an item, in the order of their first rows: cells are means of the rows' known ones.

    Text, group, slices and split are the item's: rows that disagree in them are a finding.
    """
    first: dict[tuple[str | None, ...], tuple[str, Example]] = {}
    cells: dict[tuple[str | None, ...], list[Mapping[str, float | None]]] = {}
    for (where, item), example in placed:
        place, begun = first.setdefault(item, (where, example))
        differing = [part for part in _OF_AN_ITEM if getattr(example, part) != getattr(begun, part)]
        if differing:
            what = f"{', '.join(differing)} differ from {place}, a row of the same item"
            found.add(where, what, "rows of one item that agree", "more columns under aggregate.by")
        cells.setdefault(item, []).append(example.labels)
    ids: dict[str, str] = {}
    for item, (where, example) in first.items():
        if (place := ids.setdefault(example.id, where)) != where:
            found.add(where, f"the id is that of another item, at {place}", "an id of its own in each item")
        labels = {label: _mean([row[label] for row in cells[item]]) for label in source.labels}
        yield None, replace(example, labels=labels)


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _same(value: Any) -> str:
    """A cell or a recipe's word for it, as text whose equality is equality of meaning. Raises NotOneValue."""
    return canonical(plain(value) or "")


# --- texts and groups ---------------------------------------------------------------------------------------


def _text(source: Source, row: Mapping[str, Any]) -> tuple[str, str]:
    """(the text, why it cannot be used or "")."""
    if source.text is not None:
        text: Any = row.get(source.text)
        fault = _fault(text)
        return ("", fault) if fault else (undivided(text), "")
    try:
        if isinstance(source.turns, str):
            text = joined(told(row.get(source.turns)))
        elif isinstance(source.turns, Messages):
            text = joined(_found(row[source.turns.text]))
        else:
            text = joined([(turn.speaker, spoken(row.get(turn.text))) for turn in source.turns or ()])
    except NoConversation as wrong:
        return "", str(wrong)
    return text, _fault(text)


def _found(turns: Turns | NoConversation) -> Turns:
    if isinstance(turns, NoConversation):
        raise turns
    return turns


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

    def __init__(self, path: Path, needs: str) -> None:
        self._path, self._needs = path, needs
        self._counts: Counter[str] = Counter()
        self._places = Places()

    def note(self, where: str, fault: str) -> None:
        self._counts[fault] += 1
        self._places.add(where)

    def report(self, found: Findings) -> None:
        total = self._places.count
        if not total:
            return
        kinds = ", ".join(f"{count:,} {fault}" for fault, count in self._counts.most_common())
        rows = f"{total:,} {'row has' if total == 1 else 'rows have'}"
        what = f"{rows} no usable text ({kinds}){self._places.others(self._path)}"
        found.add(self._places.first, what, self._needs, _LEAVE_OUT)


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
        what = f"the header is a single field, without the column {quoted([absent[0][1]])}"
        raise InputError(Problem(where, what, "columns set apart by the delimiter", hint))
    problems = []
    for field, column in absent:
        near = nearest(column, header)
        remedy = quoted([near]) if near else ""
        problems.append(
            Problem(where, f"{field}: no column {quoted([column])}", f"one of {quoted(header)}", remedy)
        )
    raise InputError(problems)
