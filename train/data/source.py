"""A source: files, and what their columns say about the policy's labels (its section of a recipe)."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from train.data import grammar
from train.data.cells import Column, Votes
from train.data.findings import is_folder, must_be_file, quoted
from train.data.hub import PREFIX, Address
from train.data.location import has_password, is_remote, local, name_of
from train.data.messages import Messages
from train.data.rows import DELIMITERS, Format, Layout, Table, named_format, resolve_format
from train.data.split import CLAIMS, Claim
from train.data.values import several
from train.errors import InputError, Problem
from train.files import canonical_json, sha256_bytes, sha256_file
from train.spec import Spec

Location = Annotated[str, Field(min_length=1)]


class SliceColumn(Spec):
    column: str
    """Column with the slice's value."""


class SplitColumn(Spec):
    """A source's own division into splits."""

    column: str
    """Column that says which split a row is in."""
    map: dict[str, Claim] = Field(min_length=1)
    """Value in the file -> train, dev, calibration, test, or any."""


class Turn(Spec):
    """One turn of a conversation whose turns stand in columns of their own."""

    speaker: str
    """What is written before the text, such as user or bot."""
    text: str
    """Column; a turn that is empty is left out, the last may not be."""


class Aggregate(Spec):
    """Many rows are one item: an annotation a row. A label's cell is the mean of the rows' known cells."""

    by: str | Annotated[tuple[str, ...], Field(min_length=1)]
    """Column(s) in which the rows of one item agree. A row in which all of them are empty is a bad row."""
    annotator: str | None = Field(default=None, exclude_if=lambda value: value is None)
    """Column that says who annotated, for agreement between people; a pseudonym."""


