"""The page's curves: figures and predictions of a run go in, charts come out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from train.evaluation.curves import calibration, precision_recall
from train.evaluation.metrics import ENOUGH, decided
from train.evaluation.predictions import Predictions
from train.evaluation.records import Record
from train.evaluation.routing import risk_coverage as routed
from train.report.svg import Chart, Line, draw, room

BUCKETS = 150
"""Stretches of updates the loss curve is drawn in: its mean a stretch, before its smallest and largest."""
COLOURS = 8

History = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Figure:
    """A drawn chart with its caption, and the names of its lines with their colours."""

    title: str
    drawing: Markup | None
    caption: str
    legend: Sequence[tuple[int, str]] = ()


def loss(history: History, selected: int) -> Figure:
    """train/loss of each update, in at most BUCKETS stretches of equal length."""
    points = [(r["step"], r["train/loss"]) for r in history if r.get("train/loss") is not None]
    if not points:
        return Figure("Training loss", None, "no update was logged")
    steps, values = (np.array(column, dtype=np.float64) for column in zip(*points, strict=True))
    edges = np.unique(np.linspace(0, len(steps), min(BUCKETS, len(steps)) + 1).astype(int))[:-1]
    sizes = np.diff(np.append(edges, len(steps)))
    x, mean = (np.add.reduceat(column, edges) / sizes for column in (steps, values))
    low, high = np.minimum.reduceat(values, edges), np.maximum.reduceat(values, edges)
    title = "Training loss"
    chart = Chart(
        f"{title} over {len(steps)} updates, from {mean[0]:.3f} to {mean[-1]:.3f}",
        "update",
        "loss",
        room(steps, floor=0),
        room(np.append(low, high), floor=0),
        [Line(x, mean)],
        band=(x, low, high),
        mark=(selected, "selected"),
    )
    each = int(sizes.max())
    caption = f"n = {len(steps):,} updates" + (f", mean and range of every {each}" if each > 1 else "")
    return Figure(title, draw(chart), caption)


def progress(history: History, metric: str, selected: int) -> Figure:
    """The metric that selects checkpoints, and its labels' own, at each evaluation."""
    held_out, chosen, kind = metric.split("/")
    judged = [r for r in history if metric in r]
    of = [key.split("/")[1] for key in (judged[-1] if judged else {}) if _is_label(key, held_out)]
    names = [chosen, *(label for label in of if label != chosen)]
    lines, legend = [], []
    for number, name in enumerate(names):
        points = [(r["step"], r[key]) for r in judged if _measured(r, key := f"{held_out}/{name}/{kind}")]
        if not points:
            continue
        colour = 0 if not number else 1 + (number - 1) % (COLOURS - 1)
        x, y = zip(*points, strict=True)
        lines.append(Line(x, y, colour, notes=[f"{name}, step {a}: {b:.4f}" for a, b in points]))
        legend.append((colour, _of_dev(judged[-1], held_out, name)))
    title = f"{kind.upper()} on {held_out}"
    if not lines:
        return Figure(title, None, f"insufficient: under {ENOUGH} positives or negatives in {held_out}")
    steps = [r["step"] for r in history]
    chart = Chart(
        f"{title} of {', '.join(names)} at {len(judged)} checkpoints; step {selected} was selected",
        "update",
        kind.upper(),
        room(steps, floor=0),
        room([y for line in lines for y in line.y], floor=0, ceiling=1.02),
        lines[::-1],  # the selecting metric above the others
        mark=(selected, "selected"),
    )
    return Figure(title, draw(chart), f"{len(judged)} checkpoints were judged", legend)


def ranking(predictions: Predictions, record: Record, point: Mapping[str, Any]) -> Figure:
    """Precision over recall of one label, and where its threshold lies."""
    label, title = record["label"], "Precision and recall"
    counts = f"{record['positives']:,} positives, {record['negatives']:,} negatives"
    if not record["sufficient"]:
        return Figure(title, None, f"insufficient: {counts}")
    recall, precision = precision_recall(predictions, label)
    flagged = record["precision"] is not None
    ring = (record["recall"], record["precision"], f"threshold {point['threshold']:.4f}") if flagged else None
    chart = Chart(
        f"{title} of {label}: area {record['auprc']:.3f}, base rate {record['prevalence']:.3f}",
        "recall",
        "precision",
        (0, 1),
        (0, 1),
        [Line(recall, precision, steps=True)],
        level=record["prevalence"],
        point=ring,
    )
    return Figure(title, draw(chart), f"{counts}. Dashed: base rate. Ring: operating point")


