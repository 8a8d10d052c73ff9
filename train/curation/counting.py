"""How many rows, known cells and positive cells there are, by split, label and slice."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from train.data.split import NAMES

if TYPE_CHECKING:
    import pyarrow as pa

MOST_VALUES = 50
"""A slice of more values is no slice but something that people wrote; it is counted as one."""
Tally = Counter[tuple[str, str, str, str, str]]
"""(split, slice, value, label, rows | known | positive) -> n. Slice and value are "" for all rows, label for
their number."""


def tally(table: pa.Table, slices: dict[str, str]) -> Tally:
    """Of a table with `split` and label.<L>. slices: slice -> its column; adds up over tables."""
    from train.curation.rows import LABEL, labels

    found: Tally = Counter()
    split = table.column("split").to_numpy(zero_copy_only=False)
    cells = {
        label: np.asarray(table.column(LABEL + label).to_numpy(zero_copy_only=False), dtype=np.float64)
        for label in labels(table)
    }
    values: dict[str, np.ndarray] = {"": np.full(len(split), "", dtype=object)}
    values |= {name: table.column(column).to_numpy(zero_copy_only=False) for name, column in slices.items()}
    for where in NAMES:
        in_split = split == where
        for name, value in values.items():
            for one in sorted({v for v in value[in_split] if v is not None}):
                rows = in_split & (value == one)
                found[where, name, one, "", "rows"] += int(rows.sum())
                for label, cell in cells.items():
                    found[where, name, one, label, "known"] += int((~np.isnan(cell[rows])).sum())
                    found[where, name, one, label, "positive"] += int((cell[rows] > 0.5).sum())
    return Counter({key: n for key, n in found.items() if n})


def document(found: Tally) -> dict[str, Any]:
    """By split: rows; labels {label: {known, positive}}; slices {slice: {value: the same}}."""
    values: dict[str, set[str]] = {}
    for _, name, value, _, _ in found:
        values.setdefault(name, set()).add(value)
    crowded = {name for name, those in values.items() if len(those) > MOST_VALUES}
    said: dict[str, Any] = {}
    for split in NAMES:
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
