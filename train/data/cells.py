"""A row's cells to one label: a column, or annotators' votes. Empty is unknown; what is odd is a finding."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import Field, field_validator

from train.data.findings import Findings, nearest, quoted
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

PLACES = 10  # values named in a message about many


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
        self.what = f'column "{column}" is {as_shown(row.get(column), most=16)}'
        self.expected = expected


def _amount(row: Mapping[str, Any], column: str) -> float | None:
    try:
        return number_of(row.get(column))
    except NotANumber:
        raise _WrongCell(column, row, "a number") from None


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
    """Values that nobody listed: how often each stands in a column, and where the first one is."""

    def __init__(self) -> None:
        self.first = ""
        self._counts: Counter[str] = Counter()

    def __bool__(self) -> bool:
        return bool(self._counts)

    def note(self, where: str, shown: str) -> None:
        self.first = self.first or where
        # a free-text column named by mistake has a new value in every row
        self._counts[shown if shown in self._counts or len(self._counts) < 1000 else "others"] += 1

    def frequent(self) -> list[str]:
        return [shown for shown, _ in self._counts.most_common(PLACES)]

    def listed(self) -> str:
        if len(self._counts) > 50:
            return f"over 50 different ones, in {self._counts.total():,} rows"
        listed = [f"{shown} ({count:,} rows)" for shown, count in self._counts.most_common(PLACES)]
        if len(self._counts) > PLACES:
            listed.append(f"and {len(self._counts) - PLACES:,} more")
        return ", ".join(listed)


def _meant(value: str, keys: Iterable[str]) -> str | None:
    """The key that was probably meant; never one inside the other: "unsafe" is not a way to write "safe"."""
    key = nearest(value, keys)
    if key is None or key.casefold() == value.casefold():
        return key
    return None if key.casefold() in value.casefold() or value.casefold() in key.casefold() else key
