"""How early a conversation is found, and how many benign ones are flagged on the way."""

from __future__ import annotations

from typing import Any

from train.report import charts
from train.report.finished import Finished


def content(run: Finished) -> dict[str, Any] | None:
    found = [
        line
        for name, of in run.suites.items()
        if of["kind"] == "conversations"
        for line in (_of_label(run, name, label) for label in _labels(run, name))
    ]
    return {"lines": found} if found else None


def _labels(run: Finished, name: str) -> list[str]:
    """Those that have conversations; `any` only where it says more than the one label there is."""
    labels = [label for label, seen in run.found(name, "recall", "turns") if seen == "100%"]
    return [label for label in labels if label != "any" or len(labels) != 2]


def _of_label(run: Finished, name: str, label: str) -> dict[str, Any]:
    """alarms: benign conversations ever flagged; blind: at least half as often as harmful ones are."""
    start = f"{name}/{label}"
    per_1000 = run.value(f"{start}/false_alarms", "negatives")
    ever = run.value(f"{start}/recall/turns=100%", "positives")
    seen = {int(k): run.value(f"{start}/recall/turns={k}", "positives") for k in _turns(run, name, label)}
    return {
        "name": name,
        "label": label,
        "ever": ever,
        "per_1000": per_1000,
        "alarms": round((per_1000.value or 0) * per_1000.n / 1000),
        "blind": per_1000.value is not None
        and ever.value is not None
        and per_1000.value / 1000 >= ever.value / 2,
        "onset": {
            at: run.value(f"{start}/found/onset={at}", "positives") for at in ("before", "at", "after")
        },
        **{
            metric: run.value(f"{start}/{metric}", "positives", "negatives")
            for metric in ("f_latency", "delay", "speed")
        },
        "chart": charts.turns(label, seen),
    }


def _turns(run: Finished, name: str, label: str) -> list[str]:
    return [value for of, value in run.found(name, "recall", "turns") if of == label and value.isdigit()]
