"""What a baseline hands in to be judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from train.lock import Resolved

SPLITS = ("dev", "calibration", "test")


@dataclass(frozen=True)
class Attempt:
    """logits: by split, float [n, L] in the order of `corpus.rows(split)`; a row of NaN has no verdict.

    score: logits of any texts, float [n, L], for suites and disguises; None where that would cost too much.
    settings: what it was made with, for recipe.lock; told: what summary.json says beside the figures.
    """

    logits: Mapping[str, np.ndarray]
    score: Callable[[Sequence[str]], np.ndarray] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    told: Mapping[str, Any] = field(default_factory=dict)


Baseline = Callable[[Path, Resolved], Attempt]
"""(folder of the run, what its recipe resolves to) -> what is to be judged."""
