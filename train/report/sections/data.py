"""What it was trained and judged with: counts by source, label and split."""

from __future__ import annotations

from typing import Any

from train.report.finished import Finished


def content(run: Finished) -> dict[str, Any]:
    left_out = run.locked.get("left_out", {})
    return {
        **_mixture(run.locked["rows"]),
        "passes": [] if "baseline" in run.final else _passes(run),
        "updates": run.final["steps"],
        "left_out": {source: reasons for source, reasons in left_out.items() if reasons},
    }


def _mixture(cells: list[dict[str, Any]]) -> dict[str, Any]:
    """splits in order, and sources: source -> {"rows": {split: n}, "labels": {label: {split: cell}},
    "silent": of how many labels it says nothing}."""
    sources: dict[str, Any] = {}
    for cell in cells:
        source = sources.setdefault(cell["source"], {"rows": {}, "labels": {}})
        source["rows"][cell["split"]] = cell["rows"]
        source["labels"].setdefault(cell["label"], {})[cell["split"]] = cell
    for source in sources.values():
        said = {
            label: of_label
            for label, of_label in source["labels"].items()
            if any(cell["known"] for cell in of_label.values())
        }
        source |= {"labels": said, "silent": len(source["labels"]) - len(said)}
    return {"splits": list(dict.fromkeys(cell["split"] for cell in cells)), "sources": sources}


def _passes(run: Finished) -> list[dict[str, Any]]:
    """A line a source: its share of an epoch, and how often a row of it was seen; none from older runs."""
    found = run.locked.get("mixture", [])
    batch = run.locked["recipe"]["train"]["global_batch"]
    per_epoch = -(-sum(line["in_epoch"] for line in found) // batch)
    return [line | {"seen": line["repeats"] * run.final["steps"] / per_epoch} for line in found]
