"""Texts as somebody writes them who does not want a machine to read them: text in, text out, seeded.

What is drawn is a function of (seed, kind, key), the key being a text's id: neither order nor process, nor
the version of Python, enters. A person can still read every result, and a text that a kind has no hold on
comes back as it is: there is no leetspeak of Korean. Turns of conversations, addresses, mentions and what
ends in a colon (a speaker's name) stay.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from hashlib import sha256
from random import Random
from typing import TypeVar

from train.suites.algospeak import Entries, coded

Perturbation = Callable[[str, Random], str]
T = TypeVar("T")

_LATIN = "A-Za-zÀ-ÖØ-öø-ɏ"
_LETTERS = _LATIN + "\u0370-\u052f\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7a3"  # of scripts that do not join


def _words(letters: str, more: str = "") -> re.Pattern[str]:
    """Words of three or more of these letters; `more` may stand among them."""
    return re.compile(rf"(?<![\w@$/.:&])(?=[{more}]*[{letters}])[{letters}{more}]{{3,}}(?![\w/:@$])")


_LATIN_WORD, _WORD, _ANY_WORD = _words(_LATIN), _words(_LETTERS), _words(_LETTERS, "0-9$")


def perturb(text: str, kind: str, *, seed: int, key: str, held_out: bool = True) -> str:
    """The text under one of KINDS, or another stack `KIND+KIND`: its parts in order, each drawn as alone.

    held_out: False leaves out the coded words that are kept from training, for texts that train.
    Raises KeyError for another kind.
    """
    for part in kind.split("+"):
        draw = Random(int.from_bytes(sha256(f"{seed}\n{part}\n{key}".encode()).digest()))
        text = (SINGLE if held_out else _TRAINING)[part](text, draw)
    return text


# ---- the kinds -----------------------------------------------------------------------------------------


def leetspeak(text: str, draw: Random) -> str:
    """Half of the letters that have a digit or sign alike, in words of three letters or more."""
    return _LATIN_WORD.sub(lambda word: _letterwise(word[0], _LEET, draw, 0.5), text)


def homoglyphs(text: str, draw: Random) -> str:
    """Half of the letters that have a twin in another script, in words of three letters or more."""
    return _LATIN_WORD.sub(lambda word: _letterwise(word[0], _TWINS, draw, 0.5), text)


def spacing(text: str, draw: Random) -> str:
    """A third of the words of four letters or more spelled out under one separator: l i k e or l.i.k.e."""
    return _some(text, draw, 1 / 3, lambda word: _pick((" ", " ", ".", "-"), draw).join(word), 4)


def zero_width(text: str, draw: Random) -> str:
    """A character that draws nothing inside every word of three letters or more."""

    def hide(word: str) -> str:
        at = 1 + int(draw.random() * (len(word) - 1))
        return word[:at] + _pick("\u200b\u200c\u200d\u2060\u00ad", draw) + word[at:]

    return _some(text, draw, 1, hide)


def repeated(text: str, draw: Random) -> str:
    """In a third of the words of three letters or more, one letter three to five times."""

    def stretch(word: str) -> str:
        at = int(draw.random() * len(word))
        return word[:at] + word[at] * _pick((3, 4, 5), draw) + word[at + 1 :]

    return _some(text, draw, 1 / 3, stretch)


def typos(text: str, draw: Random) -> str:
    """In about a third of the words of four letters or more: two letters swapped, one dropped, doubled, or
    its neighbour on a QWERTY keyboard hit. The first letter stays."""

    def slip(word: str) -> str:
        at = 1 + int(draw.random() * (len(word) - 2))
        one, rest = word[at], word[at + 1 :]
        beside = _pick(_KEYS.get(one.lower(), one), draw)
        return word[:at] + _pick((rest[:1] + one + rest[1:], rest, one + one + rest, beside + rest), draw)

    return _some(text, draw, 1 / 3, slip, 4)


def emoji(text: str, draw: Random) -> str:
    """Every word that names an emoji in English (Unicode CLDR, without ` face`) as the emoji: pig, clown."""
    names = _emoji_names()
    return _LATIN_WORD.sub(lambda word: names.get(word[0].lower(), word[0]), text)


def algospeak(text: str, draw: Random, entries: Entries = "all") -> str:
    """Every word of the lexicon that is not in code in code."""
    return coded(text, draw, entries)


def case(text: str, draw: Random) -> str:
    """The case of every letter by a coin."""

    def toss(letter: str) -> str:
        other = letter.swapcase()
        return other if len(other) == 1 and draw.random() < 0.5 else letter

    return _WORD.sub(lambda word: "".join(map(toss, word[0])), text)


# ---- their parts ---------------------------------------------------------------------------------------


def _by_first(groups: str) -> Mapping[str, str]:
    return {group[0]: group[1:] for group in groups.split()}


_LEET = _by_first("a4@ e3 i1 o0 s5$ t7 A4@ E3 I1 O0 S5$ T7")
_TWINS = _by_first(
    "aаɑα cсᴄ dԁ eе gɡ hһ iіı jј kк lӏ oоοօ pрρ sѕ uυս vѵν wԝ xхⅹ yуү "
    "AАΑ BВΒ CС EЕΕ HНΗ IІΙ KКΚ MМΜ NΝ OОΟ PРΡ SЅ TТΤ XХΧ YҮΥ"
)
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_KEYS = {row[i]: row[max(0, i - 1) : i] + row[i + 1 : i + 2] for row in _ROWS for i in range(len(row))}


def _some(text: str, draw: Random, share: float, change: Callable[[str], str], shortest: int = 3) -> str:
    """The text with `change` done to that share of its words, each drawn by itself."""

    def changed(word: re.Match[str]) -> str:
        return change(word[0]) if len(word[0]) >= shortest and draw.random() < share else word[0]

    return _ANY_WORD.sub(changed, text)


def _letterwise(word: str, twins: Mapping[str, str], draw: Random, share: float) -> str:
    def twin(letter: str) -> str:
        options = twins.get(letter, "")
        return _pick(options, draw) if options and draw.random() < share else letter

    return "".join(map(twin, word))


def _pick(options: Sequence[T], draw: Random) -> T:
    return options[int(draw.random() * len(options))]  # of Random, only random() is promised to stay as it is


@cache
def _emoji_names() -> Mapping[str, str]:
    """Name in one English word -> emoji."""
    from emoji import EMOJI_DATA, STATUS

    whole = {
        sign: of["en"].strip(":")
        for sign, of in EMOJI_DATA.items()
        if of["status"] == STATUS["fully_qualified"]
    }
    faces = {name.removesuffix("_face"): sign for sign, name in whole.items()}
    names = faces | {name: sign for sign, name in whole.items()}
    return {name: sign for name, sign in names.items() if name.isalpha() and name.islower()}


SINGLE: Mapping[str, Perturbation] = {
    "leetspeak": leetspeak,
    "spacing": spacing,
    "zero_width": zero_width,
    "homoglyphs": homoglyphs,
    "repeated": repeated,
    "typos": typos,
    "emoji": emoji,
    "algospeak": algospeak,
    "algospeak_held_out": partial(algospeak, entries="held_out"),
    "case": case,
}
_TRAINING: Mapping[str, Perturbation] = {
    **SINGLE,
    "algospeak": partial(algospeak, entries="known"),
    "algospeak_held_out": lambda text, draw: text,
}
STACKED = ("leetspeak+spacing", "homoglyphs+zero_width", "algospeak+typos", "repeated+leetspeak")
KINDS = (*SINGLE, *STACKED)
