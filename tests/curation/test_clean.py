"""The normalised copy: what is mended, what honest texts keep, and that turns stay turns."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.curation.clean import Clean, clean
from train.example import TURN

TRICKY = st.text(
    "abKe Ã¤â€™Â&amp;lt#30;x1EоеαΟ한ㅋกำیﬁｋ𝓱❤👩\u200b\u200c\u200d\ufe0f\u00ad\x00\x07\x1b[\x85\u2028\r\n"
    + TURN,
    max_size=30,
)
HONEST = """\
Größe über Straße: ça, naïve café, señor, „so“ und ’s ist — gut …
Привет, как дела? ВИДЕО, VIPами, SMS-ка
Ελληνικά: καλημέρα κόσμε, ΟΧΙ
안녕하세요 ㅋㅋㅋ ㅠㅠ SNS에서 봤어요
می‌خواهم بروم خانه‌ها
مرحبا بالعالم، كيف حالك؟
नमस्ते क्‍ष र्‍य श्री
สวัสดี\u200bครับ น้ำ ពាក្យ\u200bខ្មែរ
日本語のテキスト、漢字
👩‍❤️‍👨 👨🏽‍🚒 ❤️ 1️⃣ ™️ 🏴󠁧󠁢󠁥󠁮󠁧󠁿 🏳️‍🌈 ‼️ ¯\\_(ツ)_/¯"""


def cleaned(*texts: str, spec: Clean = Clean()) -> list[tuple[str, list[str]]]:  # noqa: B008 - frozen
    table, _ = clean(pa.table({"text": pa.array(texts, pa.string())}), spec)
    return list(zip(table.column("normal").to_pylist(), table.column("changed").to_pylist(), strict=True))


@pytest.mark.parametrize(
    ("text", "normal", "changed"),
    [
        ("plain :) words", "plain :) words", []),
        ("schÃ¶n, dass du da bist", "schön, dass du da bist", ["ftfy"]),
        ("this &amp; that &#8217;", "this & that ’", ["ftfy"]),
        ("bell\x07 and \x1b[31mred", "bell and red", ["ftfy"]),
        ("l\u200bo\u00ads\u2060er", "loser", ["zero-width"]),
        ("ｌｏｓｅｒ 𝓵𝓸𝓼𝓮𝓻", "loser loser", ["nfkc"]),
        ("lоsеr", "loser", ["confusables"]),
        ("lо\u200bs\u00ad𝓮ｒ &lt;3", "loser <3", ["ftfy", "zero-width", "nfkc", "confusables"]),
        (f"a: schÃ¶n{TURN}b: lоser\x07", f"a: schön{TURN}b: loser", ["ftfy", "confusables"]),
        (f"a: x&#30;y{TURN}b: z", f"a: xy{TURN}b: z", ["ftfy"]),
    ],
)
def test_what_is_mended_and_what_the_log_says(text: str, normal: str, changed: list[str]) -> None:
    assert cleaned(text) == [(normal, changed)]


@pytest.mark.parametrize("line", HONEST.splitlines())
def test_honest_texts_of_any_script_stay(line: str) -> None:
    expected = line.replace("…", "...")  # compatibility: of one character three
    assert cleaned(line) == [(expected, ["nfkc"] if "…" in line else [])]


def test_the_text_and_other_columns_stay_and_counts_are_those_of_the_log() -> None:
    table = pa.table(
        {"id": ["1", "2", "3"], "text": ["schÃ¶n", "lоser", "ok"], "label.hate": [1.0, None, 0.0]}
    )
    found, counts = clean(table, Clean())
    assert found.select(table.column_names).equals(table)
    assert found.column_names == [*table.column_names, "normal", "changed"]
    assert counts == {"changed.ftfy": 1, "changed.confusables": 1}


def test_a_step_that_is_left_out_is_not_done() -> None:
    text = "lо\u200bs𝓮r &amp;"
    assert cleaned(text, spec=Clean(steps=())) == [(text, [])]
    assert cleaned(text, spec=Clean(steps=("nfkc", "zero-width"))) == [
        ("lоser &amp;", ["nfkc", "zero-width"])
    ]


@given(st.lists(TRICKY, min_size=1, max_size=4))
def test_turns_stay_and_are_cleaned_each_by_itself(turns: list[str]) -> None:
    turns = [turn.replace(TURN, " ") for turn in turns]
    alone = cleaned(*turns)
    ((normal, changed),) = cleaned(TURN.join(turns))
    assert normal == TURN.join(text for text, _ in alone)
    assert Counter(changed) == Counter({step for _, its in alone for step in its})


@given(TRICKY)
def test_the_log_says_whether_anything_changed(text: str) -> None:
    ((normal, changed),) = cleaned(text)
    assert (normal != text) <= bool(changed)
    assert normal.count(TURN) == text.count(TURN)


@given(st.lists(TRICKY, max_size=6), st.integers(0, 6))
def test_where_shards_begin_decides_nothing(texts: list[str], at: int) -> None:
    assert cleaned(*texts) == cleaned(*texts[:at]) + cleaned(*texts[at:])
