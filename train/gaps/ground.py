"""What the training of a run held: positives and negatives of each label, in each slice and source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from train.data.corpus import Corpus

Counts = tuple[int, int]
"""Positives and negatives."""


@dataclass(frozen=True)
class Ground:
    """counts: (label, `name=value`, or None for all) -> positives and negatives; slices: names counted."""

    counts: Mapping[tuple[str, str | None], Counts]
    slices: frozenset[str]

    def of(self, label: str, slice: str | None) -> Counts | None:
        """None where the slice was not counted: of it nothing is known, which is not the same as none."""
        if slice is not None and slice.partition("=")[0] not in self.slices:
            return None
        return self.counts.get((label, slice), (0, 0))

    def sources(self, label: str) -> dict[str, Counts]:
        """Of the sources that know the label."""
        return {
            slice.removeprefix("source="): counts
            for (of, slice), counts in self.counts.items()
            if of == label and slice is not None and slice.startswith("source=") and any(counts)
        }


def from_lock(lock: Mapping[str, Any]) -> Ground:
    """By source alone: what recipe.lock says."""
    counts: dict[tuple[str, str | None], Counts] = {}
    for row in lock["rows"]:
        if row["split"] == "train":
            for slice in (None, f"source={row['source']}"):
                _add(counts, row["label"], slice, row["positives"], row["negatives"])
    return Ground(counts, frozenset(["source"]))


def from_corpus(corpus: Corpus) -> Ground:
    """By source and by every slice, of what each row says itself."""
    train = np.flatnonzero(corpus.splits() == "train")
    columns = {"source": corpus.of[train]}
    for name in corpus.table.column_names:
        if name.startswith("slice."):
            column = corpus.table.column(name).take(train).to_numpy(zero_copy_only=False)
            columns[name.removeprefix("slice.")] = column
    counts: dict[tuple[str, str | None], Counts] = {}
    for j, label in enumerate(corpus.labels):
        cells = corpus.said[train, j]
        _add(counts, label, None, int((cells > 0.5).sum()), int((cells < 0.5).sum()))
        for name, column in columns.items():
            for value in {value for value in column if value is not None}:
                mine = cells[column == value]
                _add(counts, label, f"{name}={value}", int((mine > 0.5).sum()), int((mine < 0.5).sum()))
    return Ground(counts, frozenset(columns))


def _add(
    counts: dict[tuple[str, str | None], Counts], label: str, slice: str | None, more: int, fewer: int
) -> None:
    positives, negatives = counts.get((label, slice), (0, 0))
    counts[label, slice] = positives + more, negatives + fewer
