"""Losses on soft labels with unknown cells."""

from __future__ import annotations

from typing import Literal

from pydantic import PositiveFloat

from train.spec import Spec


class Bce(Spec):
    """Binary cross-entropy of each known cell."""

    kind: Literal["bce"] = "bce"
    pos_weight: Literal["auto", "none"] | dict[str, PositiveFloat] = "none"
    """Factor on the positive term, by label. auto: known negatives / known positives of train, at most 10."""


Loss = Bce  # becomes a union on `kind` when a second loss joins
