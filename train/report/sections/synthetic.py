"""For whom it works: made text against the world's, and how much real text each label would flag."""

from __future__ import annotations

from typing import Any

from train.report.finished import Finished, Value

GAPS = ("recall_gap", "fpr_gap", "auroc_gap")


def content(run: Finished) -> dict[str, Any] | None:
    gaps = [
        {
            "label": label,
            **{m: run.value(f"test/{label}/{m}/synthetic=true", "positives", "negatives") for m in GAPS},
        }
        for label, _ in run.found("test", "auroc_gap", "synthetic")
    ]
    flags: list[tuple[str, Value]] = [
        (label, value)
        for label in run.final["labels"]
        if (value := run.value(f"test/{label}/flags_per_1000", "texts")).n
    ]
    flags.sort(key=lambda line: -(line[1].value or 0))
    every = run.value("test/any/flags_per_1000", "texts")
    if not gaps and not every.n:
        return None
    return {"gaps": gaps, "flags": flags, "any": every if every.n else None}
