"""Predictions made up from a seed, and from plain lists."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from train.evaluation.predictions import Predictions

Build = Callable[..., Predictions]


def _build(targets: Any, scores: Any, flags: Any = None, **fields: Any) -> Predictions:
    targets = np.asarray(targets, dtype=np.float32)
    scores = np.asarray(scores, dtype=np.float64)
    n, width = targets.shape

    def strings(values: Any) -> Any:
        return np.array(values, dtype=object)

    return Predictions(
        ids=strings([f"id{i}" for i in range(n)]),
        source=strings(fields.get("source", ["a"] * n)),
        group=strings(fields.get("group", [f"g{i}" for i in range(n)])),
        split=strings(fields.get("split", ["test"] * n)),
        synthetic=np.asarray(fields.get("synthetic", [False] * n), dtype=bool),
        slices={k: strings(v) for k, v in fields.get("slices", {}).items()},
        labels=fields.get("labels", tuple(f"label{j}" for j in range(width))),
        targets=targets,
        scores=scores,
        flags=scores >= 0.5 if flags is None else np.asarray(flags, dtype=bool),
    )


def _random(n: int, width: int = 2, seed: int = 0, rate: float = 0.3, unknown: float = 0.2) -> Predictions:
    random = np.random.default_rng(seed)
    targets = (random.random((n, width)) < rate).astype(np.float32)
    logits = 2 * targets - 1 + random.normal(size=(n, width))
    targets[random.random((n, width)) < unknown] = np.nan
    return _build(targets, 1 / (1 + np.exp(-logits)), source=[["a", "b"][i % 2] for i in range(n)])


@pytest.fixture(scope="session")
def build() -> Build:
    return _build


@pytest.fixture(scope="session")
def random_predictions() -> Build:
    return _random
