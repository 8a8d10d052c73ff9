"""Growth, drawn: seconds and peak memory by rows and by labels, in one SVG that stands alone."""

from __future__ import annotations

from collections.abc import Mapping
from math import log10
from typing import Any

from train.report.svg import HEIGHT, WIDTH, Chart, Line, room
from train.report.svg import draw as chart

COLOURS = ("#1f5fbf", "#c4541a", "#2a8a55", "#8a4fbf", "#94760a")
STYLE = """
svg { background: #fff; font: 13px system-ui, sans-serif; }
.rule { stroke: #ebebe8; } .axis { stroke: #8a8f95; } .line { fill: none; stroke-width: 2; }
.tick { fill: #5a6067; font-size: 12px; } .title, .named { fill: #1c1e21; font-size: 13px; }
path { fill: none; }
""" + "".join(f".line.c{n} {{ stroke: {c}; }} .dot.c{n} {{ fill: {c}; }}\n" for n, c in enumerate(COLOURS))


def draw_growth(by_rows: Mapping[int, Any], by_labels: Mapping[int, Any]) -> str:
    """by_rows, by_labels: number -> work -> (seconds, peak MB). Both axes are powers of ten."""
    works = [*next(iter(by_rows.values()))]
    parts = []
    for down, (figures, against) in enumerate(((by_rows, "rows"), (by_labels, "labels, 10,000 rows"))):
        for across, (at, what) in enumerate(((0, "seconds"), (1, "peak MB"))):
            lines = [
                Line(
                    [log10(n) for n in figures],
                    [log10(own[work][at]) for own in figures.values()],
                    colour,
                    notes=[f"{work}, {n:,}: {own[work][at]:.3g}" for n, own in figures.items()],
                )
                for colour, work in enumerate(works)
            ]
            drawn = chart(
                Chart(
                    f"{what} by {against}",
                    against,
                    what,
                    room([x for line in lines for x in line.x]),
                    room([y for line in lines for y in line.y]),
                    lines,
                    log=(True, True),
                )
            )
            x, y = across * (WIDTH + 20), 30 + down * (HEIGHT + 10)
            inner = str(drawn).replace("<svg ", f'<svg x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" ', 1)
            parts.append(inner)
    names = "".join(
        f'<text class="named" x="{60 + 150 * n}" y="20"><tspan fill="{COLOURS[n]}">&#9679;</tspan> {work}'
        f"{' (an update)' if work == 'train' else ''}</text>"
        for n, work in enumerate(works)
    )
    width, height = 2 * WIDTH + 20, 2 * HEIGHT + 50
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}">'
    return f"{opening}<style>{STYLE}</style>{names}{''.join(parts)}</svg>\n"
