"""Recall and false positive rate by what the sources say of a text."""

from __future__ import annotations

from typing import Any

from train.evaluation import records
from train.evaluation.metrics import ENOUGH
from train.evaluation.records import Record
from train.evaluation.slices import ANALYSES, MOST_VALUES
from train.report.finished import Finished, Table


def content(run: Finished) -> dict[str, Any]:
    sets = [(table.name, _slices(run, table)) for table in run.whole]
    return {"sets": sets, "not_sliced": _not_sliced(run), "enough": ENOUGH}


def _slices(run: Finished, table: Table) -> dict[str, list[tuple[str, list[Record]]]]:
    """slice -> [(label, its record over all values, then one a value)], `any` last."""
    whole = {record["label"]: {**record, "value": None} for record in (*table.records, table.any)}
    found: dict[str, dict[str, list[Record]]] = {}
    for record in records.by_slice(run.figures, run.bounds, table.name):
        of_slice = found.setdefault(record["slice"], {label: [all_] for label, all_ in whole.items()})
        of_slice[record["label"]].append(record)
    return {name: [(k, v) for k, v in labels.items() if len(v) > 1] for name, labels in found.items()}


def _not_sliced(run: Finished) -> list[tuple[str, str]]:
    """(slice, reason) for each that no figure speaks of; those with a section of their own are elsewhere."""
    known = {key.split("/", 3)[3].partition("=")[0] for key in run.figures if key.count("/") >= 3}
    found = []
    for name, column in run.predictions.slices.items():
        if name not in known | ANALYSES:
            values = len({value for value in column if value is not None})
            few = "no figures in summary.json" if values else "no value"
            found.append((name, f"{values} values" if values > MOST_VALUES else few))
    return found
