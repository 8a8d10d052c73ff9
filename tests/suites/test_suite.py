"""A suite's file and its rows: two parts, no training, what it does not say is unknown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from train.data.encoding import Encoder, Encoding
from train.errors import InputError
from train.recipe import load_suite
from train.suites.rows import rows

CASES = [
    {"id": "a", "pair": "p", "split": "dev", "hate": 1, "text": "they ruin it", "lang": "en"},
    {"id": "b", "pair": "p", "split": "dev", "hate": 0, "text": "they made it", "lang": "en"},
    {"id": "c", "pair": "q", "split": "test", "grooming": 0, "text": "hello there", "lang": "en"},
]


def write(folder: Path, **changed: Any) -> Path:
    (folder / "cases.jsonl").write_text("".join(json.dumps(case) + "\n" for case in CASES))
    (folder / "more.csv").write_text("text\nonly this\n")
    written = {
        "schema": 1,
        "name": "small",
        "about": "three cases",
        "sources": {
            "en": {
                "path": "cases.jsonl",
                "text": "text",
                "id": "id",
                "group": "pair",
                "split": {"column": "split", "map": {"dev": "dev", "test": "test"}},
                "labels": {"hate": "hate", "grooming": "grooming"},
                "slices": {"lang": {"column": "lang"}},
                "licence": "MIT",
            },
            "plain": {"path": "more.csv", "text": "text", "all_negative": True, "licence": "MIT"},
        },
    } | changed
    path = folder / "small.yaml"
    path.write_text(json.dumps(written))
    return path


@pytest.fixture(scope="module")
def encoder(tiny_base: Path) -> Encoder:
    from transformers import AutoTokenizer

    return Encoder(AutoTokenizer.from_pretrained(tiny_base), Encoding())


def test_parts_targets_and_slices(tmp_path: Path, encoder: Encoder) -> None:
    suite = load_suite(write(tmp_path))
    dev = rows(suite, "dev", ["hate", "harassment"], encoder, "here")
    assert (
        dev.name == "suite.small-dev"
        and list(dev.ids) == ["small.en:a", "small.en:b"]
        and len(set(dev.group)) == 1
    )
    assert np.array_equal(dev.targets, [[1, np.nan], [0, np.nan]], equal_nan=True)
    test = rows(suite, "test", ["hate", "grooming"], encoder, "here")
    assert test.name == "suite.small" and list(test.texts) == ["hello there", "only this"]
    assert np.array_equal(test.targets, [[np.nan, 0], [0, 0]], equal_nan=True)  # all_negative: known
    assert list(test.slices["lang"]) == ["en", None]
    made = test.predictions(np.full((2, 2), 0.5), np.zeros((2, 2), bool))
    assert set(made.split) == {"suite.small"} and list(made.source) == ["en", "plain"]


def test_a_part_without_rows_is_an_error(tmp_path: Path, encoder: Encoder) -> None:
    sources = {"plain": {"path": "more.csv", "text": "text", "all_negative": True, "licence": "MIT"}}
    with pytest.raises(InputError, match="no row in its dev part"):
        rows(load_suite(write(tmp_path, sources=sources)), "dev", ["hate"], encoder, "here")


def test_its_digest_is_of_content_not_of_places(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one, other = (load_suite(write(tmp_path / name)) for name in ("a", "b"))
    assert one.digest() == other.digest()
    (tmp_path / "b" / "more.csv").write_text("text\nonly that\n")
    assert one.digest() != other.digest()


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"name": "small-dev"}, "what the dev part of a suite NAME is called"),
        ({"name": "Small One"}, "lower-case letters, digits"),
        ({"kind": "game"}, "'texts', 'functional', 'conversations' or 'swaps'"),
        ({"sources": {}}, "sources: an empty section"),
        ({"kind": "swaps"}, "a suite of kind swaps needs the slice term"),
        ({"kind": "functional"}, "a suite of kind functional needs the slice functionality"),
    ],
)
def test_mistakes_are_said(tmp_path: Path, changed: dict[str, Any], complaint: str) -> None:
    with pytest.raises(InputError, match=complaint):
        load_suite(write(tmp_path, **changed))


def test_a_suite_cannot_be_part_of_training(tmp_path: Path) -> None:
    source = {"path": {"train": "more.csv", "test": "more.csv"}, "text": "text", "all_negative": True}
    with pytest.raises(InputError, match="train is no part of a suite"):
        load_suite(write(tmp_path, sources={"x": source | {"licence": "MIT"}}))
    source = {"path": "more.csv", "text": "text", "all_negative": True, "licence": "MIT", "share": 0.5}
    with pytest.raises(InputError, match="for training"):
        load_suite(write(tmp_path, sources={"x": source}))