class Source(Spec):
    """CSV, TSV, JSON, JSONL, Parquet (text formats also .gz), a folder of grammars, or a hub dataset."""

    path: Location | Annotated[dict[Claim, Location], Field(min_length=1)]
    """A file; or files by the split they are for, such as {any: train.csv, test: test.csv}: `any` goes by
    data.split to those splits that the source does not claim. Relative to the recipe, or, if it begins with
    ${env:...}, to the working directory; or package:NAME/PATH; or an address that fsspec opens (s3://...);
    or hub:OWNER/NAME@COMMIT:SPLIT."""
    delivered: str | None = Field(default=None, exclude_if=lambda value: value is None)
    """NAME@VERSION of a delivery, or the path of one; all else but share, rows and max_repeats is stated by
    its manifest. Its ids and groups are whole already: the source's name is not put before them."""
    part: str | None = Field(default=None, exclude_if=lambda value: value is None)
    """Which of the delivery's sources; default: the one that is called as this one."""
    sha256: dict[Claim, str] | None = Field(default=None, exclude_if=lambda value: value is None)
    """What each file's content has to be, by split; a delivery's manifest says it."""
    format: Format | None = None
    """Default: from the file's name."""
    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    encoding: str = "utf-8"
    columns: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Names of the columns of a CSV or TSV file that has no header line."""
    quotes: bool = True
    """Whether quote marks enclose CSV and TSV fields; false: they are characters like any other."""
    text: str | None = None
    """Column with the text; or say `turns`."""
    turns: str | Annotated[tuple[Turn, ...], Field(min_length=1)] | Messages | None = None
    """A conversation: a column that holds a list of {speaker, text} (or {role, content}), a column a turn, or
    for files with a message a row {thread, order, speaker, text}. The last turn is what the labels speak of.
    Of a conversation too long, the last turns are kept."""
    only: dict[str, Annotated[tuple[str, ...], Field(min_length=1)]] = Field(default_factory=dict)
    """Column -> its values in the rows to take; other rows are left out and counted. A value that no row has
    is an error."""
    id: str | None = None
    """Column that identifies a row; default: the row's number in the file, from 0 (a grammar's own ids)."""
    group: str | tuple[str, ...] | None = None
    """Column(s) that must stay in one split (author, thread); default: equal texts stay together, and the
    texts of one template."""
    pair: tuple[str, str] | None = None
    """Columns with a row's own key and that of its contrast; the two stay in one split, and so do all that
    pairs join one after another. Or say `group`."""
    parent: str | None = Field(default=None, exclude_if=lambda value: value is None)
    """Column with the whole id (SOURCE:ID) of the row that a row was made of, if of any: in a curation it is
    in its parent's split or none, and deleted with it."""
    split: SplitColumn | None = None
    """The source's own split column; default: data.split."""
    aggregate: Aggregate | None = None
    """For files with a row an annotation."""
    labels: dict[str, str | Votes | Column] = Field(default_factory=dict)
    """Policy label -> column, votes, or mapped column. Labels not named here are unknown, never negative."""
    all_negative: bool = False
    """Every label that is not named here is known to be absent: only for texts somebody looked through. Such
    a source may do without `labels`."""
    slices: dict[str, str | SliceColumn] = Field(default_factory=dict)
    """Slice -> a constant for all rows, or {column: ...}."""
    licence: str
    """What the texts may be used under, such as CC-BY-4.0 or MIT."""
    synthetic: bool = False
    """Written by people or models for training, not seen in the wild: reported apart from real text."""
    bad_rows: Literal["error", "drop"] = "error"
    """Empty, missing or over-long text, or no item to aggregate to: stop, or leave such rows out and count
    them."""
    share: float | None = Field(default=None, gt=0, le=1)
    """Part of an epoch that comes from this source."""
    rows: int | None = Field(default=None, ge=1)
    """Rows of this source in an epoch; or say `share`. Default: every row once."""
    max_repeats: float | None = Field(default=None, gt=0)
    """How often a row may stand in one epoch, on average: rather than above it, the epoch is shorter."""

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        try:
            codecs.lookup(value)
        except LookupError:
            raise ValueError("not a known encoding; utf-8, cp1252, latin-1 and utf-16 are") from None
        return value

    @field_validator("path")
    @classmethod
    def _sound_address(cls, value: Any) -> Any:
        for path in value.values() if isinstance(value, dict) else (value,):
            if path.startswith(PREFIX):
                Address.parse(path)
            if has_password(path):  # recipes are kept with their runs, and sent to W&B
                raise ValueError("an address with a password; drivers take it from the environment")
            if path.startswith("file://") and not path.startswith("file:///"):
                raise ValueError("expected file:// and an absolute path, such as file:///data/x.csv")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if mistakes := [*self._contradictions(), *self._misread_columns(), *self._misplaced_layout()]:
            raise ValueError("; ".join(dict.fromkeys(mistakes)))
        return self

    def _contradictions(self) -> Iterator[str]:
        if (self.text is None) == (self.turns is None):
            yield "say either text or turns"
        if self.delivered and not self.sha256:
            yield "delivered: say nothing beside it but part, share, rows and max_repeats"
        if self.split and isinstance(self.path, dict):
            yield "say either split or a path for each split"
        if self.group is not None and self.pair is not None:
            yield "say either group or pair"
        if isinstance(self.turns, Messages) and (self.group or self.pair or self.aggregate):
            yield "turns.thread is the group: say no group, pair or aggregate beside it"
        if self.share is not None and self.rows is not None:
            yield "say either share or rows"
        if not self.labels and not self.all_negative:
            yield "say labels, or all_negative: true for texts that are known to hold none of them"

    def _misread_columns(self) -> Iterator[str]:
        """Ids, groups, labels and slices stand in reports and messages, where a text must not."""
        found = list(self.reads())
        texts = {column for field, column in found if field in ("text", "turns")}
        for field, column in found:
            if field not in ("text", "turns", "aggregate.by") and column in texts:
                yield f"{field} reads the text column {column}"
            if self.columns is not None and column not in self.columns:
                yield f"{field}: `columns` names no {quoted([column])}"
        names = self.columns or ()
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            yield f"`columns` names {quoted(repeated)} more than once"

    def _misplaced_layout(self) -> Iterator[str]:
        """What says how a file is laid out, of a path whose name tells that it is laid out otherwise."""
        for path in self.paths().values():
            form = "hub" if path.startswith(PREFIX) else self.format or named_format(name_of(path))
            if form and (given := self._layout_beyond(form)):
                yield f"{given} given for {'a dataset of the hub' if form == 'hub' else f'a {form} file'}"

    def _layout_beyond(self, form: Layout) -> str:
        """The given fields that a file of this format does not have."""
        given = {
            "delimiter": self.delimiter is not None,
            "columns": self.columns is not None,
            "quotes": not self.quotes,
        }
        if form == "hub":
            other = codecs.lookup(self.encoding).name != "utf-8"
            given |= {"format": self.format is not None, "encoding": other}
        return "" if form in DELIMITERS else ", ".join(field for field, is_given in given.items() if is_given)

    def reads(self) -> Iterator[tuple[str, str]]:
        """(field, column) for each column that this mapping reads."""
        if self.text is not None:
            yield "text", self.text
        elif isinstance(self.turns, str):
            yield "turns", self.turns
        elif isinstance(self.turns, Messages):
            yield from self.turns.reads()
        else:
            yield from (("turns", turn.text) for turn in self.turns or ())
        yield from (("only", column) for column in self.only)
        if self.id is not None:
            yield "id", self.id
        yield from (("group", column) for column in several(self.group))
        yield from (("pair", column) for column in self.pair or ())
        if self.parent is not None:
            yield "parent", self.parent
        if self.split:
            yield "split", self.split.column
        if self.aggregate:
            yield from (("aggregate.by", column) for column in several(self.aggregate.by))
            if self.aggregate.annotator is not None:
                yield "aggregate.annotator", self.aggregate.annotator
        for label, said in self.labels.items():
            if isinstance(said, Votes):
                yield from ((f"labels.{label}.votes", column) for column in several(said.votes))
                yield f"labels.{label}.of", said.of
            else:
                yield f"labels.{label}", said if isinstance(said, str) else said.column
        for name, value in self.slices.items():
            if isinstance(value, SliceColumn):
                yield f"slices.{name}", value.column

    def claims(self) -> set[Claim]:
        """Where its rows may go, as far as it says so itself: `any` leaves it to data.split."""
        if self.split:
            return set(self.split.map.values())
        return set(self.paths())

    def paths(self) -> dict[Claim, str]:
        """Path by the split it is for, in the order of CLAIMS: that of a recipe is no part of a run."""
        stated = self.path if isinstance(self.path, dict) else {"any": self.path}
        return {claim: stated[claim] for claim in CLAIMS if claim in stated}

    @property
    def has_votes(self) -> bool:
        """Whether its cells are made of several people's votes, which can be held against each other."""
        return self.aggregate is not None or any(isinstance(said, Votes) for said in self.labels.values())

    def is_here(self) -> bool:
        """Whether its files are on this machine, so that reading them needs no network."""
        with suppress(InputError):
            return all(self._is_here(path) for path in self.paths().values())
        return False

    def _is_here(self, path: str) -> bool:
        if path.startswith(PREFIX):
            address = Address.parse(path)
            address.must_be_there()
            return address.is_folder
        return not is_remote(path) and self.place(path).exists()

    def place(self, path: str) -> Path:
        """Where the file of one of the paths is on this machine; see `location.local`. What is remote is
        fetched once: whoever asks this source, for a digest or for rows, gets the same version."""
        if path not in self._places:
            self._places[path] = local(path)
        return self._places[path]

    @cached_property
    def _places(self) -> dict[str, Path]:
        return {}

    def table(self, path: str) -> Table:
        """How to read one of the paths. Raises InputError where it is not there."""
        if path.startswith(PREFIX):
            Address.parse(path).must_be_there()
            return Table(Path(path), "hub")
        place = self.place(path)
        form = resolve_format(place, self.format)
        if given := self._layout_beyond(form):  # of a folder, which its name does not tell
            what = f"{given} given for a {form}"
            raise InputError(Problem(str(place), what, "csv or tsv", "remove it, or set format:"))
        return Table(place, form, self.encoding, self.delimiter, self.quotes, self.columns)


