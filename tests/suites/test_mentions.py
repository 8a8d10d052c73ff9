"""Which words count as a mention, in which language, and how fast many texts are searched."""

from __future__ import annotations

import time

import pytest

from train.suites.mentions import from_slices, lexicon, mentions, to_slices


def named(text: str, language: str | None = None) -> set[str]:
    found = mentions([text], None if language is None else [language])
    return {name for name, rows in found.items() if rows[0]}


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("Muslims, and #Jewish writers", "en", {"muslim", "jewish", "religion"}),
        ("the manual mentions womanhood", "en", set()),  # whole words only
        ("an old man reads", "en", {"men", "sex_gender"}),
        ("OLD   people read", "en", {"older", "age"}),  # a phrase, however it is spaced
        ("muslimische Frauen", "de", {"muslim", "religion", "women", "sex_gender"}),
        ("die Weißen Menschen hier", "de", {"white", "ethnicity"}),
        ("las personas negras", "es", {"black", "ethnicity"}),
        ("die Frau", "en", set()),  # another language's word
        ("die Frau", None, {"women", "sex_gender"}),  # a text of unknown language
        ("저여자들은이슬람", "ko", {"women", "sex_gender", "muslim", "religion"}),
        ("caf&eacute; of the&nbsp;deaf", "en", {"deaf", "disability"}),
    ],
)
def test_mentions_of_groups_and_their_kinds(text: str, language: str | None, expected: set[str]) -> None:
    assert named(text, language) == {f"identity={name}" for name in expected}


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("she finna leave", True),
        ("I ain’t going", True),
        ("he be always laughing", True),
        ("they be talking", True),
        ("could they be talking", False),  # a question, not a habit
        ("i will be there", False),
        ("he done told you", True),
        ("are you done", False),
        ("i don't want no trouble", True),
        ("i don't want trouble", False),
    ],
)
def test_features_of_a_dialect(text: str, written: bool) -> None:
    assert ("dialect=african_american_english" in named(text, "en")) == written


def test_every_entry_of_the_lexicon_is_found_in_a_text_of_its_language() -> None:
    entries = [
        (group, language, entry)
        for groups in lexicon().identity.values()
        for group, by_language in groups.items()
        for language, words in by_language.items()
        for entry in words
    ]
    texts = [f"({entry.removesuffix('*')})" for _, _, entry in entries]
    found = mentions(texts, [language for _, language, _ in entries])
    assert [e for row, e in enumerate(entries) if not found[f"identity={e[0]}"][row]] == []


def test_names_are_told_apart() -> None:
    kinds = lexicon().identity
    names = [*kinds, *(group for groups in kinds.values() for group in groups)]
    assert len(names) == len(set(names))


def test_mentions_outlive_the_texts_as_slices() -> None:
    found = mentions(["muslim women", "nobody", "she finna go with the girls"])
    slices = to_slices(found)
    assert slices["identity"].tolist() == ["religion muslim sex_gender women", None, "sex_gender women"]
    back = from_slices(slices)
    assert back.keys() == {key for key, rows in found.items() if rows.any()}
    assert all((rows == found[key]).all() for key, rows in back.items())
    assert from_slices({}) == {} and from_slices(to_slices(mentions([]))) == {}


def test_no_text_and_many_texts() -> None:
    assert not any(rows.size for rows in mentions([]).values())
    texts = [
        f"the quick brown fox number {i} is what she reads to {i % 90} children at home"
        for i in range(12_000)
    ]
    begun = time.process_time()
    found = mentions(texts, ["en"] * len(texts))
    assert time.process_time() - begun < 1
    assert found["identity=child"].all() and not found["identity=women"].any()


@pytest.mark.parametrize("language", ["EN", "en-GB", "en_US"])
def test_a_language_may_be_written_with_its_region_and_in_capitals(language: str) -> None:
    assert named("the Muslim family", language) == named("the Muslim family", "en") != set()
