"""For whom it works: texts that mention a group, or are written in a dialect, against all others."""

from __future__ import annotations

from typing import Any

from train.report.finished import Finished, Value
from train.suites.subgroups import worst

AREAS = {
    "subgroup_auc": "within the group",
    "bpsn_auc": "harmless mentions",
    "bnsp_auc": "attacks on the group",
}
MEANS = {
    "subgroup_auc": "harmful and harmless texts that mention it are told apart worst",
    "bpsn_auc": "harmless texts that mention it score too high: most at risk of being wrongly blocked",
    "bnsp_auc": "harmful texts that mention it score too low: least protected",
}
_COUNTS = {
    "subgroup_auc": ("positives", "negatives"),
    "bpsn_auc": ("negatives",),
    "bnsp_auc": ("positives",),
    "recall": ("positives",),
    "fpr": ("negatives",),
    "fpr_gap": ("negatives",),
    "recall_gap": ("positives",),
}


def content(run: Finished) -> dict[str, Any] | None:
    found = []
    for table in run.whole:
        for label in run.final["labels"]:
            groups, dialects = (_lines(run, table.name, label, of) for of in ("identity", "dialect"))
            if groups or dialects:
                told = {"worst": _worst(run, table.name, label), "groups": groups, "dialects": dialects}
                of_set = {"name": table.name, "synthetic": table.synthetic, "label": label}
                found.append({**of_set, **told})
    return {"lines": found, "areas": AREAS, "means": MEANS} if found else None


def _worst(run: Finished, name: str, label: str) -> list[tuple[str, str, Value, Value, bool]]:
    """Of each area that some group has: its name, the group that fares worst, its figure, that of all texts,
    and whether the group's interval lies below that."""
    found = []
    for metric in AREAS:
        one = worst(run.figures, f"{name}/{label}/{metric}", "identity", most=False)
        if one is not None:
            key = f"{name}/{label}/{metric}/identity={one[0]}"
            value, whole = run.value(key, *_COUNTS[metric]), run.value(f"{name}/{label}/auroc", "positives")
            below = value.high is not None and whole.value is not None and value.high < whole.value
            found.append((metric, one[0], value, whole, below))
    return found


def _lines(run: Finished, name: str, label: str, of: str) -> list[dict[str, Any]]:
    """A line a group of which at least one figure is known; the lowest harmless-mentions area first."""
    lines = [
        {
            "group": group,
            "n": run.figures[f"{name}/{label}/n/{of}={group}"],
            **{
                metric: run.value(f"{name}/{label}/{metric}/{of}={group}", *counts)
                for metric, counts in _COUNTS.items()
            },
        }
        for found, group in run.found(name, "bpsn_auc", of)
        if found == label
    ]
    lines = [line for line in lines if any(line[metric].told for metric in _COUNTS)]
    return sorted(lines, key=lambda line: (not line["bpsn_auc"].told, line["bpsn_auc"].value or 0))
