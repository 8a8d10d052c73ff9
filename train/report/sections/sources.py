"""For whom it works: does a score tell which source a text is from, and could it?"""

from __future__ import annotations

from typing import Any

from train.evaluation.shortcuts import AMONG, Alarm, alarms
from train.report.finished import Finished


def content(run: Finished) -> dict[str, Any] | None:
    areas = any("/source_auc" in key for key in run.figures)
    words = [
        (source, run.value(f"test/any/text_source_auc/source={source}", "positives", "negatives"))
        for _, source in run.found("test", "text_source_auc", "source")
    ]
    if not areas and not words:
        return None
    told = any(key.split("/")[2] in AMONG for key in run.bounds if key.startswith("test/"))
    return {"told": told, "alarms": _by_source(list(alarms(run.figures, run.bounds, "test"))), "words": words}


def _by_source(found: list[Alarm]) -> list[dict[str, Any]]:
    """A line a label and source, its areas by what they are among; learned: both on one side of .5."""
    lines: dict[tuple[str, str], dict[str, Any]] = {}
    for alarm in found:
        line = lines.setdefault(
            (alarm.label, alarm.source),
            {"label": alarm.label, "source": alarm.source, "negatives": None, "positives": None},
        )
        line[alarm.among] = alarm
    for line in lines.values():
        sides = {of.auc > 0.5 for of in (line["negatives"], line["positives"]) if of}
        line["learned"] = line["negatives"] is not None and line["positives"] is not None and len(sides) == 1
    return sorted(lines.values(), key=lambda line: (not line["learned"], line["label"], line["source"]))
