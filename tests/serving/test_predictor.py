"""A classifier scores texts as it was trained to read them: windows, turns, names of emoji."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from tests.sources import corpus, jsonl
from train.assessment import split_logits
from train.data.encoding import Encoder, Encoding, MaxLength
from train.example import TURN
from train.model.adapter import Lora
from train.model.backbone import Backbone, load_tokenizer
from train.model.classifier import CARD, Classifier, create, load
from train.serving.predictor import Predictor

LONG = [" ".join(f"w{i}x{n}" for n in range(5 * i)) + " end" for i in range(16)]


def make(base: Path, encoding: Encoding) -> Classifier:
    backbone = Backbone(base=str(base))
    tokenizer = load_tokenizer(backbone, encoding.max_length.tokens)
    classifier = create(
        backbone, Lora(r=4, alpha=8), encoding.encoding(), ("hate",), tokenizer, "fp32", seed=3
    )
    torch.manual_seed(5)
    for _, parameter in [*classifier.parts()[0], *classifier.parts()[1]]:
        torch.nn.init.normal_(parameter, std=0.3)
    classifier.model.eval()
    return classifier


def windowed(reduce: Literal["max", "mean"]) -> Encoding:
    return Encoding(max_length=MaxLength(tokens=16, overflow="window", stride=4, reduce=reduce))


@pytest.mark.parametrize("reduce", ["max", "mean"])
def test_a_score_is_the_reduction_of_its_windows_scored_alone(
    tiny_base: Path, reduce: Literal["max", "mean"]
) -> None:
    classifier = make(tiny_base, windowed(reduce))
    encoder = Encoder(classifier.tokenizer, windowed(reduce))
    found = Predictor(classifier, {}).logits(LONG)
    assert found.dtype == np.float32
    spread = 0.0
    for text, value in zip(LONG, found, strict=True):
        (tokens,) = encoder([text])
        alone = np.concatenate([classifier.logits(encoder.pad([w])).numpy() for w in encoder.windows(tokens)])
        assert value == pytest.approx(getattr(alone, reduce)(axis=0), abs=1e-5)
        spread = max(spread, float(np.ptp(alone)))
    assert spread > 0.05, "the windows differ, so the reduction matters"


def test_without_windows_a_score_is_that_of_the_beginning(tiny_base: Path) -> None:
    encoding = Encoding(max_length=MaxLength(tokens=16))
    classifier = make(tiny_base, encoding)
    encoder = Encoder(classifier.tokenizer, encoding)
    expected = np.concatenate([classifier.logits(encoder.pad(encoder([text]))).numpy() for text in LONG])
    assert Predictor(classifier, {}).logits(LONG) == pytest.approx(expected, abs=1e-5)
    assert Predictor(classifier, {}).logits([]).shape == (0, 1)


@pytest.mark.parametrize("overflow", ["window", "truncate"])
def test_serving_agrees_with_what_the_run_was_judged_by(
    tiny_base: Path, tmp_path: Path, overflow: Literal["window", "truncate"]
) -> None:
    """Long texts, conversations and emoji, through a corpus and through the predictor of the saved model."""
    length = MaxLength(tokens=16, overflow=overflow, stride=4)
    encoding = Encoding(normalise=("emoji-names",), max_length=length)
    classifier = make(tiny_base, encoding)
    rows: list[dict[str, Any]] = [{"t": text + " 🔪" * (i % 3), "h": i % 2} for i, text in enumerate(LONG)]
    rows += [{"t": f"x {i}", "h": 1} for i in range(40)]
    talks = [
        [{"role": "user", "content": f"hello {i}"}, {"role": "bot", "content": "so be it 🙂 " * (i % 5)}] * 3
        + [{"role": "user", "content": f"bye {i}"}]
        for i in range(40)
    ]
    mapped = {"labels": {"hate": "h"}, "licence": "MIT"}
    found = corpus(
        Encoder(classifier.tokenizer, encoding),
        a={"path": jsonl(tmp_path / "a.jsonl", rows), "text": "t", **mapped},
        b={"path": jsonl(tmp_path / "b.jsonl", [{"c": t, "h": 1} for t in talks]), "turns": "c", **mapped},
    )
    classifier.save(tmp_path / "saved")
    predictor = Predictor(load(tmp_path / "saved"), {})
    for split in ("train", "test"):
        texts = found.texts(found.rows(split))
        assert any(TURN in text for text in texts)
        judged = split_logits(
            classifier, found, split, accelerator=Accelerator(cpu=True), stopping=lambda: False
        )
        assert judged == pytest.approx(predictor.logits(texts), abs=1e-5)


def test_normalising_travels_with_the_checkpoint(tiny_base: Path, tmp_path: Path) -> None:
    make(tiny_base, Encoding(normalise=("emoji-names",))).save(tmp_path / "named")
    make(tiny_base, Encoding()).save(tmp_path / "plain")
    assert json.loads((tmp_path / "named" / CARD).read_text())["encoding"]["normalise"] == ["emoji-names"]
    named, plain = (Predictor(load(tmp_path / name), {}) for name in ("named", "plain"))
    assert named.logits(["bad 🔪"]) == pytest.approx(plain.logits(["bad kitchen knife"]), abs=1e-6)
    assert named.logits(["bad 🔪"]) == pytest.approx(named.logits(["bad kitchen knife"]), abs=1e-6)
    assert abs(plain.logits(["bad 🔪"]) - plain.logits(["bad kitchen knife"])).max() > 1e-3
