"""The page of a sweep: its document goes in, one HTML file comes out that loads nothing and holds no text."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from markupsafe import Markup

from train.files import write_text
from train.report.hardest import visible
from train.report.html import templates
from train.report.svg import Chart, Line, draw, room
from train.sweep.table import UNLIKE, figure, title

COLOURS = {"done": 0, "pruned": 7, "failed": 6}
"""Of the page's style, by what became of a run; the first of the ranking is drawn in the colour BEST."""
BEST = 2
FEW = 4
"""Values, from which on they are drawn."""


def write(document: Mapping[str, Any], path: Path, comparison: str | None) -> Path:
    """Write the page, whole or not at all. comparison: the page beside it that has the best runs' test
    figures, if there is one."""
    environment = templates(Path(__file__).parent)
    environment.filters |= {"visible": visible, "figure": figure}
    said = environment.get_template("sweep.html.j2").render(
        document,
        title=title(document),
        curves=curves(document),
        by_key=[(key, by_value(document, key), scatter(document, key)) for key in document["keys"]],
        comparison=comparison,
        unlike=UNLIKE,
        written=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
    )
    write_text(path, said)
    return path


def curves(document: Mapping[str, Any]) -> Markup | None:
    """Every run's dev figure at each of its evaluations; None where nothing was measured."""
    lines = []
    for rank, row in enumerate(document["runs"]):
        points = [(step, value) for step, value in row["curve"] if value is not None]
        if points:
            x, y = zip(*points, strict=True)
            colour = COLOURS[row["status"]] if rank else BEST
            said = _said(row)
            lines.append(Line(x, y, colour, notes=[f"{said}; step {a}: {b:.4f}" for a, b in points]))
    if not lines:
        return None
    metric = document["metric"]
    return draw(
        Chart(
            f"{metric} of {len(lines)} runs at their evaluations",
            "update",
            metric,
            room([x for line in lines for x in line.x], floor=0),
            room([y for line in lines for y in line.y], floor=0, ceiling=1.02),
            lines[::-1],  # the best one above the others
        )
    )


def scatter(document: Mapping[str, Any], key: str) -> Markup | None:
    """A dot a run: a number against the figure; by its logarithm where the greatest is 20 times the least.
    None where it is no number, or has few values, which a table tells better."""
    there = [
        (row["numbers"][key], row["figure"], row)
        for row in document["runs"]
        if row["figure"] is not None and row["numbers"][key] is not None
    ]
    values = [value for value, _, _ in there]
    if len(there) != sum(row["figure"] is not None for row in document["runs"]) or len({*values}) < FEW:
        return None
    log = min(values) > 0 and max(values) >= 20 * min(values)
    x = [math.log10(value) if log else value for value in values]
    dots = [
        Line([at], [y], COLOURS[row["status"]], joined=False, notes=[f"{_said(row)}: {y:.4f}"])
        for at, (_, y, row) in zip(x, there, strict=True)
    ]
    y = [figure for _, figure, _ in there]
    return draw(
        Chart(
            f"{document['metric']} of {len(dots)} runs by {key}",
            key,
            document["metric"],
            room(x),
            room(y, floor=0, ceiling=1.02),
            dots[::-1],
            log=(log, False),
        )
    )


def by_value(document: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """Of a key with few values: value, runs, best and median figure of those that have one."""
    found: dict[str, list[float]] = {}
    for row in document["runs"]:
        own = found.setdefault(row["values"][key], [])
        if row["figure"] is not None:
            own.append(row["figure"])
    if len(found) > 12:
        return []
    return [
        {
            "value": value,
            "runs": len(own),
            "best": max(own, default=None),
            "median": median(own) if own else None,
        }
        for value, own in sorted(found.items(), key=lambda pair: -max(pair[1], default=-1.0))
    ]


def _said(row: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in row["values"].items())
