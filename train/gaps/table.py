"""Gaps for a person: what `finding.find` found goes in, rich tables come out."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from train.gaps.finding import Found

SHOWN = 10
"""Unmeasured places that the table names; unmeasured.json has all."""


def tables(found: Found) -> Iterator[RenderableType]:
    """The gaps, worst first, what is unmeasured, and what could not be looked for."""
    if found.gaps:
        yield _gaps(found.gaps)
        for number, gap in enumerate(found.gaps, 1):
            yield Text.assemble((f"{number}. ", "bold"), _said(gap))
    else:
        yield Text("no gap that chance does not explain")
    if found.unmeasured:
        yield _unmeasured(found.unmeasured)
    for note in found.notes:
        yield Text(f"not looked for: {note}", style="yellow")


def _gaps(gaps: list[dict[str, Any]]) -> Table:
    drawn = _empty("gaps, most harmful first (harm: tier x share of texts at stake x shortfall)")
    drawn.add_column("", justify="right", no_wrap=True)
    drawn.add_column("label, where; cause", overflow="fold")
    for header in ("value (95%)", "target", "n", "harm"):
        drawn.add_column(header, justify="right", no_wrap=True)
    for number, gap in enumerate(gaps, 1):
        low, high = gap["ci"] or (None, None)
        interval = f" ({low:.2f}–{high:.2f})" if low is not None else ""
        drawn.add_row(
            str(number),
            Text.assemble((gap["label"], "bold"), f", {_where(gap)}; {gap['cause'].replace('_', ' ')}"),
            f"{gap['metric']} {gap['value']:.2f}{interval}",
            _sign(gap) + f"{gap['target']:.2g}",
            f"{gap['n']:,}",
            f"{gap['harm']:.3f}",
        )
    return drawn


def _said(gap: dict[str, Any]) -> str:
    action = gap["action"]
    rows = f" {action['rows']:,} rows:" if action["rows"] else ":"
    also = [found["cause"] for found in gap["evidence"][1:] if found["cause"] != gap["cause"]]
    more = f" (also: {', '.join(dict.fromkeys(also))})" if also else ""
    return f"{gap['evidence'][0]['says']}{more}\n   {action['kind']}{rows} {action['filter']}"


def _unmeasured(places: list[dict[str, Any]]) -> Table:
    drawn = _empty(f"unmeasured, which is not a pass: {len(places):,} figures with too few texts to tell")
    for header in ("label", "where", "figure"):
        drawn.add_column(header, overflow="fold")
    for header in ("texts", "needed"):
        drawn.add_column(header, justify="right")
    for place in places[:SHOWN]:
        figure = f"{place['metric']} {_sign(place)}{place['target']:.2g}"
        drawn.add_row(
            Text(place["label"]), Text(_where(place)), figure, f"{place['n']:,}", f"{place['needed']:,}"
        )
    if len(places) > SHOWN:
        drawn.add_row(f"and {len(places) - SHOWN:,} more in unmeasured.json", "", "", "", "")
    return drawn


def _where(place: dict[str, Any]) -> str:
    return f"{place['set']} {place['slice'] or ''}".strip()


def _sign(place: dict[str, Any]) -> str:
    return "≥ " if place["metric"] == "recall" else "≤ "


def _empty(title: str) -> Table:
    return Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", show_edge=False, padding=0)
