"""One set's figures as a table for the terminal: `measure` and `intervals` go in, a rich Table comes out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from rich import box
from rich.table import Table
from rich.text import Text

from train.evaluation.metrics import ENOUGH

_NONE = "–"


def table(figures: Mapping[str, Any], intervals: Mapping[str, tuple[float, float]], name: str) -> Table:
    """A row a label of set `name`: AUPRC beside the prevalence (what a coin would reach) with its interval,
    AUROC, and recall, FPR and F1 at the operating point. Fits 80 columns; the macro line stands last."""
    drawn = Table(title=Text(name), caption=_caption(name), box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    drawn.title_justify = drawn.caption_justify = "left"
    drawn.add_column("label", overflow="fold")
    for header in ("n", "pos", "base", "AUPRC (95%)", "AUROC", "recall", "FPR", "F1"):
        drawn.add_column(header, justify="right", no_wrap=True)
    for label in _labels(figures, name):
        drawn.add_row(*_label(figures, intervals, f"{name}/{label}", label))
    if figures.get(f"{name}/any/n"):
        share = _number(figures[f"{name}/any/fpr"], 3)
        drawn.add_row("any flag (allowed)", str(figures[f"{name}/any/n"]), *[""] * 5, share, "")
    drawn.add_row(*_macro(figures, intervals, name), style="bold")
    return drawn


def shown(sets: Iterable[str]) -> list[str]:
    """The sets worth a table: those of single sources only where there are several."""
    names = list(dict.fromkeys(sets))
    whole = [name for name in names if name.removesuffix(".synthetic").count(".") == 0]
    parts = [name for name in names if name not in whole]
    return whole + (parts if len(parts) > 1 else [])


def _labels(figures: Mapping[str, Any], name: str) -> list[str]:
    """In the order of the figures, which is the recipe's."""
    parts = [key.removeprefix(f"{name}/").split("/") for key in figures if key.startswith(f"{name}/")]
    return [part[0] for part in parts if len(part) == 2 and part[1] == "positives"]


def _label(
    figures: Mapping[str, Any], intervals: Mapping[str, tuple[float, float]], key: str, label: str
) -> list[str | Text]:
    positives, negatives = figures[f"{key}/positives"], figures[f"{key}/negatives"]
    counts: list[str | Text] = [Text(label), str(figures[f"{key}/n"]), str(positives)]
    counts.append(_number(figures[f"{key}/prevalence"], 3))
    # Recall rests on the positives alone and FPR on the negatives: each stands where there are enough.
    recall = _number(figures[f"{key}/recall"]) if positives >= ENOUGH else _NONE
    fpr = _number(figures[f"{key}/fpr"], 3) if negatives >= ENOUGH else _NONE
    if not figures[f"{key}/sufficient"]:
        few = f"{positives}+" if positives < ENOUGH else f"{negatives}−"
        return [*counts, Text(f"insufficient ({few})", style="yellow"), _NONE, recall, fpr, _NONE]
    auprc = _with_interval(figures, intervals, f"{key}/auprc")
    auroc, f1 = (_number(figures[f"{key}/{metric}"]) for metric in ("auroc", "f1"))
    return [*counts, auprc, auroc, recall, fpr, f1]


def _macro(figures: Mapping[str, Any], intervals: Mapping[str, tuple[float, float]], name: str) -> list[str]:
    count = figures.get(f"{name}/macro/labels", 0)
    auprc = _with_interval(figures, intervals, f"{name}/macro/auprc")
    auroc, f1 = (_number(figures.get(f"{name}/macro/{metric}")) for metric in ("auroc", "f1"))
    return [f"macro ({count} label{'s' * (count != 1)})", "", "", "", auprc, auroc, "", "", f1]


def _with_interval(figures: Mapping[str, Any], intervals: Mapping[str, tuple[float, float]], key: str) -> str:
    value = _number(figures.get(key))
    if key not in intervals:
        return value
    low, high = intervals[key]
    return f"{value} ({low:.2f}–{high:.2f})"


def _number(value: float | None, places: int = 2) -> str:
    return _NONE if value is None else f"{value:.{places}f}"


def _caption(name: str) -> str:
    lines = [f"base: AUPRC of a coin; insufficient: under {ENOUGH} positives (+) or negatives (−)"]
    if "synthetic" in name:
        lines.insert(0, "synthetic text: proves the plumbing, not the world")
    return "\n".join(lines)
