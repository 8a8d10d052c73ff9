"""Where a set's figures are looked at: the whole, each value of each slice, each source."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from train.evaluation.predictions import Bools, Predictions
from train.evaluation.slices import ANALYSES, MOST_VALUES


@dataclass(frozen=True, eq=False)
class Place:
    """slice: `name=value`, None for all; also: others that hold the very same texts; rows: bool [n]."""

    slice: str | None
    also: tuple[str, ...]
    rows: Bools


def places(predictions: Predictions, known: Bools) -> Iterator[Place]:
    """Of the `known` rows [n] of one label: the whole, then each slice value, sources last.

    Slices that are the same texts are one place, under the first of their names; one that is the whole set
    goes without. A value that none of the known rows has is a place without rows, unless it is a source:
    nobody expects every source to speak of every label. Of a suite, sources are no slices: training has none
    of that name.
    """
    merged: dict[bytes, tuple[Bools, list[str]]] = {known.tobytes(): (known, [])}
    empty = []
    columns = {name: column for name, column in predictions.slices.items() if name not in ANALYSES}
    if not any(split.startswith("suite.") for split in predictions.split[:1]):
        columns["source"] = predictions.source
    for name, column in columns.items():
        values = sorted({value for value in column if value is not None})
        parts = [known & np.asarray(column == value) for value in values]
        if len(values) > MOST_VALUES or not any(rows.any() for rows in parts):
            continue
        for value, rows in zip(values, parts, strict=True):
            if rows.any():
                merged.setdefault(rows.tobytes(), (rows, []))[1].append(f"{name}={value}")
            elif name != "source":
                empty.append(Place(f"{name}={value}", (), rows))
    for number, (rows, names) in enumerate(merged.values()):
        if number == 0:
            yield Place(None, tuple(names), rows)
        else:
            yield Place(names[0], tuple(names[1:]), rows)
    yield from empty
