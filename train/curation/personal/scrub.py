"""Personal data out of texts: each span becomes a placeholder of its type. What it was is kept nowhere.

Helplines stay: a number that is there to be called is no personal data, and a text that names one may be what
helps. A value that was found once in a text is taken out wherever it stands in it again.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from pydantic import Field, field_validator

from train.curation.personal.contacts import accounts, emails, handles, phones
from train.curation.personal.persons import (
    AGES,
    NAMES_THAT_ARE_WORDS,
    addresses,
    ages,
    names,
    schools,
)
from train.curation.personal.spans import KINDS, Kind, Span, View, replaced, settled
from train.curation.personal.speakers import ROLES, speakers
from train.example import TURN
from train.spec import Spec

if TYPE_CHECKING:
    import pyarrow as pa

    from train.curation.rows import Counts

_FINDERS = {
    "email": emails,
    "account": accounts,
    "phone": phones,
    "handle": handles,
    "address": addresses,
    "school": schools,
    "name": names,
}
_REPEATED = ("email", "handle", "name", "phone", "address", "school")
_RISKY = re.compile(r"\([^()]*[+*][^()]*\)[+*]|\.\*.*\.\*|\.\+.*\.\+")


class Scrub(Spec):
    kinds: tuple[Kind, ...] = KINDS
    """What is replaced: speaker (of a conversation, by a letter), email, account (payment cards, IBANs),
    phone, handle (mentions, too), address, school (with a grade, or one attended), name (after an
    introduction), age (stated of oneself; it becomes a band)."""
    roles: tuple[str, ...] = ROLES
    """Speakers that are nobody's name, in lower case, and stay, also with a number; so do single letters."""
    patterns: dict[str, str] = Field(default_factory=dict)
    """Your own: NAME in capitals -> regular expression; what it matches becomes [NAME]."""

    @field_validator("patterns")
    @classmethod
    def _sound(cls, value: Mapping[str, str]) -> Mapping[str, str]:
        for name, pattern in value.items():
            if not re.fullmatch("[A-Z][A-Z_]*", name) or name.lower() in KINDS:
                raise ValueError(
                    f"'{name}': a name in capitals that is no kind of its own, such as STUDENT_ID"
                )
            try:
                re.compile(pattern)
            except re.error as error:
                raise ValueError(f"{name}: no regular expression: {error}") from None
            if _RISKY.search(pattern):
                raise ValueError(
                    f"{name}: repeats what repeats, which may take forever; bound it, as in {{1,40}}"
                )
            if re.search(pattern, ""):
                raise ValueError(f"{name}: matches the empty text")
        return value


def scrub(table: pa.Table, spec: Scrub) -> tuple[pa.Table, Counts]:
    """`text` and `normal` with placeholders. Adds `personal`, the kind, start and end of each in `text` (in
    characters), and `stated_age`: under-13, 13-15, 16-17, 18+, or null."""
    import pyarrow as pa

    counts: Counter[str] = Counter()
    columns: dict[str, list[str]] = {"text": [], "normal": []}
    places, bands = [], []
    said = (table.column(name).to_pylist() for name in ("text", "normal", "conversation"))
    for text, normal, conversation in zip(*said, strict=True):
        shown, spans = scrubbed(text, spec, conversation)
        columns["text"].append(shown)
        columns["normal"].append(shown if normal == text else scrubbed(normal, spec, conversation)[0])
        places.append([{"kind": s.kind, "start": s.start, "end": s.end} for s in spans])
        bands.append(_band(spans))
        counts.update(f"personal.{span.kind}" for span in spans)
    for name, values in columns.items():
        table = table.set_column(table.column_names.index(name), name, pa.array(values, pa.string()))
    kind = pa.list_(pa.struct([("kind", pa.string()), ("start", pa.int32()), ("end", pa.int32())]))
    table = table.append_column("personal", pa.array(places, kind))
    return table.append_column("stated_age", pa.array(bands, pa.string())), counts


def scrubbed(text: str, spec: Scrub, conversation: bool = False) -> tuple[str, list[Span]]:
    """The text with placeholders, and where these stand in it. A turn of a conversation is read by itself; a
    speaker's name that it mentions is a handle."""
    turns = text.split(TURN)
    found = [[*_found(View.of(turn), spec)] for turn in turns]
    mentioned = set()
    if conversation and "speaker" in spec.kinds:
        for at, name, letter in speakers(turns, spec.roles):
            found[at].append(Span(0, len(name), "speaker", letter))
            mentioned.add((name, "handle", "[HANDLE]"))
    values = {one for one in mentioned if len(one[0]) >= 3} | {
        (turn[span.start : span.end], span.kind, span.becomes)
        for turn, spans in zip(turns, found, strict=True)
        for span in spans
        if span.kind in _REPEATED and span.end - span.start >= 3
    }
    if values:
        for said, spans in zip(turns, found, strict=True):
            spans += [*_again(said, values, spans)]
    order = [*KINDS, *(name.lower() for name in spec.patterns)]
    shown, placed, length = [], [], 0
    for turn, spans in zip(turns, found, strict=True):
        clean, its = replaced(turn, settled(spans, order))
        placed += [Span(s.start + length, s.end + length, s.kind, s.becomes) for s in its]
        shown.append(clean)
        length += len(clean) + len(TURN)
    return TURN.join(shown), placed


def _found(view: View, spec: Scrub) -> Iterator[Span]:
    for kind in spec.kinds:
        if kind == "speaker":
            continue  # of a whole conversation
        if kind == "age":
            for start, end, years in ages(view.text):
                yield Span(*view.place(start, end), kind, _age(years)[1])
        else:
            for start, end in _FINDERS[kind](view.text):
                yield Span(*view.place(start, end), kind, f"[{kind.upper()}]")
    for name, pattern in spec.patterns.items():
        for match in re.finditer(pattern, view.text):
            yield Span(*view.place(*match.span()), name.lower(), f"[{name}]")


def _again(turn: str, values: set[tuple[str, str, str]], found: list[Span]) -> Iterator[Span]:
    """Where values stand in a turn beside where they were found, whatever their case; a name that is a word,
    too, as it was written."""
    here, small = Counter(turn[span.start : span.end].lower() for span in found), turn.lower()
    for value, kind, becomes in sorted(values):
        case = 0 if value.lower() in NAMES_THAT_ARE_WORDS else re.IGNORECASE
        if small.count(value.lower()) > here[value.lower()]:
            for match in re.finditer(rf"(?<!\w){re.escape(value)}(?!\w)", turn, case):
                yield Span(*match.span(), kind, becomes)


def _age(years: int) -> tuple[int, str, str]:
    return next(age for age in AGES if years < age[0])


def _band(spans: list[Span]) -> str | None:
    """The first age that a text states of its author."""
    said = {placeholder: band for _, placeholder, band in AGES}
    return next((said[span.becomes] for span in spans if span.kind == "age"), None)
