"""Counts by split, label and slice: against the definition, over tables cut anywhere, whatever a slice is."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa

from train.curation.counting import MOST_VALUES, Tally, document, tally
from train.data.split import NAMES

SLICES = {"lang": "slice.lang", "note": "slice.note"}


def table(n: int = 400) -> pa.Table:
    draw = np.random.default_rng(0)
    cell = np.where(draw.random(n) < 0.3, np.nan, draw.random(n)).astype(np.float32)
    return pa.table(
        {
            "split": [NAMES[i] for i in draw.integers(0, 4, n)],
            "label.hate": pa.array(cell, from_pandas=True),
            "slice.lang": [[None, "de", "en"][i] for i in draw.integers(0, 3, n)],
            "slice.note": [f"note {i}" for i in range(n)],  # a text where a slice was expected
        }
    )


def test_it_counts_what_there_is() -> None:
    rows = table()
    said = document(tally(rows, SLICES))
    for split in NAMES:
        mine = [row for row in rows.to_pylist() if row["split"] == split]
        assert said[split]["rows"] == len(mine)
        assert said[split]["slices"].keys() == {"lang"}
        for value in ("de", "en"):
            cells = [row["label.hate"] for row in mine if row["slice.lang"] == value]
            known = [cell for cell in cells if cell is not None]
            assert said[split]["slices"]["lang"][value] == {
                "rows": len(cells),
                "labels": {"hate": {"known": len(known), "positive": sum(cell > 0.5 for cell in known)}},
            }


def test_tables_add_up() -> None:
    rows, added = table(), Tally()
    for start in range(0, len(rows), 37):
        added.update(tally(rows.slice(start, 37), SLICES))
    assert document(added) == document(tally(rows, SLICES))


def test_what_is_no_slice_takes_no_room() -> None:
    found = tally(table(), SLICES)
    assert isinstance(found, Counter)
    assert len({value for _, name, value, _, _ in found if name == "note"}) == MOST_VALUES + 1
