"""One set's figures as a table for the terminal: `measure` and `intervals` go in, a rich Table comes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from train.evaluation.metrics import ENOUGH
from train.evaluation.records import Record, any_flag, by_label, macro, of_several_sources

_NONE = "–"


def table(figures: Mapping[str, Any], intervals: Mapping[str, tuple[float, float]], name: str) -> Table:
    """A row a label of set `name`: AUPRC beside the prevalence (what a coin would reach) with its interval,
    AUROC (also within sources where there are several), and recall, FPR and F1 at the operating point. Fits
    80 columns; the macro line stands last."""
    records = by_label(figures, intervals, name)
    within = of_several_sources(records)
    caption = _caption(name, within)
    drawn = Table(title=Text(name), caption=caption, box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    drawn.title_justify = drawn.caption_justify = "left"
    drawn.add_column("label", overflow="fold")
    rates = ("recall", "FPR", "F1")
    for header in ("n", "pos", "base", "AUPRC (95%)", "AUROC", *["within"] * within, *rates):
        drawn.add_column(header, justify="right", no_wrap=True)
    for record in records:
        drawn.add_row(*_label(record, within))
    if (allowed := any_flag(figures, intervals, name))["n"]:
        between = [""] * (5 + within)
        drawn.add_row("any flag (allowed)", str(allowed["n"]), *between, _number(allowed["fpr"], 3), "")
    drawn.add_row(*_macro(macro(figures, intervals, name), within), style="bold")
    return drawn


def overview(
    figures: Mapping[str, Any], intervals: Mapping[str, tuple[float, float]], names: Sequence[str]
) -> Table:
    """A row a suite: how many of its harmful texts are found, how many of its allowed ones are flagged."""
    drawn = Table(title=Text("suites"), box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    drawn.title_justify = drawn.caption_justify = "left"
    drawn.caption = f"at the operating points; – under {ENOUGH} texts"
    drawn.add_column("suite", overflow="fold")
    for header in ("harmful", "found (95%)", "allowed", "flagged (95%)"):
        drawn.add_column(header, justify="right", no_wrap=True)
    for name in names:
        record = any_flag(figures, intervals, name)
        found, flagged = (_rate(record, metric) for metric in ("recall", "fpr"))
        counts = (f"{record[count]:,}" for count in ("positives", "negatives"))
        drawn.add_row(Text(name), next(counts), found, next(counts), flagged)
    return drawn


def _rate(record: Record, metric: str) -> str:
    value, low, high = (record[f"{metric}{end}"] for end in ("", "_low", "_high"))
    return _number(value, 3) if low is None else f"{value:.3f} ({low:.3f}–{high:.3f})"


def _label(record: Record, within: bool) -> list[str | Text]:
    positives, negatives = record["positives"], record["negatives"]
    counts: list[str | Text] = [Text(record["label"]), str(record["n"]), str(positives)]
    counts.append(_number(record["prevalence"], 3))
    recall, fpr = _number(record["recall"]), _number(record["fpr"], 3)
    if not record["sufficient"]:
        few = f"{positives}+" if positives < ENOUGH else f"{negatives}−"
        areas: list[str | Text] = [Text(f"insufficient ({few})", style="yellow"), *[_NONE] * (1 + within)]
        return [*counts, *areas, recall, fpr, _NONE]
    areas = [_with_interval(record), _number(record["auroc"])]
    areas += [_number(record["auroc_within"])] * within
    return [*counts, *areas, recall, fpr, _number(record["f1"])]


def _macro(record: Record, within: bool) -> list[str]:
    count = record["labels"]
    name = f"macro ({count} label{'s' * (count != 1)})"
    auroc, f1 = _number(record["auroc"]), _number(record["f1"])
    return [name, "", "", "", _with_interval(record), auroc, *[""] * within, "", "", f1]


def _with_interval(record: Record) -> str:
    value, low, high = _number(record["auprc"]), record["auprc_low"], record["auprc_high"]
    return value if low is None else f"{value} ({low:.2f}–{high:.2f})"


def _number(value: float | None, places: int = 2) -> str:
    return _NONE if value is None else f"{value:.{places}f}"


def _caption(name: str, within: bool) -> str:
    lines = [f"base: AUPRC of a coin; insufficient: under {ENOUGH} positives (+) or negatives (−)"]
    if within:
        lines.append("within: AUROC of pairs from one source; AUROC also rewards telling sources apart")
    if "synthetic" in name:
        lines.insert(0, "synthetic text: proves the plumbing, not the world")
    return "\n".join(lines)
