"""Is there enough: known and positive cells of a label in a slice, held against what a contract requires."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from train.spec import Spec

if TYPE_CHECKING:
    import pyarrow as pa


class Required(Spec):
    """Cells that a delivery has at least."""

    label: str
    where: dict[str, str] = Field(default_factory=dict)
    """Slice -> value, such as {lang: de, surface: chat}; default: all rows."""
    split: Literal["train", "dev", "calibration", "test"] | None = None
    """Default: all splits together."""
    known: int = Field(default=0, ge=0)
    """Rows of which it is known whether the label holds."""
    positive: int = Field(default=0, ge=0)
    """Rows that the label holds for."""
    synthetic: bool = False
    """Whether rows that were written for training count, too."""

    @model_validator(mode="after")
    def _asks_for_something(self) -> Self:
        if not (self.known or self.positive):
            raise ValueError("asks for nothing: say known, positive or both")
        return self

    def __str__(self) -> str:
        place = [f"{name}={value}" for name, value in self.where.items()]
        return " ".join([self.label, *place, *([f"in {self.split}"] if self.split else [])])


@dataclass(frozen=True)
class Shortfall:
    required: Required
    known: int
    positive: int

    @property
    def missing(self) -> dict[str, int]:
        """Known and positive cells to find; a positive is known, too."""
        found = {
            "known": self.required.known - self.known,
            "positive": self.required.positive - self.positive,
        }
        return {what: n for what, n in found.items() if n > 0}

    def __str__(self) -> str:
        have = {"known": self.known, "positive": self.positive}
        parts = [f"{have[what]:,} {what} of {have[what] + n:,}" for what, n in self.missing.items()]
        return f"{self.required}: {', '.join(parts)}"


class Coverage:
    """Counts what is required: tables go in as they come."""

    def __init__(self, required: Sequence[Required]) -> None:
        self._required = required
        self._counts = np.zeros((len(required), 2), dtype=np.int64)

    def add(self, table: pa.Table, slices: Mapping[str, str]) -> None:
        """A table of delivered rows; slices: slice -> its column."""
        from train.curation.rows import LABEL

        def column(name: str) -> np.ndarray:
            found: np.ndarray = table.column(name).to_numpy(zero_copy_only=False)
            return found

        for at, asked in enumerate(self._required):
            if LABEL + asked.label not in table.column_names or not asked.where.keys() <= slices.keys():
                continue
            rows = np.full(len(table), True)
            if not asked.synthetic:
                rows &= ~column("synthetic").astype(bool)
            if asked.split:
                rows &= column("split") == asked.split
            for name, value in asked.where.items():
                rows &= column(slices[name]) == value
            cells = column(LABEL + asked.label).astype(np.float64)[rows]
            self._counts[at] += [int((~np.isnan(cells)).sum()), int((cells > 0.5).sum())]

    def shortfalls(self) -> Iterator[Shortfall]:
        for asked, (known, positive) in zip(self._required, self._counts, strict=True):
            short = Shortfall(asked, int(known), int(positive))
            if short.missing:
                yield short

    def document(self) -> list[dict[str, Any]]:
        return [
            {**asked.model_dump(mode="json"), "has": {"known": int(known), "positive": int(positive)}}
            for asked, (known, positive) in zip(self._required, self._counts, strict=True)
        ]
