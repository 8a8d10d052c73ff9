"""A row's cells to one label: a column, or annotators' votes. Empty is unknown; what is odd is a finding."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import Field, field_validator

from train.data.findings import PLACES, Findings, Places, nearest, quoted
from train.data.values import (
    NotANumber,
    NotOneValue,
    as_shown,
    canonical,
    is_number,
    number_of,
    plain,
    several,
)
from train.spec import Spec


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
        scalar = (bool, int, float)
        return {plain(key) if isinstance(key, scalar) else key: cell for key, cell in value.items()}


def reader(label: str, said: str | Votes | Column, found: Findings) -> VoteReader | ColumnReader:
    if isinstance(said, Votes):
        return VoteReader(label, said, found)
    return ColumnReader(label, Column(column=said) if isinstance(said, str) else said, found)


class VoteReader:
    def __init__(self, label: str, said: Votes, found: Findings) -> None:
        self._label, self._votes, self._of, self._found = label, several(said.votes), said.of, found

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
            raise _WrongCell(self._of, "is not above 0", "more than 0 annotators")
        total = 0.0
        for column in self._votes:
            votes = _amount(row, column)
            if votes is None or votes < 0:
                is_so = "is empty" if votes is None else "is below 0"
                raise _WrongCell(column, is_so, "a number of votes, 0 or more")
            total += votes
        if total > of * (1 + 1e-9):  # weights that are fractions may add up to a little more
            is_so = f"is below {' + '.join(self._votes)}"
            raise _WrongCell(self._of, is_so, "at least as many as the votes")
        return min(1.0, total / of)

    def report(self) -> None:
        """All was said as it was found."""


class _WrongCell(Exception):
    """A cell, named by its column: what stands in it may be a text."""

    def __init__(self, column: str, is_so: str, expected: str) -> None:
        super().__init__(column)
        self.what = f'column "{column}" {is_so}'
        self.expected = expected


def _amount(row: Mapping[str, Any], column: str) -> float | None:
    try:
        return number_of(row.get(column))
    except NotANumber:
        raise _WrongCell(column, "is no number", "a number") from None


class ColumnReader:
    def __init__(self, label: str, said: Column, found: Findings) -> None:
        self._label, self._column, self._map, self._found = label, said.column, said.map, found
        self._canonical = {canonical(key.strip()): value for key, value in (said.map or {}).items()}
        self._odd = OddValues()

    def read(self, where: str, row: Mapping[str, Any]) -> float | None:
        value = row.get(self._column)
        if self._map is not None and isinstance(value, str) and value in self._map:
            return self._map[value]
        try:
            text = canonical(plain(value) or "")
        except NotOneValue as error:
            self._odd.note(where, str(error))
            return None
        if self._map is not None and text in self._canonical:
            return self._canonical[text]
        if not text:
            return None
        if self._map is None:
            if text in ("true", "false"):
                return float(text == "true")
            if is_number(text) and 0 <= float(text) <= 1:
                return float(text)
        self._odd.note(where, as_shown(value))
        return None

    def report(self) -> None:
        if not self._odd:
            return
        reads = f'labels.{self._label}: column "{self._column}"'
        if self._map is None:
            what = f"{reads} has values that are no probability: {self._odd.listed()}"
            expected = "a number in [0, 1], true or false, or empty for unknown"
            remedy = f"labels.{self._label}: {{column: {self._column}, map: {{<value>: <probability>}}}}"
        else:
            what = f"{reads} has values that `map` does not list: {self._odd.listed()}"
            expected = f"one of {quoted(self._map)}"
            near = ((shown, _meant(shown.strip('"'), self._map)) for shown in self._odd.frequent())
            meant = [f'"{key}" for {shown}' for shown, key in near if key]
            remedy = "; ".join([*meant, f"list them under labels.{self._label}.map (null is unknown)"])
        self._found.add(self._odd.first, what, expected, remedy)


class OddValues:
    """Values that nobody listed: how often each stands in a column, and where.

    A value that stands in one row only may be somebody's words: it is named by its place.
    """

    def __init__(self) -> None:
        self._places: dict[str, Places] = {}

    def __bool__(self) -> bool:
        return bool(self._places)

    @property
    def first(self) -> str:
        return next(iter(self._places.values())).first

    def note(self, where: str, shown: str) -> None:
        # a free-text column named by mistake has a new value in every row
        value = shown if shown in self._places or len(self._places) < 1000 else "others"
        self._places.setdefault(value, Places()).add(where)

    def frequent(self) -> list[str]:
        """Values of at least two rows, the most frequent first."""
        often = {shown: places.count for shown, places in self._places.items() if places.count > 1}
        return sorted(often, key=lambda shown: -often[shown])[:PLACES]

    def listed(self) -> str:
        if len(self._places) > 50:
            return f"over 50 different ones, in {sum(p.count for p in self._places.values()):,} rows"
        listed = [f"{shown} ({self._places[shown].count:,} rows)" for shown in self.frequent()]
        once = [places.first for places in self._places.values() if places.count == 1]
        if more := len(self._places) - len(once) - len(listed):
            listed.append(f"{more:,} more of several rows each")
        if once:
            are = "1 value in one row" if len(once) == 1 else f"{len(once):,} values in one row each"
            listed.append(f"{are} ({', '.join(once[:PLACES])}{' ...' if len(once) > PLACES else ''})")
        return ", ".join(listed)


def _meant(value: str, keys: Iterable[str]) -> str | None:
    """The key that was probably meant; never one inside the other: "unsafe" is not a way to write "safe"."""
    key = nearest(value, keys)
    if key is None or key.casefold() == value.casefold():
        return key
    return None if key.casefold() in value.casefold() or value.casefold() in key.casefold() else key
