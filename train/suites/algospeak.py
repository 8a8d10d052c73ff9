"""The lexicon of coded words, algospeak.yaml: a text in plain words goes in, one in coded words comes out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from random import Random
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from train.document import build, read
from train.errors import InputError, Problem
from train.spec import Spec

LEXICON = Path(__file__).with_name("algospeak.yaml")

Words = Annotated[str, StringConstraints(min_length=1, strip_whitespace=True, to_lower=True)]
Entries = Literal["all", "known", "held_out"]
"""known: those that training data may be augmented with; held_out: the others."""


class Entry(Spec):
    """Any of the plain words may be written as any of the coded ones."""

    plain: tuple[Words, ...] = Field(min_length=1)
    coded: tuple[Words, ...] = Field(min_length=1)
    lang: Literal["en", "es", "de", "fr", "pt"]
    topic: str
    """Label of the policy whose detection the coded word evades."""
    since: int = Field(ge=1980, le=2100)
    """Year it is first known of, about."""
    source: str | None = None
    """Where it is documented, of those listed at the head of the file; null: common knowledge."""
    held_out: bool = False
    """Never in augmented training data."""


class Lexicon(Spec):
    schema_: Literal[1] = Field(alias="schema")
    dated: str = Field(pattern=r"^\d{4}-\d{2}$")
    entries: tuple[Entry, ...] = Field(min_length=1)


@cache
def lexicon() -> Lexicon:
    """Raises InputError where algospeak.yaml is damaged."""
    problems: list[Problem] = []
    tree = read(LEXICON, problems)
    found = build(Lexicon, tree, problems) if tree else None
    if found is None:
        raise InputError(problems)
    return found


def coded(text: str, draw: Random, entries: Entries = "all") -> str:
    """Each plain word that the entries know, in any case, as one of its coded forms; longer ones first.

    Not told by language: a word that two languages share takes the forms of both.
    """
    forms, plain = _table(entries)

    def form(found: re.Match[str]) -> str:
        options = forms.get(found[0].lower())
        if options is None:  # to a pattern, ı is an i and ſ an s; lower() keeps them
            return found[0]
        chosen = options[int(draw.random() * len(options))]
        return chosen.upper() if found[0].isupper() else chosen

    return plain.sub(form, text)


@cache
def _table(entries: Entries) -> tuple[Mapping[str, tuple[str, ...]], re.Pattern[str]]:
    """plain -> coded forms, and a pattern that finds the plain words."""
    forms: dict[str, tuple[str, ...]] = {}
    for entry in lexicon().entries:
        if entries == "all" or entry.held_out == (entries == "held_out"):
            for word in entry.plain:
                forms[word] = forms.get(word, ()) + entry.coded
    words = sorted(forms, key=len, reverse=True)
    either = "|".join(map(re.escape, words))
    return forms, re.compile(rf"(?<![\w@#])(?:{either})(?!\w)", re.IGNORECASE)
