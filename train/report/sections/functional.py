"""One thing to get right after another, worst first: figures of functional suites."""

from __future__ import annotations

from typing import Any

from train.evaluation.metrics import ENOUGH
from train.report.finished import Finished, Value
from train.suites.functionalities import ALL, PASSING, SLICE, Functionality, records

FIRST = 8
"""Functionalities that are shown unfolded."""
METRICS = {"passed": "n", "passed_harmful": "harmful", "passed_allowed": "allowed", "pairs_passed": "pairs"}


def content(run: Finished) -> dict[str, Any] | None:
    found = [_of_suite(run, name) for name in run.suites if f"{name}/{ALL}/functionalities" in run.figures]
    return {"suites": found, "first": FIRST, "passing": PASSING} if found else None


def _of_suite(run: Finished, name: str) -> dict[str, Any]:
    """fails: functionalities that with 95% confidence have under PASSING of their texts right."""
    said = {key: Functionality(**of) for key, of in run.suites[name]["functionalities"].items()}
    lines = records(run.figures, run.bounds, name, said)
    for line in lines:
        for metric, count in METRICS.items():
            ends = (line[f"{metric}_low"], line[f"{metric}_high"])
            line[metric] = Value(line[metric], *ends, line[count], line[count] >= ENOUGH)
        of = f"{SLICE}={line['functionality']}"
        line["languages"] = {
            lang: Value(share, None, None, run.figures[f"{name}/{ALL}/n/{of}@{lang}"], False)
            for lang, share in line["languages"].items()
        }
    return {
        "name": name,
        "lines": lines,
        "passed": run.figures[f"{name}/{ALL}/functionalities@passed={PASSING:g}"],
        "fails": sum(line["passed"].high is not None and line["passed"].high < PASSING for line in lines),
        "few": sum(not line["passed"].enough for line in lines),
        "pairs": run.value(f"{name}/{ALL}/pairs_passed", "pairs"),
        "ordered": run.value(f"{name}/{ALL}/ordered", "pairs"),
    }
