"""Held-out predictions drawn from a seed, a policy for their labels, and the ground they stand on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from scipy.special import expit

from train.evaluation.predictions import Predictions
from train.policy import Policy

Drawn = Callable[..., Predictions]


def policy_of(labels: Sequence[str], tier: int = 2, **constraint: float) -> Policy:
    """Labels of one tier and constraint; default: an FPR of at most 5%."""
    described = {
        "title": "t",
        "definition": "d",
        "excludes": ["e"],
        "tier": tier,
        "constraint": constraint or {"max_fpr": 0.05},
    }
    tiers = {number: {"name": "t", "covers": "c"} for number in range(4)}
    return Policy.model_validate(
        {
            "schema": 1,
            "name": "p",
            "version": "1.0.0",
            "description": "d",
            "tiers": tiers,
            "taxonomies": {},
            "labels": dict.fromkeys(labels, described),
        }
    )


def predictions_of(
    positive: Any, logit: Any, flag: Any = None, labels: Sequence[str] = ("x",), **fields: Any
) -> Predictions:
    """positive, logit, flag (default: logit above 0): [n] or [n, L]."""
    positive, logit = (np.asarray(block, float).reshape(len(block), -1) for block in (positive, logit))
    n = len(positive)

    def strings(values: Sequence[Any]) -> np.ndarray:
        return np.array([None if value is None else str(value) for value in values], dtype=object)

    return Predictions(
        ids=strings(range(n)),
        source=strings(fields.get("source", ["a"] * n)),
        group=strings(fields.get("group", range(n))),
        split=strings(fields.get("split", ["test"] * n)),
        synthetic=np.asarray(fields.get("synthetic", [False] * n)),
        slices={name: strings(values) for name, values in fields.get("slices", {}).items()},
        labels=tuple(labels),
        targets=positive.astype(np.float32),
        scores=expit(logit),
        flags=logit > 0 if flag is None else np.asarray(flag, bool).reshape(n, -1),
    )


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(0)
