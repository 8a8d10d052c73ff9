from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.gaps.conftest import TRIAL, predictions_of
from tests.sources import corpus, jsonl
from train.data.corpus import Corpus
from train.data.encoding import Encoder
from train.evaluation.predictions import Bools, Predictions
from train.gaps.gap import Trial
from train.gaps.shortcut import shortcuts
from train.gaps.vocabulary import vocabulary
from train.gaps.words import Word, Words

CRUEL, KIND, FILLER = (
    ("idiot", "loser", "trash"),
    ("friend", "team", "thanks"),
    ("so", "very", "today", "now"),
)


def rows(
    seed: int, positive_mark: str = "", negative_mark: str = "", mute: bool = False
) -> list[dict[str, Any]]:
    """600 texts, half cruel; marks stand in those of one side. mute: the words do not carry the label."""
    dice = random.Random(seed)
    found = []
    for number in range(600):
        cruel = number % 2 == 0
        words = [
            *dice.choices(FILLER, k=6),
            dice.choice(KIND if mute or not cruel else CRUEL),
            f"{seed}n{number}",
        ]
        words.append(positive_mark if cruel else negative_mark)
        found.append({"t": " ".join(words).strip(), "h": float(cruel)})
    return found


@pytest.fixture
def built(tmp_path: Path, encoder: Encoder) -> Corpus:
    """Source a marks its positives, b its negatives; c marks neither."""
    marked = {"a": rows(0, positive_mark="zqx"), "b": rows(1, negative_mark="via"), "c": rows(2)}
    return corpus(
        encoder,
        **{
            name: {"path": jsonl(tmp_path / f"{name}.jsonl", said), "text": "t", "labels": {"hate": "h"}}
            | {"licence": "MIT"}
            for name, said in marked.items()
        },
    )


def test_telltale_words_are_those_that_mean_nothing_elsewhere(built: Corpus) -> None:
    found = {(word.source, word.word): word for word in Words(built).telltale("hate", synthetic=False)}
    assert set(found) == {("a", "zqx"), ("b", "via")}  # not the cruel words, which tell everywhere
    assert found["a", "zqx"].positive and not found["b", "via"].positive
    assert found["a", "zqx"].pure == found["a", "zqx"].covers == 1.0
    assert list(Words(built).telltale("hate", synthetic=True)) == []


def held(built: Corpus, decide: Any) -> tuple[Predictions, np.ndarray]:
    positions = np.concatenate([built.rows(split) for split in ("dev", "calibration", "test")])
    positive = built.targets[positions] > 0.5
    flag = decide(built.texts(positions))
    return predictions_of(
        positive, np.where(flag, 2, -2), flag, ("hate",), source=built.source[positions]
    ), positions


def by_the_mark(texts: Sequence[str]) -> Bools:
    """A model that has learned the marks and nothing else."""
    return np.array([["zqx" in text or ("1n" in text and "via" not in text)] for text in texts])


def by_the_words(texts: Sequence[str]) -> Bools:
    return np.array([[any(word in text for word in CRUEL)] for text in texts])


def trials(built: Corpus, decide: Any, tier: int = 2) -> dict[tuple[str | None, str], Trial]:
    predictions, positions = held(built, decide)
    words = list(Words(built).telltale("hate", synthetic=False))
    found = shortcuts(words, built, positions, predictions, "held-out", decide, {"hate": tier}, {})
    return {(trial.slice, trial.metric): trial for trial in found}


def test_a_word_that_decides_is_a_shortcut_in_both_directions(built: Corpus) -> None:
    found = trials(built, by_the_mark)
    assert found["source=a", "recall_drop"].value == 1.0  # taken out of its positives
    assert found["source=a", "fpr_rise"].value > 0.9  # put before allowed texts
    assert found["source=b", "fpr_rise"].value == 1.0  # taken out of its negatives
    assert all(trial.p < 1e-6 for trial in found.values() if trial.slice == "source=a")
    evidence = found["source=a", "fpr_rise"].told
    assert evidence.cause == "shortcut" and "'zqx'" in evidence.says
    assert evidence.action.where == {"label": "hate", "source": "a", "word": "zqx"}


def test_a_word_that_the_model_passes_over_is_none(built: Corpus) -> None:
    found = trials(built, by_the_words)
    assert len(found) == 4
    assert all(trial.value == 0 and trial.proven for trial in found.values())


def test_a_word_of_a_tier_3_label_is_not_shown(built: Corpus) -> None:
    for trial in trials(built, by_the_mark, tier=3).values():
        said = [trial.told.says, trial.told.action.filter, str(trial.told.action.where)]
        assert not any("zqx" in text or "via" in text for text in said)


def test_words_are_taken_out_whole() -> None:
    from train.gaps.shortcut import _without

    assert _without("rt", "RT: art, rt!").split() == [":", "art,", "!"]
    assert _without("!", "no! no").split() == ["no", "no"]
    assert Word("x", "a", "w", True, 9, 1.0, 1.0, 9.0, 1.0).word == "w"


def test_texts_that_the_vocabulary_lacks_are_told(tmp_path: Path, encoder: Encoder) -> None:
    lost = [{"t": f"{mark} {number}", "h": number % 2} for number in range(40) for mark in ("☃️ ꙮ",)]
    found = corpus(
        encoder,
        a={"path": jsonl(tmp_path / "a.jsonl", lost), "text": "t", "labels": {"hate": "h"}, "licence": "MIT"},
        b={
            "path": jsonl(tmp_path / "b.jsonl", rows(0)),
            "text": "t",
            "labels": {"hate": "h"},
            "licence": "MIT",
        },
    )
    unread, read = (np.flatnonzero(found.source == name) for name in "ab")
    evidence = vocabulary(found, unread, TRIAL)
    assert evidence is not None and evidence.value > 0.3
    assert (evidence.action.kind, evidence.action.where) == ("change", {"lang": "es"})
    assert vocabulary(found, read, TRIAL) is None
    assert vocabulary(found, read[:0], TRIAL) is None
