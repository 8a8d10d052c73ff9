"""A comparison on the terminal: its document goes in, what rich prints comes out, the verdict first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from rich import box
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from train.comparison import cost
from train.comparison.verdict import bare, change, set_title
from train.evaluation.records import Record, is_whole

MARKS = {
    "better": ("✓", "green"),
    "worse": ("✗", "red"),
    "equivalent": ("=", "cyan"),
    "open": ("?", "yellow"),
    "insufficient": ("–", "dim"),
}
MOST = 12
"""Differing keys that are listed; the page has all."""


def shown(document: Mapping[str, Any]) -> Iterator[Any]:
    """What to print, in order."""
    for pair in document["pairs"]:
        yield from _verdict(pair["verdict"])
        yield Text()
        for side in document["sides"]:
            if side["letter"] in (pair["a"], pair["b"]):
                runs = ", ".join(run["name"] for run in side["runs"])
                several = f" ({runs})" if len(side["runs"]) > 1 else ""
                yield Text.assemble((side["letter"], "bold"), f"  {side['name']}{several}")
        for name in dict.fromkeys(record["set"] for record in pair["figures"]):
            if is_whole(name):
                yield _figures(name, pair)
        yield Text(
            "✓ B better  ✗ worse  = equivalent within the margin  ? cannot be told  – too few texts\n"
            "labels: marked after Holm's correction; recall and FPR in percentage points, at the thresholds",
            style="dim",
        )
        yield from _differs(pair)
        yield from _left_out(pair)
    yield _cost(document["sides"])


def _verdict(verdict: Mapping[str, Any]) -> Iterator[Any]:
    yield Text(verdict["headline"], style="bold")
    yield Text(verdict["scope"])
    for line in verdict["lines"]:
        mark, style = MARKS[line["outcome"]]
        if line["text"] != verdict["headline"]:
            yield Text.assemble((f"{mark} ", style), line["text"])
        for said in line["changes"]:
            yield Padding(Text(said), (0, 0, 0, 2))


def _figures(name: str, pair: Mapping[str, Any]) -> Table:
    """A row a label: AUPRC of both sides and its difference, then the differences of the rates."""
    found: dict[str, dict[str, Record]] = {}
    for record in pair["figures"]:
        if record["set"] == name:
            found.setdefault(record["label"], {})[record["metric"]] = record
    a, b = pair["a"], pair["b"]
    table = Table(
        title=Text(f"\n{set_title(name)} ({name})"), box=box.SIMPLE_HEAD, padding=(0, 0), show_edge=False
    )
    table.title_justify = "left"
    table.add_column("label", overflow="fold")
    for header in ("pos", f"AUPRC {a}", b, f"{b} − {a} (95%)", "Δ recall", "Δ FPR"):
        table.add_column(header, justify="right", no_wrap=True)
    for label, metrics in found.items():
        area = metrics.get("auprc")
        positives = metrics["recall"]["positives"] if "recall" in metrics else ""
        areas = [_number(area["a"]), _number(area["b"]), _difference(area)] if area else ["", "", ""]
        rates = [_rate(metrics.get(metric)) for metric in ("recall", "fpr")]
        style = "bold" if label == "macro" else ""
        table.add_row(Text(label), str(positives), *areas, *rates, style=style)
    return table


def _difference(record: Record) -> Text:
    mark, style = MARKS[record["outcome"]]
    if record["low"] is None:
        return Text(f"{'' if record['a'] is None else change(record)} {mark}", style=style)
    ends = " ".join(bare(record[end], record["metric"]) for end in ("low", "high"))
    return Text(f"{change(record)} ({ends}) {mark}", style=style)


def _rate(record: Record | None) -> Text:
    if record is None:
        return Text()
    mark, style = MARKS[record["outcome"]]
    said = "" if record["a"] is None else bare(record["difference"], record["metric"])
    return Text(f"{said} {mark}".strip(), style=style)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _differs(pair: Mapping[str, Any]) -> Iterator[Any]:
    records = pair["differs"]
    if not records:
        yield Text("\nrecipe and lock are the same but for the training seed")
        return
    table = Table(title=Text("\nwhat differs"), box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.title_justify = "left"
    for header in ("", pair["a"], pair["b"]):
        table.add_column(header, overflow="fold")
    for record in islice(records, MOST):
        table.add_row(*(Text(str(record[key])) for key in ("key", "a", "b")))
    if len(records) > MOST:
        table.add_row(Text(f"and {len(records) - MOST} more: --html, --json", style="dim"))
    yield table


def _left_out(pair: Mapping[str, Any]) -> Iterator[Text]:
    for out in pair["left_out"]:
        what = ", ".join(filter(None, (out["set"], out["label"])))
        yield Text(f"left out: {what}: {out['reason']}", style="dim")


def _cost(sides: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(
        title=Text("\ncost, mean of the runs"), box=box.SIMPLE_HEAD, padding=(0, 2, 0, 0), show_edge=False
    )
    table.title_justify = "left"
    table.add_column("")
    for side in sides:
        table.add_column(side["letter"], justify="right")
    for key, title in cost.TITLES.items():
        values = [side["cost"][key] for side in sides]
        if any(value is not None for value in values):
            table.add_row(title, *(cost.shown(key, value) for value in values))
    return table
