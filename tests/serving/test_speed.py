"""Scoring is several times as fast as what one would write without it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import pytest
import torch
from transformers import pipeline

from tests.serving.minilm import comments, learned
from train.model.precision import native_bf16
from train.serving.predictor import Predictor

LEAST = 4.0
"""Alone on two cores it is 5.5 times; the best of three counts, since tests run beside others."""


def seconds(action: Callable[[], object]) -> float:
    start = perf_counter()
    action()
    return perf_counter() - start


@pytest.mark.slow
@pytest.mark.skipif(not native_bf16(torch.device("cpu")), reason="this processor emulates bf16")
def test_scoring_beats_a_pipeline_on_the_merged_model(real_data: Path) -> None:
    texts = comments(real_data, 400)
    predictor = Predictor(learned("bf16"), {})
    merged = learned("fp32").model.merge_and_unload()
    plain = pipeline(
        "text-classification",
        model=merged,
        tokenizer=predictor.encoder._tokenizer,
        top_k=None,
        batch_size=32,
        device="cpu",
        truncation=True,
        max_length=predictor.encoder.tokens,
    )
    for way in (plain, predictor.logits):
        way(texts[:64])
    ratios = (seconds(lambda: plain(texts)) / seconds(lambda: predictor.logits(texts)) for _ in range(3))
    assert any(ratio >= LEAST for ratio in ratios), "in none of three tries"
