"""All sources together: one table of encoded examples, their label cells and their splits."""

from __future__ import annotations

from pydantic import Field

from train.data.source import Source
from train.data.split import Split
from train.spec import Spec


class Data(Spec):
    seed: int = 17
    """Order of the training examples."""
    split: Split = Split()
    sources: dict[str, Source] = Field(min_length=1)
