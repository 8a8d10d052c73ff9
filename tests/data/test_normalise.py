"""Texts as the tokenizer is shown them."""

from __future__ import annotations

import csv
import time
import unicodedata
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import emoji
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from train.data.encoding import Encoder, Encoding
from train.data.normalise import Step, confusables, emoji_names, leet, nfkc, normaliser, zero_width
from train.example import TURN

ORDER: tuple[Step, ...] = ("zero-width", "nfkc", "emoji-names", "confusables", "leet")
TRICKY = st.text(
    "abeKLеоївΑοßé´ㅋ가ำﬁｋ𝓱½™ℹ013479@$._-*&#:/! اी्ត漢❤🙂👩🏴"
    "\u200b\u200c\u200d\u180e\ufe0f\ufe0e\u00ad\u3164\u1160\u0301\u0308\U000e0067\U000e007f\n" + TURN
)
UNTOUCHED = """\
Größe über Straße, Übermäßig: geht´s? Ça, naïve café, señor, ação — „so“ …
Привет, как дела? Это просто текст. ВИДЕО
Ελληνικά: καλημέρα κόσμε, ΟΧΙ
안녕하세요 ㅋㅋㅋ ㅠㅠ SNS에서 봤어요 ㅇㅋ
می‌خواهم بروم خانه‌ها
नमस्ते क्‍ष र्‍य श्री
สวัสดี\u200bครับ น้ำ ពាក្យ\u200bខ្មែរ
日本語のテキスト 葛󠄀城 SNSで
VIPами SMS-ка 5µm kΩ
👩‍❤️‍👨 👨🏽‍🚒 ❤️ ☺︎ 1️⃣ ™️ 🏴󠁧󠁢󠁥󠁮󠁧󠁿 🏳️‍🌈 ‼️ ℹ️
$5 5$ £3.50 100 1.000,00 3.14 2019 1990s '90s 4K 3D 5G mp3 mp4 covid19 PG13 1st 2nd 3rd 5th b2b gr8 l8r 2nite
U.S. e.g. i.e. z.B. p.m. @us3r a1b@mail.example https://t.co/a1b2c3 www.a1b.example &#8220;ok&#39;
I a m, x y z, 1 2 3 4, a 1 b 2 c 3
"""


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


@pytest.mark.parametrize("line", UNTOUCHED.splitlines())
def test_what_needs_no_mending_is_left_as_it_is(line: str) -> None:
    for step in ("zero-width", "confusables", "leet"):
        assert normaliser((step,))(line) == line
    kept = line.replace("…", "...").replace("µ", "μ").replace("Ω", "Ω")
    assert nfkc(unicodedata.normalize("NFC", line)) == unicodedata.normalize("NFC", kept)


@pytest.mark.parametrize(
    ("step", "text", "expected"),
    [
        (zero_width, "k\u200bi\u2060l\u00adl\ufeff \u200dy\ufe0fo\u200c\u200du\u3164", "kill you"),
        (zero_width, "\u202eabc\u202c a\U000e0061\U000e007f", "abc a"),
        (zero_width, "م\u200c\u200c\u200cن", "م\u200cن"),
        (nfkc, "ｋｉｌｌ 𝓴𝓲𝓵𝓵 ⓚ ﬁ cafe\u0301", "kill kill k fi café"),
        (confusables, "kіll уоu сафе hаte, cаfé αbc", "kill you сафе hate, café abc"),
        (
            leet,
            "h4t3 k1ll y0u l33t K1LL a$$hole s3lf-h4rm (b1tch)",
            "hate kill you leet KILL asshole self-harm (bitch)",
        ),
        (leet, "k i l l them, k.y.s k-i-l-l h 4 t 3", "kill them, kys kill hate"),
    ],
)
def test_disguises_are_undone(step: Callable[[str], str], text: str, expected: str) -> None:
    assert step(text) == expected


@given(TRICKY)
def test_twice_changes_no_more_than_once(text: str) -> None:
    for step in get_args(Step):
        once = normaliser((step,))(text)
        assert normaliser((step,))(once) == once, step
        assert once.count(TURN) == text.count(TURN)


@given(
    st.text(st.characters(categories=["Lo"]))
    | st.text(st.characters(min_codepoint=0x400, max_codepoint=0x52F))
)
def test_letters_of_other_scripts_are_neither_look_alikes_nor_leet(text: str) -> None:
    assert leet(text) == text
    if not any(unicodedata.name(letter, "").startswith("CHEROKEE") for letter in text):
        assert confusables(text) == text


@pytest.mark.parametrize(
    "part", ["a ", "a.", "а", "가_", "@a", "a@", "1a", "\u200b", "a\ufe0f\u200d", "://", "аb_", "$", "a-"]
)
def test_a_hostile_text_takes_no_longer_than_another(part: str) -> None:
    text = part * (100_000 // len(part)) + "가"
    start = time.perf_counter()
    normaliser(ORDER)(text)
    assert time.perf_counter() - start < 2


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


@pytest.mark.parametrize(
    ("file", "most"),
    [
        ("germeval2018/germeval2018.training.txt", {"zero-width": 0.0005, "nfkc": 0.002, "leet": 0.003}),
        ("korean-hate-speech/train.tsv", {"zero-width": 0.0, "nfkc": 0.002, "leet": 0.0}),
        ("davidson/labeled_data.csv", {"zero-width": 0.001, "nfkc": 0.003, "leet": 0.006}),
    ],
)
def test_real_texts_are_hardly_touched(real_data: Path, file: str, most: dict[Step, float]) -> None:
    lines = (real_data / file).read_text(encoding="utf-8").splitlines()
    for step, share in (most | {"confusables": 0.0}).items():
        assert sum(normaliser((step,))(line) != line for line in lines) <= share * len(lines), step


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