def content_digest(source: Source) -> str:
    """sha256 of the file's bytes; of a grammar folder, of its files' relative names and bytes; of several
    paths, of their digests by split; of a dataset of the hub, its commit."""
    digests = {claim: _proven(source, claim, path) for claim, path in source.paths().items()}
    return digests["any"] if isinstance(source.path, str) else sha256_bytes(canonical_json(digests).encode())


def _proven(source: Source, claim: Claim, path: str) -> str:
    digest = _digest(source, path)
    if source.sha256 is not None and source.sha256.get(claim) != digest:
        what = "its content is not what the delivery's manifest says"
        raise InputError(Problem(path, what, "the file as delivered", "take the delivery again"))
    return digest


def _digest(source: Source, path: str) -> str:
    if path.startswith(PREFIX):
        return Address.parse(path).digest()
    place = source.place(path)
    if not is_folder(place):
        must_be_file(place)
        return _file_digest(place)
    parts = [f"{p.relative_to(place).as_posix()}\0{_file_digest(p)}\n" for p in grammar.files(place)]
    return sha256_bytes("".join(parts).encode())


def _file_digest(path: Path) -> str:
    try:
        return sha256_file(path)
    except OSError as error:
        raise InputError(Problem(str(path), f"cannot be read: {error.strerror}")) from None
