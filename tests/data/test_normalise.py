"""Texts as the tokenizer is shown them."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import Any

import emoji
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from train.data.encoding import Encoder, Encoding
from train.data.normalise import emoji_names, normaliser
from train.example import TURN


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nice 🙂!", "nice  slightly smiling face !"),
        ("x🔪y", "x kitchen knife y"),
        ("🔪🔪", " kitchen knife  kitchen knife "),
        ("🇩🇪", " Germany "),
        ("🇩🇪🇫🇷", " Germany  France "),
        ("🏴󠁧󠁢󠁥󠁮󠁧󠁿", " England "),
        ("👋🏽", " waving hand medium skin tone "),
        ("👨‍👩‍👧", " family man woman girl "),
        ("🧑🏽‍🚒", " firefighter medium skin tone "),
        ("👨🏽‍❤️‍👨🏿", " couple with heart man man medium skin tone dark skin tone "),
        ("🏳️‍🌈", " rainbow flag "),
        ("1️⃣", " keycap 1 "),
        ("☺", " smiling face "),
        ("☺️", " smiling face "),
        ("☺︎", " smiling face "),
        ("❤", " red heart "),
        ("❤️", " red heart "),
        ("🫠", " melting face "),
        ("™", " trade mark "),
        (f"a: 🙂{TURN}b: 🔪", f"a:  slightly smiling face {TURN}b:  kitchen knife "),
        ("", ""),
        ("plain :) 1 # * ascii", "plain :) 1 # * ascii"),
        (":red_heart: stays", ":red_heart: stays"),
        ("Über Straße 한국어 «ok» … 5€", "Über Straße 한국어 «ok» … 5€"),
        ("🇩", "🇩"),
    ],
)
def test_emoji_become_their_names(text: str, expected: str) -> None:
    assert emoji_names(text) == expected
    assert emoji_names(emoji_names(text)) == expected


@given(st.text())
def test_nothing_but_emoji_changes(text: str) -> None:
    if emoji.emoji_count(text) == 0 and "\ufe0f" not in text and "\ufe0e" not in text:
        assert emoji_names(text) == text
    assert emoji.emoji_count(emoji_names(text)) == 0


@given(st.text(st.characters(max_codepoint=127)))
def test_ascii_is_handed_back_as_it_is(text: str) -> None:
    assert emoji_names(text) is text


def test_steps_are_applied_in_order_and_none_is_nothing() -> None:
    assert normaliser(())("🙂") == "🙂"
    assert normaliser(("emoji-names",))("🙂") == " slightly smiling face "
    with pytest.raises(ValidationError):
        Encoding(normalise=("emoji",))  # type: ignore[arg-type]


def test_the_encoder_shows_the_tokenizer_the_names(tokenizer: Any) -> None:
    plain, named = Encoder(tokenizer, Encoding()), Encoder(tokenizer, Encoding(normalise=("emoji-names",)))
    assert named(["bad 🔪 x"]) == plain(["bad kitchen knife x"]) != plain(["bad 🔪 x"])
    assert named(["ascii only"]) == plain(["ascii only"])
    assert named.digest != plain.digest


def test_the_emoji_that_a_vocabulary_lacks(real_data: Path, tokenizer: Any) -> None:
    """What FIELD_NOTES measured: 960 of the 961 emoji of hatemoji-build's test are [UNK] to MiniLM."""
    with (real_data / "hatemoji-build" / "test.csv").open(newline="", encoding="utf-8") as stream:
        texts = [row["text"] for row in csv.DictReader(stream)]
    found = Counter(match["emoji"] for text in texts for match in emoji.emoji_list(text))
    unknown = {True: 0, False: 0}
    for steps in ((), ("emoji-names",)):
        encoder = Encoder(tokenizer, Encoding(normalise=steps))  # type: ignore[arg-type]
        tokens = encoder(list(found))
        unknown[bool(steps)] = sum(
            count for count, ids in zip(found.values(), tokens, strict=True) if encoder.unknown in ids
        )
    assert (found.total(), unknown[False]) == (961, 960)
    assert unknown[True] == 0
