"""What people's votes come to: cells of rows, and how far the people agree, by label, source and slice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from train.curation.people.aggregate import People, cells
from train.curation.people.agreement import Alpha, alpha, cohen

if TYPE_CHECKING:
    import pyarrow as pa

    from train.curation.rows import Counts

READS = ("id", "source")
"""Columns beside label.<L> and slice.<k> that `agree` reads."""
SLICES = ("lang", "surface")
PEOPLE = "people"


def agree(table: pa.Table, votes: pa.Table, own: pa.Table, spec: People) -> tuple[pa.Table, Counts, Any]:
    """New columns by.<L>, `people` where a cell comes from votes that were imported, and the label columns.

    votes: those behind the sources' cells; own: those that were imported, given under the build's own policy:
    their cells take the place of the sources'. Found: see `measured`.
    """
    import pyarrow as pa

    from train.curation.people.votes import gathered
    from train.curation.rows import LABEL, labels

    ids = table.column("id").to_numpy(zero_copy_only=False)
    said = cells(own, spec)
    columns: dict[str, pa.Array] = {}
    counts: dict[str, int] = {}
    for label in labels(table):
        cell = np.asarray(table.column(LABEL + label), dtype=np.float32).copy()
        known = said.get(label, {})
        rows = np.array([at for at, id in enumerate(ids) if id in known] if known else [], dtype=np.int64)
        cell[rows] = [known[id] for id in ids[rows]]
        by = np.full(len(ids), None, dtype=object)
        by[rows] = PEOPLE
        columns[LABEL + label] = pa.array(cell, from_pandas=True)
        columns[f"by.{label}"] = pa.array(by, pa.string())
        if len(rows):
            counts[f"from_people.{label}"] = len(rows)
    return pa.table(columns), counts, measured(table, gathered([votes, own]))


def measured(table: pa.Table, votes: pa.Table) -> list[dict[str, Any]]:
    """Alpha of each label, over all rows and by source and slice; kappa where two people share 30 items."""
    import pyarrow.compute as pc

    from train.curation.rows import SLICE

    ids = table.column("id").to_pylist()
    places: dict[str, dict[str, str]] = {
        "source": dict(zip(ids, table.column("source").to_pylist(), strict=True))
    }
    for name in SLICES:
        if SLICE + name in table.column_names:
            places[name] = dict(zip(ids, table.column(SLICE + name).to_pylist(), strict=True))
    found = []
    for label in sorted(set(votes.column("label").to_pylist())):
        its = votes.filter(pc.equal(votes.column("label"), label))
        item, group, who = (
            its.column(name).to_numpy(zero_copy_only=False) for name in ("item", "group", "annotator")
        )
        value = np.asarray(its.column("value").to_numpy(zero_copy_only=False), dtype=np.float64)
        pairs = cohen(item, who, value)
        kappas = [kappa for kappa, _ in pairs.values() if kappa is not None]
        kappa = {"median": float(np.median(kappas)), "pairs": len(kappas)} if kappas else None
        found.append({"label": label, "slice": None, **_said(alpha(item, value, group)), "cohen": kappa})
        for name, of in places.items():
            where = np.array([of.get(id) or "" for id in item], dtype=object)
            values = sorted({*where} - {""})
            for one in values if len(values) > 1 else ():
                rows = where == one
                its_alpha = alpha(item[rows], value[rows], group[rows])
                found.append({"label": label, "slice": f"{name}={one}", **_said(its_alpha), "cohen": None})
    return found


def _said(found: Alpha) -> dict[str, Any]:
    return {
        "alpha": found.value,
        "low": found.low,
        "high": found.high,
        "items": found.items,
        "votes": found.votes,
    }
