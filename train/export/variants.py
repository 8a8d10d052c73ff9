"""A variant whose numbers are not those that the run was judged by: its own thresholds, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from train.assessment import judge, predictions, split_logits
from train.errors import Interrupted
from train.evaluation import operating_points
from train.evaluation.calibration import Kind
from train.evaluation.records import is_whole
from train.lock import Resolved
from train.serving.predictor import Scorer
from train.signals import StopSignals
from train.terminal import Terminal

_CALIBRATED: tuple[Kind, ...] = ("identity",)  # the calibration lies in the head
METRICS = ("auprc", "auroc", "recall", "fpr", "brier")


class Fitted(NamedTuple):
    """thresholds: by label. measured: metrics and intervals (key -> [low, high]) of the run's test texts, and
    cost: metric key -> how much it is above the run's own figure."""

    thresholds: dict[str, float]
    measured: dict[str, Any]


def fit_again(scorer: Scorer, resolved: Resolved, own: Mapping[str, Any], name: str) -> Fitted:
    """Thresholds from the variant's scores of the calibration texts, under the policy's constraints, and its
    figures on the test texts. own: the run's figures. Raises Interrupted."""
    corpus, policy = resolved.corpus, resolved.recipe.policy
    rows = corpus.rows("calibration")
    points = operating_points.fit(
        {label: policy.labels[label].constraint for label in corpus.labels},
        corpus.targets[rows],
        _scored(scorer, resolved, "calibration", name),
        corpus.labels,
        corpus.column("group", rows),
        _CALIBRATED,
    )
    found = predictions(corpus, "test", _scored(scorer, resolved, "test", name), points)
    verdict = judge(found, with_intervals=True)
    kept = [key for key in verdict.figures if _is_told(key)]
    return Fitted(
        {label: points[label].threshold for label in corpus.labels},
        {
            "metrics": {key: verdict.figures[key] for key in kept},
            "intervals": {key: list(verdict.intervals[key]) for key in kept if key in verdict.intervals},
            "cost": {
                key: verdict.figures[key] - own[key]
                for key in kept
                if key.split("/")[2] in METRICS and None not in (verdict.figures[key], own.get(key))
            },
        },
    )


def _is_told(key: str) -> bool:
    """A figure of a whole set and label."""
    return key.count("/") == 2 and is_whole(key.split("/")[0])


def _scored(scorer: Scorer, resolved: Resolved, split: str, name: str) -> np.ndarray:
    from accelerate import Accelerator

    terminal, corpus = Terminal(), resolved.corpus
    with StopSignals() as stop, terminal.bar(f"{name}: {split}", len(corpus.rows(split))) as advance:
        found = split_logits(
            scorer,
            corpus,
            split,
            accelerator=Accelerator(mixed_precision="no"),
            stopping=lambda: bool(stop),
            advance=advance,
        )
    if found is None:
        raise Interrupted(stop.received or 2, "stopped before the end; nothing was written")
    return found
