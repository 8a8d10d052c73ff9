"""What is left for people: how many flags would be right, and how many texts people would have to decide."""

from __future__ import annotations

from typing import Any

from train.report import charts
from train.report.finished import Finished, Value

_BOTH = ("positives", "negatives")


def content(run: Finished) -> dict[str, Any] | None:
    found = []
    for table in run.whole:
        labels = [record["label"] for record in table.records]
        lines = [line for label in labels if (line := _of_label(run, table.name, label))]
        if lines:
            drawn = [
                charts.risk_coverage(run.parts[table.name], line["label"], line["aurc"].value)
                for line in lines
                if line["aurc"].told and not table.synthetic
            ]
            found.append({"name": table.name, "synthetic": table.synthetic, "lines": lines, "charts": drawn})
    return {"sets": found} if found else None


def _of_label(run: Finished, name: str, label: str) -> dict[str, Any] | None:
    """None where nothing was routed. assumed: the prevalence that two of the figures take for granted."""
    start = f"{name}/{label}/"
    keys = {key.removeprefix(start) for key in run.figures if key.startswith(start)}
    if "aurc" not in keys:
        return None

    def only(begins: str, also: str = "") -> Value | None:
        metric = next((k for k in keys if k.startswith(begins) and ("," in k) == bool(also)), None)
        return run.value(f"{start}{metric}", "n", *_BOTH) if metric else None

    assumed = next((k.partition("=")[2] for k in keys if k.startswith("precision@prevalence=")), None)
    return {
        "label": label,
        "assumed": float(assumed) if assumed else None,
        "precision": only("precision@prevalence="),
        "review": only("review_share@recall="),
        "review_there": only("review_share@recall=", ","),
        "aurc": run.value(f"{start}aurc", "n", *_BOTH),
        "excess": run.value(f"{start}excess_aurc", "n", *_BOTH),
    }
