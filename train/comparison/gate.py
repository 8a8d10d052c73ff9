"""A gate's question: is a run no worse than its baseline, on the same texts, by more than so much?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from train.comparison.figures import AREAS, LOWER_IS_BETTER, RATES, compared
from train.comparison.shared import of_labels, predicted, shared
from train.errors import InputError, Problem
from train.evaluation.predictions import Predictions


class NotWorse(NamedTuple):
    """difference: run less baseline; low, high: it is above low with 95% confidence, and below high with 95%;
    n: the texts it rests on. None, and holds is False, where there are too few texts to say."""

    holds: bool
    difference: float | None
    low: float | None
    high: float | None
    n: int


def not_worse(run: Mapping[str, Predictions], baseline: Path, metric_key: str, by: float) -> NotWorse:
    """Whether `run` is worse than `baseline` by at most `by`, with 95% confidence (one-sided, paired).

    run: its sets, as `divided` gives them; baseline: a run folder with predictions. metric_key:
    `<set>/<label, macro or any>/<metric>`, or that with `/<slice>=<value>`, of auprc, auroc, f1, recall and
    fpr. Of fpr, more is worse; of the others, less.
    Raises InputError where the runs share no such figure.
    """
    name, label, metric, *of = (
        metric_key.split("/", 3) if metric_key.count("/") >= 2 else (metric_key, "", "")
    )
    if metric not in (*AREAS, *RATES):
        expected = f"<set>/<label, macro or any>/<metric>, of {', '.join((*AREAS, *RATES))}"
        raise _no_figure(metric_key, "cannot be held against a baseline", expected)
    found = shared([predicted(baseline), run], ["the baseline", "the run"], [name])
    pair = found.parts.get(name, [])
    if not pair or label not in (*pair[0].labels, "macro", "any"):
        reasons = [out.reason for out in found.left_out if {out.set, out.label} & {name, label}]
        what = f"is not the same figure in {baseline.name}: {reasons[0] if reasons else f'no {label}'}"
        raise _no_figure(metric_key, what, "a set with the same texts and labels in run and baseline")
    if label in pair[0].labels:
        pair = [of_labels(part, [label]) for part in pair]
    if of:
        pair = [_of_slice(part, metric_key, *of[0].partition("=")[::2]) for part in pair]
    records = compared(pair[:1], pair[1:], name, of_recipes=False, ranked=metric in AREAS)
    record = next((r for r in records if (r["label"], r["metric"]) == (label, metric)), None)
    if record is None:
        raise _no_figure(metric_key, f"{label} has no {metric}", "a figure that both runs hold")
    n = {"recall": record["positives"], "fpr": record["negatives"]}.get(metric) or record["n"] or len(pair[0])
    if record["tost_low"] is None or record["labels"] != record["of"]:
        return NotWorse(False, record["difference"], None, None, int(n))
    low, high = float(record["tost_low"]), float(record["tost_high"])
    holds = high <= by if metric in LOWER_IS_BETTER else low >= -by
    return NotWorse(holds, record["difference"], low, high, int(n))


def _of_slice(part: Predictions, metric_key: str, slice_: str, value: str) -> Predictions:
    if slice_ not in part.slices:
        raise _no_figure(
            metric_key, f"there is no slice {slice_}", f"one of {', '.join(part.slices) or 'none'}"
        )
    return part.select(np.asarray(part.slices[slice_] == value))


def _no_figure(metric_key: str, what: str, expected: str) -> InputError:
    return InputError(Problem("gate", f"{metric_key}: {what}", expected))
