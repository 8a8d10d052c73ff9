"""Which split a group belongs to: a pure function of (seed, group)."""

from __future__ import annotations

import hashlib
from typing import Literal, Self

from pydantic import Field, model_validator

from train.spec import Spec


class Split(Spec):
    """Shares of the four splits; what dev, calibration and test leave is train."""

    by: Literal["group"] = "group"
    """What is kept together; a group is never divided."""
    seed: int = 1
    dev: float = Field(default=0.1, gt=0, lt=1)
    """Selects checkpoints."""
    calibration: float = Field(default=0.1, gt=0, lt=1)
    """Fits operating points."""
    test: float = Field(default=0.1, gt=0, lt=1)
    """Opened once, on the selected checkpoint."""

    @model_validator(mode="after")
    def _leaves_something_to_train_on(self) -> Self:
        if self.dev + self.calibration + self.test >= 1:
            raise ValueError("dev + calibration + test must be below 1: the rest is for training")
        return self


NAMES = ("train", "dev", "calibration", "test")
"""The splits, from the least to the most held out."""


def assign(split: Split, group: str) -> str:
    """The split of a group. Depends on nothing but (split.seed, group): adding a source moves nobody."""
    digest = hashlib.blake2b(f"{split.seed}\0{group}".encode(), digest_size=8).digest()
    u = int.from_bytes(digest, "big") / 2**64
    for name, share in (("test", split.test), ("calibration", split.calibration), ("dev", split.dev)):
        if u < share:
            return name
        u -= share
    return "train"
