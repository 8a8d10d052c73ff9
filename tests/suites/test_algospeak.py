"""The lexicon of coded words keeps its own rules."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random
from typing import get_args

import emoji
import pytest
import yaml

from train.suites.algospeak import LEXICON, Entries, coded, lexicon

POLICY = Path(__file__).parents[2] / "recipes" / "policies" / "teen-safety.yaml"


def test_the_lexicon_is_dated_documented_and_half_of_it_held_out() -> None:
    entries = lexicon().entries
    assert len(entries) >= 40
    assert 0.35 <= sum(entry.held_out for entry in entries) / len(entries) <= 0.6
    assert {entry.lang for entry in entries} == {"en", "es", "de", "fr", "pt"}
    topics = set(yaml.safe_load(POLICY.read_text(encoding="utf-8"))["labels"])
    assert {entry.topic for entry in entries} <= topics - {"minor_sexual_exploitation", "grooming"}
    listed = set(re.findall(r"^#   ([a-z]+(?:-\d{4})?) +", LEXICON.read_text(encoding="utf-8"), re.MULTILINE))
    assert {entry.source for entry in entries} - {None} == listed
    assert max(entry.since for entry in entries) <= int(lexicon().dated[:4])


def test_each_language_says_a_plain_word_once_and_no_code_is_plain() -> None:
    entries = lexicon().entries
    plain = [(entry.lang, word) for entry in entries for word in entry.plain]
    assert len(plain) == len(set(plain))
    assert not {word for _, word in plain} & {word for entry in entries for word in entry.coded}


def test_a_code_is_either_held_out_or_known() -> None:
    of = {
        held: {c for e in lexicon().entries if e.held_out == held for c in e.coded} for held in (False, True)
    }
    assert not of[False] & of[True]


def test_emoji_are_ones() -> None:
    signs = {word for entry in lexicon().entries for word in entry.coded if not word[0].isascii()}
    assert {sign for sign in signs if not sign[0].isalpha()} == {
        sign for sign in signs if emoji.is_emoji(sign)
    }


@pytest.mark.parametrize("entries", get_args(Entries))
def test_each_plain_word_and_no_other_is_coded(entries: Entries) -> None:
    for entry in lexicon().entries:
        for word in entry.plain:
            said = coded(f"so, {word}!", Random(1), entries)
            if entries == "all" or entry.held_out == (entries == "held_out"):
                assert said != f"so, {word}!"
    assert (
        coded("xweedx weedy @weed #weed a plain text", Random(1), entries)
        == "xweedx weedy @weed #weed a plain text"
    )


def test_longer_words_go_first_and_capitals_stay() -> None:
    assert coded("They commit suicide", Random(0)) == "They kermit sewerslide"
    assert coded("UNDER NAZIS", Random(0)) == "UNDER YAHTZEES"
    assert coded("Bulimia or anorexia", Random(0), "known") == "Bulimia or ana"
    assert coded("Bulimia or anorexia", Random(0), "held_out") == "mia or anorexia"


@pytest.mark.parametrize("text", ["\u017fuicide, or k\u0131ll", "SU\u0130C\u0130DE"])
def test_letters_that_only_a_pattern_takes_for_others_do_no_harm(text: str) -> None:
    """Turkish, an old print, or what homoglyphs left where algospeak is stacked upon them."""
    assert coded(text, Random(0)) == text