def reliability(predictions: Predictions, record: Record) -> Figure:
    """How often a label holds where the model says p, in the bins of ECE."""
    label, title = record["label"], "Calibration"
    if not record["sufficient"]:
        counts = f"{record['positives']:,} positives, {record['negatives']:,} negatives"
        return Figure(title, None, f"insufficient: {counts}")
    rows, said, seen = calibration(predictions, label)
    notes = [f"{n:,} texts: said {p:.3f}, labelled {q:.3f}" for n, p, q in zip(rows, said, seen, strict=True)]
    top = min(1.0, 1.1 * float(max(said.max(), seen.max())))  # a rare label's bins lie close to 0
    chart = Chart(
        f"{title} of {label}: expected calibration error {record['ece']:.3f}",
        "mean score",
        "share labelled",
        (0, top),
        (0, top),
        [Line(said, seen, notes=notes)],
        diagonal=True,
    )
    each = f"{rows.min():,}" + (f" to {rows.max():,}" if rows.max() > rows.min() else "")
    return Figure(title, draw(chart), f"{len(rows)} bins of {each} texts, n = {int(rows.sum()):,}")


def risk_coverage(predictions: Predictions, label: str, area: float) -> Figure:
    """How many of the surest decisions are wrong; `area`: the AURC of the run."""
    covered, wrong = routed(predictions, label)
    title = f"Wrong decisions: {label}"
    chart = Chart(
        f"{title}: {wrong[-1]:.1%} of all, {area:.1%} on average over all shares decided",
        "share decided by the machine, the surest first",
        "share of them wrong",
        (0, 1),
        room(wrong, floor=0, ceiling=1),
        [Line(covered, wrong)],
    )
    n = int(decided(predictions.targets[:, predictions.labels.index(label)]).sum())
    return Figure(title, draw(chart), f"n = {n:,} texts; at the right, people decide none")


def turns(label: str, seen: Mapping[int, Any]) -> Figure:
    """Conversations found by the k-th turn, as counts; `seen`: turns -> the share of them, a Value."""
    title = f"Found by turn: {label}"
    known = {turn: value for turn, value in seen.items() if value.value is not None}
    if not known:
        return Figure(title, None, "insufficient: no harmful conversation")
    x, values = list(known), list(known.values())
    n = values[0].n
    sure = [value for value in values if value.low is not None]
    band = (x, [v.low * n for v in values], [v.high * n for v in values]) if len(sure) == len(x) else None
    notes = [f"after turn {k}: {value.count} of {n}" for k, value in known.items()]
    chart = Chart(
        f"{title}: {values[0].count} of {n} after the first turn, {values[-1].count} after turn {x[-1]}",
        "turns read",
        "conversations found",
        (0, max(x) + 0.5),
        (0, n * 1.04),
        [Line(x, [value.count for value in values], notes=notes)],
        band=band,
    )
    return Figure(
        title, draw(chart), f"n = {n} harmful conversations" + (", with 95% interval" if band else "")
    )


def _is_label(key: str, held_out: str) -> bool:
    return key.startswith(f"{held_out}/") and key.endswith("/positives") and key.count("/") == 2


def _measured(record: Mapping[str, Any], key: str) -> bool:
    """Whether there were enough positives and negatives; a macro figure is None where there were not."""
    label = key.rsplit("/", 1)[0]
    return record.get(key) is not None and bool(record.get(f"{label}/sufficient", True))


def _of_dev(record: Mapping[str, Any], held_out: str, name: str) -> str:
    if name == "macro":
        return f"macro of {record[f'{held_out}/macro/labels']} labels"
    n, positives = record[f"{held_out}/{name}/n"], record[f"{held_out}/{name}/positives"]
    return f"{name} (n = {n:,}, {positives:,} positive)"
