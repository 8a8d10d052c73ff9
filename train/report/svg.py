"""Line charts as inline SVG: numbers go in, markup comes out. Colours are the page's CSS classes.

No coordinates but the data's are in the markup's text, and every text is escaped.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

WIDTH, HEIGHT = 420, 270
_LEFT, _RIGHT, _TOP, _BOTTOM = 50, 14, 22, 42

Range = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """Points joined by a line, or by steps that reach back from each point to the one before."""

    x: Sequence[float] | Any
    y: Sequence[float] | Any
    colour: int = 0
    """Class c0 to c7 of the page's style."""
    steps: bool = False
    joined: bool = True
    notes: Sequence[str] = ()
    """A dot at each point, with this text when the pointer rests on it."""


@dataclass(frozen=True)
class Chart:
    """What is drawn; `describes` is read aloud in its place."""

    describes: str
    x_title: str
    y_title: str
    x: Range
    y: Range
    lines: Sequence[Line] = ()
    band: tuple[Any, Any, Any] | None = None
    """(x, low, high): an area behind the lines."""
    level: float | None = None
    """A dashed horizontal line."""
    diagonal: bool = False
    mark: tuple[float, str] | None = None
    """A vertical line at x, and its name."""
    point: tuple[float, float, str] | None = None
    """A ring at (x, y), and its note."""
    log: tuple[bool, bool] = (False, False)
    """Of x and y: values are given as their log10, and the axis tells what they stand for."""

    @property
    def scale(self) -> _Scale:
        return _Scale(self.x, self.y)


@dataclass(frozen=True)
class _Scale:
    x: Range
    y: Range

    def across(self, value: float) -> float:
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * (value - self.x[0]) / (self.x[1] - self.x[0])

    def down(self, value: float) -> float:
        return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * (value - self.y[0]) / (self.y[1] - self.y[0])

    def at(self, x: float, y: float) -> str:
        return f"{self.across(x):.1f} {self.down(y):.1f}"


def draw(chart: Chart) -> Markup:
    """One <svg> of WIDTH to HEIGHT that grows and shrinks with its box."""
    parts = [*_axes(chart)]
    if chart.band is not None:
        parts.append(_area(chart))
    if chart.diagonal:
        low, high = max(chart.x[0], chart.y[0]), min(chart.x[1], chart.y[1])
        parts.append(_path([chart.scale.at(low, low), chart.scale.at(high, high)], "level"))
    if chart.level is not None:
        ends = [chart.scale.at(x, chart.level) for x in chart.x]
        parts.append(_path(ends, "level"))
    if chart.mark is not None:
        parts += _mark(chart, *chart.mark)
    for line in chart.lines:
        parts += _line(chart, line)
    if chart.point is not None:
        x, y, note = chart.point
        parts.append(_dot(chart, x, y, "ring", note, 6))
    opening = Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">').format(
        WIDTH, HEIGHT, chart.describes
    )
    return opening + Markup("").join(parts) + Markup("</svg>")


