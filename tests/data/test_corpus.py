"""From files to a corpus: cells, tokens, splits and the cache."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

from tests.sources import corpus, jsonl
from train.data.encoding import Encoder, Encoding, MaxLength


def test_what_a_source_does_not_say_is_unknown(tmp_path: Path, encoder: Encoder) -> None:
    one = jsonl(tmp_path / "one.jsonl", [{"t": f"text {i}", "h": i % 2, "s": "x"} for i in range(40)])
    two = jsonl(
        tmp_path / "two.jsonl", [{"t": f"other {i}", "a": [0.25, 0.75, None][i % 3]} for i in range(30)]
    )
    found = corpus(
        encoder,
        one={
            "path": one,
            "text": "t",
            "labels": {"hate": "h"},
            "slices": {"kind": {"column": "s"}},
            "licence": "MIT",
        },
        two={"path": two, "text": "t", "labels": {"harassment": "a"}, "licence": "MIT", "synthetic": True},
    )
    assert found.labels == ("harassment", "hate")
    assert found.targets.shape == (70, 2)
    assert found.targets[:40, 1].tolist() == [0.0, 1.0] * 20
    assert np.isnan(found.targets[:40, 0]).all()
    assert np.isnan(found.targets[40:, 1]).all()
    assert found.targets[40:43, 0].tolist()[:2] == [0.25, 0.75]
    assert np.isnan(found.targets[42, 0])
    assert found.synthetic.tolist() == [False] * 40 + [True] * 30
    assert set(found.source) == {"one", "two"}
    assert found.column("slice.kind", np.array([0, 45])).tolist() == ["x", None]
    assert found.texts(np.array([3, 41])) == ["text 3", "other 1"]


def test_batches_hold_the_tokens_of_their_texts(tmp_path: Path, encoder: Encoder) -> None:
    texts = ["short", "a longer text than the other one", "", "🙂", "word " * 100]
    rows = [{"t": text or ".", "h": 1} for text in texts] + [{"t": f"text {i}", "h": 1} for i in range(40)]
    path = jsonl(tmp_path / "one.jsonl", rows)
    found = corpus(encoder, one={"path": path, "text": "t", "labels": {"hate": "h"}, "licence": "MIT"})
    batch = found.batch(np.array([4, 0, 1]))
    assert batch.inputs["input_ids"].shape == (3, 16)
    assert batch.inputs["attention_mask"].sum(dim=1).tolist() == found.lengths[[4, 0, 1]].tolist()
    for row, position in enumerate((4, 0, 1)):
        expected = encoder(found.texts(np.array([position])))[0]
        assert batch.inputs["input_ids"][row, : len(expected)].tolist() == expected
    assert batch.ids == ("one:4", "one:0", "one:1")


def test_an_idle_process_computes_a_row_that_counts_for_nothing(tmp_path: Path, encoder: Encoder) -> None:
    path = jsonl(tmp_path / "one.jsonl", [{"t": f"text {i}", "h": 1} for i in range(60)])
    found = corpus(encoder, one={"path": path, "text": "t", "labels": {"hate": "h"}, "licence": "MIT"})
    window = found.window(0, np.array([2]), [])
    assert window.known == 1
    assert torch.isnan(window.batches[0].targets).all()


def test_equal_texts_share_a_split(tmp_path: Path, encoder: Encoder) -> None:
    rows = [{"t": ["Same  text", "same text", f"text {i}"][min(i % 3, 2)], "h": i % 2} for i in range(90)]
    found = corpus(
        encoder,
        one={
            "path": jsonl(tmp_path / "a.jsonl", rows),
            "text": "t",
            "labels": {"hate": "h"},
            "licence": "MIT",
        },
    )
    same = [i for i, row in enumerate(rows) if row["t"].lower().split() == ["same", "text"]]
    assert len(set(found.united[same])) == 1
    assert found.targets.shape == (31, 1)
    position = found.united[same[0]]
    assert found.targets[position].tolist() == [0.5]  # half of the 60 rows say yes
    assert found.contradictions == {"hate": 1}


def test_adding_a_source_moves_nobody(tmp_path: Path, encoder: Encoder) -> None:
    one = {"path": jsonl(tmp_path / "a.jsonl", [{"t": f"x {i}", "h": 1} for i in range(99)]), "text": "t"}
    two = {"path": jsonl(tmp_path / "b.jsonl", [{"t": f"y {i}", "h": 1} for i in range(99)]), "text": "t"}
    rest = {"labels": {"hate": "h"}, "licence": "MIT"}
    alone, both = (
        corpus(encoder, one={**one, **rest}),
        corpus(encoder, zero={**two, **rest}, one={**one, **rest}),
    )
    assert both.split[:99].tolist() == alone.split.tolist()


def test_the_cache_is_named_by_content_and_private(
    tmp_path: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEENSAFE_CACHE", str(tmp_path / "cache"))
    rest = {"text": "t", "labels": {"hate": "h"}, "licence": "MIT"}

    def files(path: str, **more: Any) -> int:
        corpus(encoder, one={"path": path, **rest, **more})
        return len(list((tmp_path / "cache").glob("*.arrow")))

    rows = [{"t": f"x {i}", "h": 1} for i in range(50)]
    path = jsonl(tmp_path / "a.jsonl", rows)
    assert files(path) == 1
    assert files(path) == 1
    Path(path).rename(tmp_path / "b.jsonl")
    assert files(str(tmp_path / "b.jsonl")) == 1, "another name, the same content"
    assert files(str(tmp_path / "b.jsonl"), licence="CC0") == 1
    assert files(str(tmp_path / "b.jsonl"), slices={"lang": "en"}) == 2
    assert files(jsonl(tmp_path / "a.jsonl", [*rows, {"t": "new", "h": 0}])) == 3
    assert stat.S_IMODE((tmp_path / "cache").stat().st_mode) == 0o700


def test_the_encoder_knows_itself(tiny_base: Path, encoder: Encoder) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_base)
    encoder(["some text"])  # leaves truncation behind in the tokenizer
    assert Encoder(tokenizer, Encoding(max_length=MaxLength(tokens=16))).digest == encoder.digest
    assert Encoder(tokenizer, Encoding(max_length=MaxLength(tokens=17))).digest != encoder.digest


def test_padding_follows_the_tokenizers_side(tiny_base: Path) -> None:
    for side, mask in (("right", [[1, 1, 0], [1, 1, 1]]), ("left", [[0, 1, 1], [1, 1, 1]])):
        tokenizer = AutoTokenizer.from_pretrained(tiny_base, padding_side=side)
        padded = Encoder(tokenizer, Encoding()).pad([[5, 6], [7, 8, 9]])
        assert padded["attention_mask"].tolist() == mask
        assert padded["input_ids"][1].tolist() == [7, 8, 9]


def test_the_real_tweets(real_data: Path, encoder: Encoder) -> None:
    found = corpus(
        encoder,
        davidson={
            "path": str(real_data / "davidson" / "labeled_data.csv"),
            "text": "tweet",
            "labels": {
                "hate": {"votes": "hate_speech", "of": "count"},
                "harassment": {"votes": ["hate_speech", "offensive_language"], "of": "count"},
            },
            "licence": "MIT",
        },
    )
    assert found.targets.shape == (24_771, 2), "12 of the 24,783 tweets read like another"
    assert not np.isnan(found.targets).any()
    assert (found.targets > 0.5).sum(axis=0).tolist() == [20_608, 1_421]
    assert (found.targets[:, 1] <= found.targets[:, 0]).all(), "a vote for hate is one for harassment"
    shares = [len(found.rows(split)) / 24_771 for split in ("train", "dev", "calibration", "test")]
    assert shares == pytest.approx([0.7, 0.1, 0.1, 0.1], abs=0.01)
