"""How many rows, known cells and positive cells there are, by set, label and slice. A set is a split's real
rows, or its synthetic ones: the two share no figure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from train.data.split import NAMES

if TYPE_CHECKING:
    import pyarrow as pa

MOST_VALUES = 50
"""A slice of more values is no slice but something that people wrote: it is left out."""
SETS = (*NAMES, *(f"{name}.synthetic" for name in NAMES))
Tally = Counter[tuple[str, str, str, str, str]]
"""(set, slice, value, label, rows | known | positive) -> n. Slice and value are "" for all rows, label for
their number."""


def tally(table: pa.Table, slices: Mapping[str, str], synthetic: bool = False) -> Tally:
    """Of a table with `split` and label.<L>. slices: slice -> its column; synthetic: whether its rows are;
    adds up over tables.

    Of a slice with more than MOST_VALUES values only so many are counted as show that it is none.
    """
    import pyarrow as pa

    from train.curation.rows import LABEL, coded, labels

    found: Tally = Counter()
    split = np.array([NAMES.index(name) for name in table.column("split").to_pylist()], dtype=np.int64)
    cells = {
        label: np.asarray(table.column(LABEL + label).to_numpy(zero_copy_only=False), dtype=np.float64)
        for label in labels(table)
    }
    everything = pa.chunked_array([pa.array([""] * len(table), pa.string())])
    of = {"": everything, **{name: table.column(column) for name, column in slices.items()}}
    for name, column in of.items():
        known = column.is_valid().to_numpy()
        values, code = coded(column.drop_null())
        place = split[known] * len(values) + code
        counted = {("", "rows"): np.ones(len(place), dtype=bool)}
        for label, cell in cells.items():
            counted[label, "known"] = ~np.isnan(cell[known])
            counted[label, "positive"] = cell[known] > 0.5
        for (label, what), rows in counted.items():
            n = np.bincount(place[rows], minlength=len(NAMES) * len(values)).reshape(len(NAMES), len(values))
            for at, where in enumerate(SETS[len(NAMES) :] if synthetic else NAMES):
                for value, count in zip(values[: MOST_VALUES + 1], n[at].tolist(), strict=False):
                    if count:
                        found[where, name, value, label, what] += count
    return found


def document(found: Tally) -> dict[str, Any]:
    """By set: rows; labels {label: {known, positive}}; slices {slice: {value: the same}}."""
    values: dict[str, set[str]] = {}
    for _, name, value, _, _ in found:
        values.setdefault(name, set()).add(value)
    crowded = {name for name, those in values.items() if len(those) > MOST_VALUES}
    said: dict[str, Any] = {}
    for split in SETS:
        here = {key[1:]: n for key, n in sorted(found.items()) if key[0] == split}
        if not here:
            continue
        whole = said[split] = _of(here, "", "")
        whole["slices"] = {
            name: {
                value: _of(here, name, value) for value in sorted(those) if (name, value, "", "rows") in here
            }
            for name, those in sorted(values.items())
            if name and name not in crowded
        }
    return said


def _of(here: dict[tuple[str, str, str, str], int], name: str, value: str) -> dict[str, Any]:
    labels = sorted({label for n, v, label, what in here if (n, v, what) == (name, value, "known")})
    return {
        "rows": here.get((name, value, "", "rows"), 0),
        "labels": {
            label: {
                "known": here[name, value, label, "known"],
                "positive": here.get((name, value, label, "positive"), 0),
            }
            for label in labels
        },
    }
