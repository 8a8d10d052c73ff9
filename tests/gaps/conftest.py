"""Held-out predictions drawn from a seed, a policy for their labels, and the ground they stand on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import expit
from transformers import AutoTokenizer

from train.data.encoding import Encoder, Encoding, MaxLength
from train.evaluation.predictions import Predictions
from train.gaps.gap import Trial
from train.policy import Policy

TRIAL = Trial(
    set="held-out",
    label="x",
    slice="lang=es",
    metric="recall",
    value=0.1,
    ci=(0.05, 0.2),
    n=80,
    positives=80,
    target=0.5,
    stake=0.5,
    shortfall=0.3,
    p=0.001,
    proven=False,
    needed=100,
)
"""Of Spanish texts, of which four in five are missed."""


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


@pytest.fixture(scope="session")
def encoder(tiny_base: Path) -> Encoder:
    """MiniLM's tokenizer, 32 tokens a text."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_base, model_max_length=32)
    return Encoder(tokenizer, Encoding(max_length=MaxLength(tokens=32)))


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(0)
