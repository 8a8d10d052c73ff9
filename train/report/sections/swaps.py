"""The same sentence about one group after another: how far the group's name alone moves a score."""

from __future__ import annotations

from typing import Any

from train.evaluation.metrics import ENOUGH
from train.report.finished import Finished, Value

FIRST = 5
"""Terms a label that are shown unfolded."""


def content(run: Finished) -> dict[str, Any] | None:
    names = [name for name, of in run.suites.items() if of["kind"] == "swaps"]
    found = [line for name in names for line in _lines(run, name)]
    return {"lines": found, "first": FIRST} if found else None


def _lines(run: Finished, name: str) -> list[dict[str, Any]]:
    labels = dict.fromkeys(label for label, _ in run.found(name, "spread", "frame"))
    return [
        {
            "name": name,
            "label": label,
            "frames": [
                (
                    kind,
                    run.value(f"{name}/{label}/flag_changes/frame={kind}", "n"),
                    run.value(f"{name}/{label}/spread/frame={kind}", "n"),
                )
                for of, kind in run.found(name, "spread", "frame")
                if of == label
            ],
            **_terms(run, name, label),
        }
        for label in labels
    ]


def _terms(run: Finished, name: str, label: str) -> dict[str, Any]:
    """terms: those in enough frames, the one whose sentences score highest first; few: the others."""
    found: dict[str, Value] = {
        term: run.value(f"{name}/{label}/excess/term={term}", "n")
        for of, term in run.found(name, "excess", "term")
        if of == label
    }
    told = {term: value for term, value in found.items() if value.told}
    ends = [abs(end) for v in told.values() for end in (v.value, v.low, v.high) if end is not None]
    most = max(ends, default=0.1)
    return {
        "terms": sorted(told.items(), key=lambda line: -(line[1].value or 0)),
        "few": [(term, value.n) for term, value in found.items() if not value.told],
        "scale": (-most, most),
        "enough": ENOUGH,
    }
