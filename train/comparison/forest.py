"""Differences with their intervals as rows of a table: records go in, one small SVG a row comes out.

All of a table are on one scale. Colours are the page's CSS classes; what counts as equivalent is shaded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from train.comparison.figures import MARGIN, RATES
from train.comparison.verdict import signed
from train.report.svg import Range, room, ticks

WIDTH, HEIGHT = 260, 22
_SIDE = 14


@dataclass(frozen=True)
class Forest:
    """One table's rows on a common scale that holds 0, the margin and every interval."""

    metric: str
    rows: Sequence[Mapping[str, Any]]

    @property
    def scale(self) -> Range:
        ends = [
            row[end] for row in self.rows for end in ("low", "high", "difference") if row[end] is not None
        ]
        return room([*ends, -1.5 * MARGIN, 1.5 * MARGIN], -1.0, 1.0)

    def axis(self) -> Markup:
        """The scale's figures, for the head of the table."""
        parts = []
        for value in ticks(*self.scale, about=3):
            words = (
                "0"
                if abs(value) < 1e-12
                else f"{value * 100:+.3g}"
                if self.metric in RATES
                else f"{value:+.2g}"
            )
            text = Markup('<text class="tick" x="{:.1f}" y="15" text-anchor="middle">{}</text>')
            parts.append(text.format(self._across(value), words.replace("-", "−")))
        return self._svg("scale of the differences", parts)

    def row(self, record: Mapping[str, Any]) -> Markup:
        """A dot at the difference and a line over its 95% interval; nothing where nothing was measured."""
        middle = HEIGHT / 2
        box = Markup('<rect class="margin" x="{:.1f}" y="0" width="{:.1f}" height="{}"/>')
        low, high = self._across(-MARGIN), self._across(MARGIN)
        zero = self._across(0)
        parts = [box.format(low, high - low, HEIGHT), _line(zero, 0, zero, HEIGHT, "zero")]
        if record["difference"] is None:
            return self._svg("not measured", parts)
        said = f"difference {signed(record['difference'], self.metric)}"
        if record["low"] is not None:
            ends = [signed(record[end], self.metric) for end in ("low", "high")]
            said += f", 95% interval {ends[0]} to {ends[1]}"
            ends_at = [self._across(record[end]) for end in ("low", "high")]
            parts.append(_line(ends_at[0], middle, ends_at[1], middle, f"whisker {record['outcome']}"))
        dot = Markup('<circle class="at {}" cx="{:.1f}" cy="{}" r="{}"/>')
        size = 4.5 if record["label"] == "macro" else 3.5
        parts.append(dot.format(record["outcome"], self._across(record["difference"]), middle, size))
        return self._svg(said, parts)

    def _across(self, value: float) -> float:
        low, high = self.scale
        return _SIDE + (WIDTH - 2 * _SIDE) * (value - low) / (high - low)

    def _svg(self, describes: str, parts: Sequence[Markup]) -> Markup:
        opening = Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}"><title>{}</title>')
        return opening.format(WIDTH, HEIGHT, describes, describes) + Markup("").join(parts) + Markup("</svg>")


def _line(x: float, y: float, to_x: float, to_y: float, look: str) -> Markup:
    return Markup('<path class="{}" d="M{:.1f} {}L{:.1f} {}"/>').format(look, x, y, to_x, to_y)
