"""data.leave_out: a source nobody meets before the test, and a test split that does not notice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from tests.sources import corpus, jsonl
from train.data.corpus import UNSEEN, Corpus, Data
from train.data.encoding import Encoder

HELD = ("train", "dev", "calibration")


@pytest.fixture
def sources(tmp_path: Path) -> dict[str, Any]:
    """Three sources that share texts with one another, the last of them synthetic."""
    dice = np.random.default_rng(0)
    found = {}
    for name, begin in (("one", 0), ("two", 200), ("made", 350)):
        rows = [
            {"t": f"text {i}", "h": int(dice.random() < 0.5), "g": f"{i // 2}"}
            for i in range(begin, begin + 300)
        ]
        said = {
            "text": "t",
            "group": "g",
            "labels": {"hate": "h"},
            "licence": "MIT",
            "synthetic": name == "made",
        }
        found[name] = said | {"path": jsonl(tmp_path / f"{name}.jsonl", rows)}
    return found


def judged(found: Corpus) -> dict[str, Any]:
    rows = found.rows("test")
    return {
        "ids": found.column("id", rows).tolist(),
        "source": found.source[rows].tolist(),
        "synthetic": found.synthetic[rows].tolist(),
        "targets": found.targets[rows].tolist(),
    }


@pytest.mark.parametrize("name", ["one", "two", "made"])
def test_the_test_rows_stay_and_no_other_row_of_the_source_does(
    name: str, encoder: Encoder, sources: dict[str, Any]
) -> None:
    whole = corpus(encoder, **sources)
    without = corpus(encoder, leave_out=[name], **sources)
    assert judged(without) == judged(whole)
    assert name in judged(whole)["source"]
    for split in HELD:
        assert name in whole.source[whole.rows(split)]
        assert name not in without.source[without.rows(split)]
    texts = {split: set(without.texts(without.rows(split))) for split in (*HELD, "test")}
    assert not texts["test"] & (texts["train"] | texts["dev"] | texts["calibration"])
    assert without.left_out[name][UNSEEN] > 100


def test_a_shared_text_keeps_the_other_sources_answer(encoder: Encoder, tmp_path: Path) -> None:
    rows = [{"t": f"text {i}", "h": 1} for i in range(300)]
    other = [{"t": f"text {i}", "h": i % 2} for i in range(300)]
    said = {"text": "t", "labels": {"hate": "h"}, "licence": "MIT"}
    one = said | {"path": jsonl(tmp_path / "one.jsonl", rows)}
    two = said | {"path": jsonl(tmp_path / "two.jsonl", other)}
    found = corpus(encoder, leave_out=["two"], one=one, two=two)
    assert set(found.targets[found.rows("train")].ravel()) == {1.0}
    assert set(found.targets[found.rows("test")].ravel()) == {0.5, 1.0}


def test_what_is_left_out_must_be_there_and_leave_something(sources: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="there is no source three"):
        Data(sources=sources, leave_out=["three"])
    with pytest.raises(ValidationError, match="no source"):
        Data(sources=sources, leave_out=["one", "two", "made"])
    shares = {
        name: said | {"share": share}
        for (name, said), share in zip(sources.items(), (0.5, 0.3, 0.2), strict=True)
    }
    with pytest.raises(ValidationError, match=r"the shares are 0\.8 of an epoch"):
        Data(sources=shares, leave_out=["made"])


def test_a_recipe_that_leaves_nothing_out_says_nothing_of_it(sources: dict[str, Any]) -> None:
    assert "leave_out" not in Data(sources=sources).model_dump()
    assert Data(sources=sources, leave_out=["one"]).model_dump()["leave_out"] == ("one",)
