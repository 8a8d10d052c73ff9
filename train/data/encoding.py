"""Texts to tokens, cached as Arrow by content."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from train.spec import Spec


class MaxLength(Spec):
    tokens: int = Field(default=128, ge=8)
    """Tokens of a text that the model sees, special tokens included."""
    overflow: Literal["truncate"] = "truncate"
    """What happens to the rest of a longer text."""


class Encoding(Spec):
    """How a text becomes tokens. It travels with the checkpoint: serving must encode as training did."""

    max_length: MaxLength = MaxLength()
