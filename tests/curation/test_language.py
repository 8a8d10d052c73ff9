"""Languages: right where it is said, `und` where it cannot be, offline, and never from who speaks."""

from __future__ import annotations

import random
import socket
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import REPOSITORY
from train.curation import language as module
from train.curation.curation import load
from train.curation.language import UNSURE, Language, detect, language
from train.data.reading import read
from train.example import TURN

TEXTS = {
    "en": "The weather was lovely this morning, so we walked along the river.",
    "de": "Heute Morgen war das Wetter so schön, dass wir am Fluss spazieren gingen.",
    "es": "Esta mañana hacía un tiempo estupendo y paseamos junto al río.",
    "ko": "오늘 아침에는 날씨가 좋아서 강가를 걸었습니다.",
    "ru": "Сегодня утром была прекрасная погода, и мы гуляли у реки.",
    "ar": "كان الطقس جميلا هذا الصباح فمشينا على ضفاف النهر.",
    "th": "เช้านี้อากาศดีมาก เราจึงไปเดินเล่นริมแม่น้ำ",
}


def table(*texts: str, said: list[str | None] | None = None) -> pa.Table:
    columns: dict[str, Any] = {
        "id": [str(i) for i in range(len(texts))],
        "normal": pa.array(texts, pa.string()),
    }
    columns["conversation"] = pa.array([TURN in text for text in texts], pa.bool_())
    return pa.table(columns | ({"slice.lang": pa.array(said, pa.string())} if said else {}))


@pytest.mark.parametrize("code", TEXTS)
def test_a_plain_sentence(code: str) -> None:
    found, sure = detect(TEXTS[code], Language())
    assert found == code
    assert 0.5 <= sure <= 1


@pytest.mark.parametrize(
    "text", ["", "ok", "lol wtf", "🙂🙂🙂", "https://example.org/a/long/path/of/words", "12345 67890"]
)
def test_what_is_too_short_to_say(text: str) -> None:
    assert detect(text, Language()) == (UNSURE, 0.0)


@pytest.mark.parametrize(
    "beside",
    [
        "@somebodywithalongname",
        "#somethingsomethinglong",
        "[NAME] [EMAIL]",
        "https://example.org/xyz",
        "&hellip;",
    ],
)
def test_what_is_no_word_counts_nowhere_in_a_text(beside: str) -> None:
    """A mention in the middle is none either: 4 letters are 4, wherever they stand."""
    for text in (f"{beside} ja ne", f"ja {beside} ne", f"ja, ne {beside}", f"({beside}) ja ne"):
        assert detect(text, Language(letters=5)) == (UNSURE, 0.0)
        assert detect(text, Language(letters=4, confidence=0))[1] > 0


def test_who_speaks_is_no_word() -> None:
    turns = ["ja klar", "nein danke", "doch bitte"]
    speakers = ["the english speaking user", "assistant", "user"]
    chat = TURN.join(f"{who}: {said}" for who, said in zip(speakers, turns, strict=True))
    assert detect(chat, Language(), conversation=True) == detect(" ".join(turns), Language())
    assert detect(f"user: ja{TURN}assistant: ne", Language(letters=5), conversation=True) == (UNSURE, 0.0)
    assert detect("assistant: ja", Language(letters=5), conversation=True) == (UNSURE, 0.0)


def test_the_floors_are_what_they_say() -> None:
    assert detect("a" * 9 + " " + "b" * 10, Language(letters=20)) == (UNSURE, 0.0)
    assert detect("좋아서 강가를 걸", Language(letters=21))[0] == "ko", "7 letters that count as 21"
    assert detect("좋아서 강가를 걸", Language(letters=22)) == (UNSURE, 0.0)
    sure = detect(TEXTS["es"], Language())[1]
    assert detect(TEXTS["es"], Language(confidence=min(1, sure + 1e-6)))[0] == (UNSURE if sure < 1 else "es")


def test_what_the_source_says_stays_and_is_counted_against() -> None:
    said = ["en-GB", "de", None, "en"]
    given = table(TEXTS["en"], TEXTS["es"], TEXTS["ko"], "ok", said=said)
    found, counts = language(given, Language())
    assert found.select(given.column_names).equals(given)
    assert found.column("language").to_pylist() == ["en", "es", "ko", UNSURE]
    assert found.schema.field("language_confidence").type == pa.float32()
    assert counts == {
        "language.en": 1,
        "language.es": 1,
        "language.ko": 1,
        "language.und": 1,
        "not_as_the_source_says": 1,
    }


def test_nothing_is_fetched_and_nothing_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The model comes out of the package: no connection, no file written at home or in a cache."""

    def refused(*_: object, **__: object) -> None:
        raise AssertionError("it wants to connect")

    monkeypatch.setattr(socket.socket, "connect", refused)
    for name in ("HOME", "XDG_CACHE_HOME", "FTLANG_CACHE", "TMPDIR"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.chdir(tmp_path)
    module._model.cache_clear()
    assert detect(TEXTS["de"], Language())[0] == "de"
    assert not list(tmp_path.iterdir())


@given(
    st.lists(st.sampled_from([*TEXTS.values(), "ok", f"user: {TEXTS['de']}{TURN}bot: ok"]), max_size=5),
    st.integers(0, 5),
)
def test_where_shards_begin_decides_nothing(texts: list[str], at: int) -> None:
    def found(part: list[str]) -> list[object]:
        made, _ = language(table(*part), Language())
        return made.select(["language", "language_confidence"]).to_pylist()

    assert found(texts) == found(texts[:at]) + found(texts[at:])


@given(st.text())
def test_any_text_has_an_answer(text: str) -> None:
    code, sure = detect(text, Language(letters=1))
    assert (code == UNSURE) or 0.5 <= sure <= 1
    assert np.isfinite(sure)


def test_real_texts(real_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """1,000 of each source, whose language is its authors' word for all of its texts: of those that are given
    one, at most 2.5% another; most German and Korean texts are given one."""
    monkeypatch.setenv("TEENSAFE_DATA", str(real_data))
    sources = load(REPOSITORY / "recipes/curation/public.yaml").data.sources
    for name, lang, named in (
        ("davidson", "en", 0.7),
        ("edos", "en", 0.9),
        ("germeval2018", "de", 0.95),
        ("korean-hate-speech", "ko", 0.9),
    ):
        texts = [example.text for example in read(name, sources[name])]
        drawn = random.Random(1).sample(texts, 1000)
        codes = Counter(detect(text, Language())[0] for text in drawn)
        said = 1000 - codes[UNSURE]
        assert said >= 1000 * named, name
        assert said - codes[lang] <= 0.025 * said, name
