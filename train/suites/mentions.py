"""Which texts mention which group of people, or are written in which dialect: texts in, bools by name out.

The words are in identity.yaml beside this file, which also says what such a heuristic cannot tell.
"""

from __future__ import annotations

import html
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field, StringConstraints

from train.document import build, read
from train.errors import InputError, Problem
from train.spec import Spec

LEXICON = Path(__file__).with_name("identity.yaml")
_INSIDE_WORDS = frozenset({"ko"})
"""Languages whose nouns carry particles and whose spaces are often left out."""
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_APOSTROPHES = str.maketrans("’‘`´", "''''")

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]
Words = Annotated[tuple[str, ...], Field(min_length=1)]


class Dialect(Spec):
    lang: str
    words: Words
    patterns: dict[str, str]
    """Word -> regular expression around it, on `_plain` text: what a list of words cannot say."""


class Lexicon(Spec):
    schema_: Literal[1] = Field(alias="schema")
    identity: dict[Name, dict[Name, dict[str, Words]]]
    """Kind -> group -> language -> words."""
    dialect: dict[Name, Dialect]


@cache
def lexicon() -> Lexicon:
    """Raises InputError where identity.yaml is damaged."""
    problems: list[Problem] = []
    tree = read(LEXICON, problems)
    found = build(Lexicon, tree, problems) if tree else None
    if found is None:
        raise InputError(problems)
    return found


def mentions(
    texts: Sequence[str], languages: Sequence[str | None] | None = None
) -> dict[str, npt.NDArray[np.bool_]]:
    """`identity=<group>`, `identity=<kind>` (any group of it) and `dialect=<name>` -> which texts, bool [n].

    languages: of each text [n], such as en or en-GB, in any case; a text without one is searched for the
    words of all languages.
    """
    n, words = len(texts), lexicon()
    said = [_plain(text) for text in texts]
    spoken = {lang for groups in words.identity.values() for named in groups.values() for lang in named}
    spoken |= {dialect.lang for dialect in words.dialect.values()}
    if languages is None:
        indexes = dict.fromkeys(spoken, _Index(said, range(n)))
    else:
        told = [lang and re.split("[-_]", lang)[0].lower() for lang in languages]
        spoken_in = {lang: [r for r in range(n) if told[r] in (None, lang)] for lang in spoken}
        indexes = {lang: _Index(said, rows) for lang, rows in spoken_in.items()}
    found: dict[str, npt.NDArray[np.bool_]] = {}

    def mask(rows: Iterable[int]) -> npt.NDArray[np.bool_]:
        chosen = np.zeros(n, dtype=bool)
        chosen[list(rows)] = True
        return chosen

    for kind, groups in words.identity.items():
        of_kind = {
            f"identity={group}": mask(
                row
                for lang, entries in named.items()
                for entry in entries
                for row in indexes[lang].rows(entry, inside=lang in _INSIDE_WORDS)
            )
            for group, named in groups.items()
        }
        found |= {f"identity={kind}": np.any(list(of_kind.values()), axis=0), **of_kind}
    for name, dialect in words.dialect.items():
        index = indexes[dialect.lang]
        rows = [row for word in dialect.words for row in index.rows(word)]
        for word, pattern in dialect.patterns.items():
            rows += [row for row in index.rows(word) if re.search(pattern, said[row])]
        found[f"dialect={name}"] = mask(rows)
    return found


def to_slices(found: Mapping[str, npt.NDArray[np.bool_]]) -> dict[str, npt.NDArray[np.object_]]:
    """Mentions as slices `identity` and `dialect` of predictions: a text's names, spaces between, or None.

    So a finished run, which keeps no text, can be judged again: `from_slices` reads them back.
    """
    slices: dict[str, npt.NDArray[np.object_]] = {}
    for kind in ("identity", "dialect"):
        rows = {key.partition("=")[2]: chosen for key, chosen in found.items() if key.startswith(f"{kind}=")}
        names = np.array(list(rows), dtype=object)
        by_text = np.column_stack(list(rows.values()))
        slices[kind] = np.array([" ".join(names[row]) or None for row in by_text], dtype=object)
    return slices


def from_slices(slices: Mapping[str, npt.NDArray[np.object_]]) -> dict[str, npt.NDArray[np.bool_]]:
    """Mentions [n] from the slices that `to_slices` made, of names that some text has."""
    found: dict[str, npt.NDArray[np.bool_]] = {}
    for kind in ("identity", "dialect"):
        said = [set((names or "").split()) for names in slices.get(kind, ())]
        for name in sorted(set().union(*said)):
            found[f"{kind}={name}"] = np.array([name in names for names in said])
    return found


def _plain(text: str) -> str:
    """The words of a text in lower case, a space before, between and after them."""
    folded = html.unescape(text).casefold().translate(_APOSTROPHES)
    return f" {' '.join(_WORD.findall(folded))} "


class _Index:
    """Which of the rows of plain texts [n] hold a word."""

    def __init__(self, said: Sequence[str], rows: Sequence[int]) -> None:
        self._said, self._all = said, rows
        self._rows: dict[str, list[int]] = {}
        for row in rows:
            for word in set(said[row].split()):
                self._rows.setdefault(word, []).append(row)
        self._words = sorted(self._rows)

    def rows(self, entry: str, inside: bool = False) -> Iterator[int]:
        """Rows that hold a word or phrase of the lexicon; inside: also as part of a longer word."""
        phrase = _plain(entry).strip()
        if inside:
            yield from (row for row in self._all if phrase in self._said[row])
        elif " " in phrase:
            wanted = f" {phrase}" if entry.endswith("*") else f" {phrase} "
            yield from (row for row in self._rows.get(phrase.split()[0], ()) if wanted in self._said[row])
        elif entry.endswith("*"):
            begin = bisect_left(self._words, phrase)
            for word in takewhile(lambda word: word.startswith(phrase), self._words[begin:]):
                yield from self._rows[word]
        else:
            yield from self._rows.get(phrase, ())
