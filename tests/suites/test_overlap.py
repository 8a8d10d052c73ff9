"""Near-duplicates between test sets and training: all that exact comparison finds, and nothing else."""

from __future__ import annotations

import csv
import json
import random
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from train.cli import main
from train.lock import resolve
from train.recipe import load
from train.suites.overlap import CHUNK, GRAM, Pairs, near_duplicates, overlaps
from train.suites.rows import TestSet

PLANTED = "we walked all the way around the lake and nobody said a word"


def grams(text: str) -> set[str]:
    """As the module defines them, of words without case, marks and emoji."""
    words = "".join(letter if letter.isalnum() else " " for letter in text.casefold()).split()
    framed = f" {' '.join(words)} ".ljust(GRAM) if words else ""
    return {framed[at : at + GRAM] for at in range(len(framed) - GRAM + 1)}


def brute(train: list[str], suite: list[str], threshold: float) -> dict[tuple[int, int], float]:
    ours, theirs = [grams(text) for text in suite], [grams(text) for text in train]
    found = {}
    for at, these in enumerate(theirs):
        for position, those in enumerate(ours):
            if both := len(these & those):
                similarity = both / len(these | those)
                if similarity >= threshold:
                    found[at, position] = similarity
    return found


def as_dict(pairs: Pairs) -> dict[tuple[int, int], float]:
    return dict(
        zip(zip(pairs.train.tolist(), pairs.suite.tolist(), strict=True), pairs.similarity, strict=True)
    )


@pytest.mark.parametrize(
    "changed",
    [
        PLANTED,
        PLANTED.upper(),
        PLANTED.replace("nobody", "nobdy"),
        PLANTED.replace("the lake", "the cold lake"),
        f"{PLANTED} 😭😭!!!",
        PLANTED.replace(" ", " "),
        PLANTED.replace("walked", "ｗａｌｋｅｄ").replace(" and", ", and"),
    ],
)
def test_a_changed_text_is_found(changed: str) -> None:
    train = ["the lake was cold and all the way down there", changed, "nobody said a thing at dinner"]
    found = near_duplicates(train, ["something else entirely", PLANTED])
    assert as_dict(found).keys() == {(1, 1)}


def test_unrelated_empty_and_short_texts() -> None:
    assert not len(near_duplicates(["so what is the plan for tonight"], [PLANTED, "", "😭", "?!"]).train)
    assert not len(near_duplicates([], [PLANTED]).train)
    assert not len(near_duplicates([PLANTED, ""], []).train)
    assert not len(near_duplicates(["", "😭", "..."], ["", "😭"]).train)  # no words: nothing to tell
    assert as_dict(near_duplicates(["ok", "OK!", "ko"], ["ok"])) == {(0, 0): 1.0, (1, 0): 1.0}


@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.5, 0.7, 1.0])
def test_nothing_is_missed_at_any_threshold(threshold: float) -> None:
    """Texts of few words, so that similarities of all sizes, and equal to a threshold, are there."""
    dice = random.Random(3)
    texts = [
        " ".join(dice.choices(["ab", "abc", "bca", "cab", "acb"], k=dice.randint(1, 6))) for _ in range(150)
    ]
    train, suite = texts[:100], texts[100:]
    assert as_dict(near_duplicates(train, suite, threshold)) == pytest.approx(brute(train, suite, threshold))


def test_positions_hold_beyond_a_chunk() -> None:
    train = [f"number {number} of a long list of things" for number in range(CHUNK)] + [PLANTED]
    assert as_dict(near_duplicates(iter(train), ["a", PLANTED])).keys() == {(CHUNK, 1)}


def test_real_texts_as_brute_force_finds_them(real_data: Path) -> None:
    with (real_data / "davidson" / "labeled_data.csv").open(newline="", encoding="utf-8") as stream:
        texts = [row["tweet"] for row in csv.DictReader(stream)]
    dice = random.Random(5)
    suite, train = dice.sample(texts, 150), dice.sample(texts, 3000)
    train += ["".join(letter for letter in text if dice.random() > 0.01) for text in suite]  # mistyped
    plain = [text for text in train if text.isascii() and "_" not in text]  # where `grams` says the same
    suite = [text for text in suite if text.isascii() and "_" not in text]
    wanted = brute(plain, suite, 0.7)
    assert len(wanted) > 100
    assert as_dict(near_duplicates(plain, suite)) == pytest.approx(wanted)


def test_the_nearest_training_text_stands_for_a_row(make_recipe: Callable[..., Path]) -> None:
    corpus = resolve(load(make_recipe())).corpus
    train = corpus.rows("train")
    held = corpus.texts(corpus.rows("test"))
    sets = [texts("suite.one", [PLANTED, corpus.texts(train)[7], *held[:2]]), texts("suite.two", [PLANTED])]
    found = overlaps(corpus, sets)
    assert found["suite.two"] == []
    (nearest,) = [near for near in found["suite.one"] if near.id == "suite.one-1"]
    assert nearest == ("suite.one-1", corpus.column("id", train)[7], "toy", 1.0)


def texts(name: str, said: list[str]) -> TestSet:
    ids = np.array([f"{name}-{number}" for number in range(len(said))], dtype=object)
    unknown = np.full((len(said), 2), np.nan, dtype=np.float32)
    synthetic = np.zeros(len(said), dtype=bool)
    return TestSet(name, ("harassment", "hate"), said, ids, ids, ids, synthetic, {}, unknown)


def test_plan_counts_them_by_set(
    make_recipe: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = str(make_recipe())
    assert main(["plan", recipe, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["overlap"] == {}
    with (tmp_path / "rows.csv").open(newline="", encoding="utf-8") as stream:
        copied = [row["text"] for row in csv.DictReader(stream)]
    with (tmp_path / "cases.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([["text"], [PLANTED], *([text] for text in copied)])
    suite = tmp_path / "copied.yaml"
    suite.write_text(
        "{schema: 1, name: copied, about: rows of training, sources: {all: "
        "{path: cases.csv, text: text, all_negative: true, licence: MIT}}}"
    )
    asked = f"evaluate.suites.test=[{suite}]"
    assert main(["plan", recipe, asked, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    near = found["overlap"]["suite.copied"]["in_training"]
    assert found["overlap"] == {"suite.copied": {"n": 401, "in_training": near}}
    assert next(cell["rows"] for cell in found["counts"] if cell["split"] == "train") <= near <= 400
    assert main(["plan", recipe, asked]) == 0
    assert (
        f"suite.copied: {near} of 401 texts are nearly word for word in training" in capsys.readouterr().out
    )


@pytest.mark.slow
def test_the_time_of_a_hundred_thousand_texts_and_five_thousand_cases() -> None:
    dice = random.Random(11)
    words = [
        "".join(dice.choices("etaoinshrdlucmfw", k=dice.choice([2, 3, 4, 4, 5, 6, 7]))) for _ in range(3000)
    ]
    often = [1 / rank for rank in range(1, 3001)]  # as in language, a few words are most of it
    said = [" ".join(dice.choices(words, often, k=dice.randint(4, 24))) for _ in range(105_000)]
    suite, train = said[:5_000], said[5_000:]
    began = time.process_time()
    found = near_duplicates([*train, *suite], suite)
    assert time.process_time() - began < 30  # a tenth of a million, and a slow machine
    assert {(100_000 + at, at) for at in range(5_000)} <= as_dict(found).keys()
