"""Predictions made up from a seed, as tests/evaluation has them; finished runs made of a trained one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.evaluation.conftest import build, random_predictions
from train.evaluation.predictions import Predictions

__all__ = ["build", "random_predictions"]


def _copy(
    trained: Path, runs: Path, name: str, seed: int = 1, signal: float | None = None, **lock: Any
) -> Path:
    """The trained run under another name and seed; with `signal` its test scores are drawn anew, so much of
    the truth in them. lock: keys of its adapter that say otherwise."""
    (source,) = (trained / "runs").iterdir()
    folder = Path(shutil.copytree(source, runs / name, symlinks=True))
    locked = json.loads((folder / "recipe.lock").read_text())
    locked["recipe"]["train"]["seed"] = seed
    locked["recipe"]["adapter"] |= lock
    locked["sha256"] = f"{name}-{seed}"
    (folder / "recipe.lock").write_text(json.dumps(locked))
    if signal is not None:
        path = folder / "predictions" / "test.parquet"
        was = Predictions.read(path)
        noise = np.random.default_rng(seed).normal(size=was.targets.shape)
        scores = 1 / (1 + np.exp(-(signal * (2 * np.nan_to_num(was.targets) - 1) + noise)))
        replace(was, scores=scores, flags=scores >= 0.5).write(path)
    return folder


@pytest.fixture
def copy(trained_once: Path, runs: Path) -> Callable[..., Path]:
    """copy(name, seed, signal, r=8) -> a finished run under $TEENSAFE_RUNS."""
    return lambda name, *told, **lock: _copy(trained_once, runs, name, *told, **lock)
