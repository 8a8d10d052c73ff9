"""Where personal data stand in a text, and the text with placeholders in their places."""

from __future__ import annotations

import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal["speaker", "email", "account", "phone", "handle", "address", "school", "name", "age"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""From the surest to the least sure: where two spans overlap, the earlier kind stays."""


@dataclass(frozen=True)
class Span:
    """text[start:end] is personal data of a kind, or for `team:NAME` what a team's own pattern found."""

    start: int
    end: int
    kind: str
    becomes: str
    """The placeholder, such as [EMAIL] or [AGE_13_15]."""


@dataclass(frozen=True)
class View:
    """A text as it reads: compatibility characters plain, invisible ones gone. at: of each character, and of
    the end, its position in the text."""

    text: str
    at: Sequence[int]

    @classmethod
    def of(cls, text: str) -> View:
        if text.isascii():
            return cls(text, range(len(text) + 1))
        shown: list[str] = []
        at: list[int] = []
        for position, letter in enumerate(text):
            if unicodedata.category(letter) == "Cf":
                continue
            plain = unicodedata.normalize("NFKC", letter)
            if plain.isdecimal() and not plain.isascii():
                plain = "".join(str(unicodedata.decimal(digit)) for digit in plain)
            shown.append(plain)
            at += [position] * len(plain)
        return cls("".join(shown), [*at, len(text)])

    def place(self, start: int, end: int) -> tuple[int, int]:
        """Where view[start:end] is in the text."""
        return self.at[start], self.at[end - 1] + 1 if end > start else self.at[start]


def settled(found: Iterable[Span], order: Sequence[str]) -> list[Span]:
    """Those that stay where spans overlap, by place: the kind that `order` lists first, then the longer."""
    taken: list[Span] = []  # by place, and none over another: only its neighbours can be in a span's way
    for span in sorted(found, key=lambda s: (order.index(s.kind), s.start - s.end, s.start)):
        at = bisect_left(taken, span.start, key=lambda s: s.start)
        if (not at or taken[at - 1].end <= span.start) and (at == len(taken) or taken[at].start >= span.end):
            taken.insert(at, span)
    return taken


def replaced(text: str, spans: Sequence[Span]) -> tuple[str, list[Span]]:
    """The text with placeholders, and where these stand in it."""
    parts: list[str] = []
    placed: list[Span] = []
    end = length = 0
    for span in spans:
        before = text[end : span.start]
        length += len(before)
        placed.append(Span(length, length + len(span.becomes), span.kind, span.becomes))
        parts += [before, span.becomes]
        length += len(span.becomes)
        end = span.end
    return "".join([*parts, text[end:]]), placed
