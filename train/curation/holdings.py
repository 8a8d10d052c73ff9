"""What a build holds as far as it has come, for those who make more of it: rows to say in other words, and
what the contract asks for and is not there."""

from __future__ import annotations

import numpy as np

from train.curation.build import Way
from train.curation.coverage import Coverage, Shortfall
from train.curation.delivery import slices
from train.curation.rows import LABEL, labels
from train.curation.shards import read


def allowed(way: Way) -> list[tuple[str, str]]:
    """(id, text) of real training rows of which every label that sources speak of is known and absent."""
    found = []
    for shard in way.shards:
        table = read([shard])
        absent = (table.column("split").to_numpy(zero_copy_only=False) == "train") & ~np.asarray(
            table.column("synthetic").to_numpy(zero_copy_only=False), dtype=bool
        )
        for name in way.curation.data.labels:
            absent &= np.asarray(table.column(LABEL + name), dtype=np.float32) == 0
        rows = table.take(np.flatnonzero(absent))
        found += [*zip(rows.column("id").to_pylist(), rows.column("text").to_pylist(), strict=True)]
    return found


def missing(way: Way) -> tuple[list[Shortfall], dict[str, tuple[int, int]]]:
    """(what the contract requires and is not there, positive and known cells of real rows by label)."""
    import pyarrow.compute as pc

    coverage = Coverage(way.curation.contract.required)
    rates: dict[str, tuple[int, int]] = {}
    for shard in way.shards:
        table = read([shard])
        table = table.filter(pc.is_valid(table.column("split")))
        coverage.add(table, slices(table))
        real = table.filter(pc.invert(table.column("synthetic")))
        for name in labels(real):
            cell = np.asarray(real.column(LABEL + name), dtype=np.float32)
            positive, known = rates.get(name, (0, 0))
            rates[name] = (positive + int((cell > 0.5).sum()), known + int((~np.isnan(cell)).sum()))
    return [*coverage.shortfalls()], rates
