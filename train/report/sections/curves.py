"""Each label's curves."""

from __future__ import annotations

from typing import Any

from train.report import charts
from train.report.finished import Finished, Table


def content(run: Finished) -> dict[str, Any]:
    return {"sets": [(table, _of_set(run, table)) for table in run.whole]}


def _of_set(run: Finished, table: Table) -> list[tuple[str, list[charts.Figure]]]:
    part = run.parts[table.name]
    return [
        (
            record["label"],
            [charts.ranking(part, record, run.points[record["label"]]), charts.reliability(part, record)],
        )
        for record in table.records
    ]