def whisker(value: float, low: float | None, high: float | None, scale: Range, describes: str) -> Markup:
    """A row of a table drawn: a dot at the value, a line over its interval, and where 0 is on the scale."""
    width, middle, side = 150, 9, 6

    def across(of: float) -> float:
        return side + (width - 2 * side) * (of - scale[0]) / (scale[1] - scale[0])

    parts = [_path([f"{across(0):.1f} 0", f"{across(0):.1f} {2 * middle}"], "axis")]
    if low is not None and high is not None:
        parts.append(_path([f"{across(low):.1f} {middle}", f"{across(high):.1f} {middle}"], "line c0"))
    dot = Markup('<circle class="dot c0" cx="{:.1f}" cy="{}" r="4"/>').format(across(value), middle)
    opening = Markup('<svg class="whisker" viewBox="0 0 {} {}" role="img" aria-label="{}">')
    return opening.format(width, 2 * middle, describes) + Markup("").join([*parts, dot]) + Markup("</svg>")


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round values from low to high, 1, 2 or 5 times a power of ten apart."""
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    return [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]


def room(values: Any, floor: float | None = None, ceiling: float | None = None) -> Range:
    """A range that holds all finite values with a little room, cut at floor and ceiling."""
    found = np.asarray(values, dtype=np.float64)
    found = found[np.isfinite(found)]
    low, high = (float(found.min()), float(found.max())) if len(found) else (0.0, 1.0)
    space = (high - low) * 0.08 or abs(high) * 0.1 or 1.0
    low, high = low - space, high + space
    low = low if floor is None else max(low, floor)
    high = high if ceiling is None else min(high, ceiling)
    return (low, high) if low < high else (low - 0.5, low + 0.5)


def _axes(chart: Chart) -> Iterator[Markup]:
    scale, bottom, right = chart.scale, HEIGHT - _BOTTOM, WIDTH - _RIGHT
    for value, words in _named(chart.y, chart.log[1]):
        y = scale.down(value)
        yield _path([f"{_LEFT} {y:.1f}", f"{right} {y:.1f}"], "rule")
        yield _text(_LEFT - 7, y + 4, words, "end")
    for value, words in _named(chart.x, chart.log[0]):
        yield _text(scale.across(value), bottom + 17, words, "middle")
    yield _path([f"{_LEFT} {bottom}", f"{right} {bottom}"], "axis")
    yield _text((_LEFT + right) / 2, HEIGHT - 6, chart.x_title, "middle", "title")
    upright = Markup('<g transform="translate(13 {:.1f}) rotate(-90)">{}</g>')
    yield upright.format((_TOP + bottom) / 2, _text(0, 0, chart.y_title, "middle", "title"))


def _named(of: Range, log: bool) -> list[tuple[float, str]]:
    """Where an axis has its ticks, and their words."""
    if not log:
        return [(value, _number(value)) for value in ticks(*of)]
    powers = range(math.floor(of[0]), math.ceil(of[1]) + 1)
    decades = of[1] - of[0]
    within = (1, 1.5, 2, 3, 5, 7) if decades < 1 else (1, 2, 5) if decades < 2 else (1,)
    found = [(k + math.log10(m), _number(m * 10.0**k)) for k in powers for m in within]
    return [(value, words) for value, words in found if of[0] <= value <= of[1]]


def _area(chart: Chart) -> Markup:
    assert chart.band is not None
    x, low, high = chart.band
    there = [chart.scale.at(a, b) for a, b in zip(x, high, strict=True)]
    back = [chart.scale.at(a, b) for a, b in zip(x, low, strict=True)][::-1]
    return _path([*there, *back, "Z"], "band")


def _mark(chart: Chart, x: float, name: str) -> list[Markup]:
    across = chart.scale.across(x)
    right = across > WIDTH * 0.6
    line = _path([f"{across:.1f} {_TOP}", f"{across:.1f} {HEIGHT - _BOTTOM}"], "mark")
    return [line, _text(across, _TOP - 7, name, "end" if right else "start", "marked")]  # above the lines


def _line(chart: Chart, line: Line) -> list[Markup]:
    points = [(float(x), float(y)) for x, y in zip(line.x, line.y, strict=True)]
    parts = []
    if line.joined and points:
        corners = []
        for number, (x, y) in enumerate(points):
            if line.steps:
                before = points[number - 1][0] if number else chart.x[0]
                corners.append(chart.scale.at(before, y))
            corners.append(chart.scale.at(x, y))
        parts.append(_path(corners, f"line c{line.colour}"))
    for (x, y), note in zip(points, line.notes, strict=False):
        parts.append(_dot(chart, x, y, f"dot c{line.colour}", note, 3.5))
    return parts


def _dot(chart: Chart, x: float, y: float, look: str, note: str, size: float) -> Markup:
    dot = Markup('<circle class="{}" cx="{:.1f}" cy="{:.1f}" r="{}"><title>{}</title></circle>')
    return dot.format(look, chart.scale.across(x), chart.scale.down(y), size, note)


def _path(points: Sequence[str], look: str) -> Markup:
    closed = points[-1] == "Z"
    corners = "L".join(points[:-1] if closed else points)
    return Markup('<path class="{}" d="M{}{}"/>').format(look, corners, "Z" if closed else "")


def _text(x: float, y: float, words: str, anchor: str, look: str = "tick") -> Markup:
    text = Markup('<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>')
    return text.format(look, x, y, anchor, words)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value + 0.0:.3g}"  # + 0.0: -0.0 is 0
