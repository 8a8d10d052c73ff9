"""Texts scored a second: a finished classifier beside `transformers.pipeline` on its merged weights, and
beside batches that are sorted by length by hand, in bf16 where the processor has it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from benchmarks.measure import Goal, alternated, goal, timed
from benchmarks.training import RECIPE, fresh
from train.data.order import shuffled
from train.lock import Resolved, resolve
from train.model.classifier import Classifier
from train.model.precision import Precision
from train.model.precision import resolve as precision_of
from train.recipe import load
from train.serving.predictor import Predictor

PIPELINE = "pipeline(batch_size=32), fp32"
BATCH = 32


def goals(rounds: int, texts: int) -> list[Goal]:
    resolved = resolve(load(RECIPE))
    rows = resolved.corpus.rows("train")
    chosen = resolved.corpus.texts(rows[shuffled(len(rows), 0)[:texts]])
    precision = precision_of("auto", torch.device("cpu"))
    by_hand = f"hand-sorted {precision} batches"
    peers = {PIPELINE: _pipeline(resolved), by_hand: _sorted(resolved, precision)}
    predictor = Predictor(trained(resolved, precision), {})
    found = []
    for name, asked in {PIPELINE: (5.0, 7.0), by_hand: (1.2, 1.6)}.items():
        ways = {"ours": _over(predictor.logits, chosen), name: _over(peers[name], chosen)}
        speeds = alternated(ways, rounds)
        found.append(goal("scoring", name, speeds["ours"], speeds[name], asked, texts))
    return found


def _over(score: Callable[[list[str]], Any], texts: list[str]) -> Any:
    def work() -> int:
        score(texts)
        return len(texts)

    return timed(work)


def trained(resolved: Resolved, precision: Any) -> Classifier:
    """As a training leaves it: adapters that are not zero."""
    classifier = fresh(resolved, precision)
    torch.manual_seed(2)
    with torch.no_grad():
        for name, parameter in classifier.model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.02)
    return classifier


def _pipeline(resolved: Resolved) -> Callable[[list[str]], Any]:
    from transformers import pipeline

    merged: Any = trained(resolved, "fp32").model
    made = pipeline(
        "text-classification",
        model=merged.merge_and_unload(),
        tokenizer=resolved.tokenizer,
        top_k=None,
        batch_size=BATCH,
        device="cpu",
        truncation=True,
        max_length=resolved.recipe.model.max_length.tokens,
    )
    return lambda texts: made(texts)


def _sorted(resolved: Resolved, precision: Precision) -> Callable[[list[str]], Any]:
    """What a careful person writes: merged weights in bf16, texts sorted by their tokens, batches of 32."""
    merged: Any = trained(resolved, "fp32").model
    model = merged.merge_and_unload().to(torch.bfloat16 if precision == "bf16" else torch.float32).eval()
    for module in model.modules():  # ours keep the head in float32 by wrapping its forward
        module.__dict__.pop("forward", None)
    tokenizer, most = resolved.tokenizer, resolved.recipe.model.max_length.tokens

    def score(texts: list[str]) -> np.ndarray:
        encoded = tokenizer(texts, truncation=True, max_length=most)["input_ids"]
        order = np.argsort([len(ids) for ids in encoded])
        found = np.zeros((len(texts), model.config.num_labels), dtype=np.float32)
        with torch.inference_mode():
            for start in range(0, len(order), BATCH):
                batch = order[start : start + BATCH]
                inputs = tokenizer.pad({"input_ids": [encoded[i] for i in batch]}, return_tensors="pt")
                found[batch] = model(**inputs).logits.float().numpy()
        return found

    return score
