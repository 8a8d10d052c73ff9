"""The page of a comparison: its document goes in, one HTML file comes out.

It loads nothing, runs no script and holds no text, so it may be passed on.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from train.comparison import cost
from train.comparison.figures import FEWEST_GROUPS
from train.comparison.forest import Forest
from train.comparison.verdict import ANY, TITLES, bare, change, set_title, title
from train.evaluation.intervals import ENOUGH_GROUPS
from train.evaluation.metrics import ENOUGH
from train.evaluation.records import Record, is_whole
from train.files import write_text
from train.report.hardest import visible
from train.report.html import templates

ORDER = ("auprc", "recall", "fpr", "auroc", "f1")
OPEN = 3
"""So many of ORDER are shown unfolded."""


def write(document: Mapping[str, Any], path: Path) -> Path:
    """Write the page, whole or not at all."""
    write_text(path, _render(document))
    return path


def _render(document: Mapping[str, Any]) -> str:
    environment = templates(Path(__file__).parent)
    environment.filters |= {"set_title": set_title, "title": title, "change": change, "visible": visible}
    environment.globals |= {"bare": bare, "cost_shown": cost.shown, "value": _value, "p": _p, "times": _times}
    return environment.get_template("page.html.j2").render(
        document,
        sections=[_sections(pair) for pair in document["pairs"]],
        sides_by={side["letter"]: side for side in document["sides"]},
        costs=[(key, name) for key, name in cost.TITLES.items() if _some(document["sides"], key)],
        titles=TITLES,
        enough=ENOUGH,
        any=ANY,
        enough_groups=ENOUGH_GROUPS,
        fewest_groups=FEWEST_GROUPS,
        open_=OPEN,
        written=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
    )


def _sections(pair: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A section a set: its forests by metric; of whole sets also the slices that differ, and all of them."""
    found = []
    for name in dict.fromkeys(record["set"] for record in pair["figures"]):
        of_set = [record for record in pair["figures"] if record["set"] == name]
        slices = [record for record in pair["slices"] if record["set"] == name]
        found.append(
            {
                "name": name,
                "whole": is_whole(name),
                "of": next(s for s in pair["sets"] if s["set"] == name),
                "forests": [
                    Forest(metric, rows)
                    for metric in ORDER
                    if (rows := [r for r in of_set if r["metric"] == metric])
                ],
                "differ": [record for record in slices if record["outcome"] in ("better", "worse")],
                "slices": _by_slice(slices),
            }
        )
    return found


def _by_slice(records: Sequence[Record]) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(record["slice"], []).append(record)
    return found


def _some(sides: Sequence[Mapping[str, Any]], key: str) -> bool:
    return any(side["cost"][key] is not None for side in sides)


def _value(record: Mapping[str, Any], side: str) -> str:
    """A side's figure: areas in three places, rates as percentages."""
    value = record[side]
    if value is None:
        return "–"
    return f"{value * 100:.1f}%" if record["metric"] in ("recall", "fpr") else f"{value:.3f}"


def _p(value: float | None) -> str:
    return "–" if value is None else "<0.001" if value < 0.001 else f"{value:.3f}"


def _times(values: Mapping[str, Any]) -> str:
    """How many times the first side's figure each other one's is, of one kind of cost."""
    return f"{values['b'] / values['a']:.2f}×" if values["a"] and values["b"] is not None else "–"
