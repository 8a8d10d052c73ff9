"""What the model finds and whom it blocks, on sets made to put it to the test; and which parts fare worst."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from train.evaluation.slices import ANALYSES
from train.report.finished import Finished, Value

_ELSEWHERE = ANALYSES | {"surface"}
"""Slices that a section of their own shows, or that say little of a written set."""


def content(run: Finished) -> dict[str, Any] | None:
    if not run.suites:
        return None
    return {"lines": [_overview(run, name) for name in run.suites], "slices": list(_slices(run))}


def _overview(run: Finished, name: str) -> dict[str, Any]:
    """seen: how many of its texts training holds nearly word for word; most: the label with the most flags of
    those that no text of the suite knows."""
    rates = {
        key.split("/")[1]: value
        for key, value in run.figures.items()
        if key.startswith(f"{name}/") and key.endswith("/flags_per_1000") and f"{name}/any/" not in key
    }
    most = max(rates, key=lambda label: rates[label], default=None)
    return {
        "name": name,
        **{key: run.suites[name][key] for key in ("about", "rows")},
        "found": run.value(f"{name}/any/recall", "positives"),
        "flagged": run.value(f"{name}/any/fpr", "n"),
        "flags": run.value(f"{name}/any/flags_per_1000", "texts"),
        "seen": len(run.suites[name].get("in_training", [])),
        "most": (most, rates[most]) if most is not None and rates[most] > 0 else None,
    }


def _slices(run: Finished) -> Iterator[dict[str, Any]]:
    """Each suite by each slice that has several values, the worst value first; the worst is named."""
    for name in run.suites:
        by_slice: dict[str, list[str]] = {}
        for key in run.figures:
            if key.startswith(f"{name}/any/fpr/"):
                slice_, _, value = key.split("/", 3)[3].partition("=")
                if slice_ not in _ELSEWHERE:
                    by_slice.setdefault(slice_, []).append(value)
        for slice_, values in by_slice.items():
            if len(values) < 2:
                continue
            lines = [
                (
                    value,
                    run.value(f"{name}/any/recall/{slice_}={value}", "positives"),
                    run.value(f"{name}/any/fpr/{slice_}={value}", "n"),
                )
                for value in values
            ]
            lines.sort(key=lambda line: (-(line[2].value or 0), line[1].value or 0))
            yield {"name": name, "slice": slice_, "lines": lines, "worst": _worst(lines)}


def _worst(lines: list[tuple[str, Value, Value]]) -> str:
    """The value whose allowed texts are flagged most, if any are; else the one that is found least."""
    value, _, flagged = lines[0]
    if flagged.count:
        return f"worst {value}, {flagged.count:,} of {flagged.n:,} allowed texts flagged"
    known = [line for line in lines if line[1].n]
    if not known:
        allowed = sum(line[2].n for line in lines)
        return f"none of {allowed:,} allowed texts flagged" if allowed else "no text of a known label"
    value, found, _ = min(known, key=lambda line: line[1].value or 0)
    return f"worst {value}, {found.count:,} of {found.n:,} harmful texts found"
