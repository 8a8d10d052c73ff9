"""A source: one file, and what its columns say about the policy's labels."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from train.spec import Spec


class Votes(Spec):
    """A soft label from annotator votes: sum of the vote columns / the count column."""

    votes: str | tuple[str, ...]
    """Column, or columns whose counts are added."""
    of: str
    """Column with the number of annotators."""


class Column(Spec):
    """A label from one column: a number in [0, 1], true/false, or text translated by `map`. Empty is unknown."""

    column: str
    map: dict[str, float | None] | None = None
    """Value in the file -> probability, null = unknown. A value that is not listed is an error."""


class SliceColumn(Spec):
    column: str


class Source(Spec):
    """Local CSV, TSV, JSON, JSONL or Parquet (also .gz), or a folder of template grammars."""

    path: str
    """Relative to the recipe; if it begins with ${env:...}, relative to the working directory."""
    format: Literal["csv", "tsv", "json", "jsonl", "parquet", "grammar"] | None = None
    """Default: from the file's name."""
    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    encoding: str = "utf-8"
    text: str
    """Column with the text."""
    id: str | None = None
    """Column that identifies a row; default: the row's number in the file."""
    group: str | tuple[str, ...] | None = None
    """Column(s) that must stay in one split (author, thread); default: equal texts stay together."""
    labels: dict[str, str | Votes | Column] = Field(min_length=1)
    """Policy label -> column, votes, or mapped column. Labels not named here are unknown, never negative."""
    slices: dict[str, str | SliceColumn] = {}
    """Slice -> a constant for all rows, or {column: ...}."""
    licence: str
    synthetic: bool = False
    """Written by people or models for training, not seen in the wild: reported apart from real text."""
    bad_rows: Literal["error", "drop"] = "error"
    """Empty, missing or over-long text: stop, or leave such rows out and count them."""
