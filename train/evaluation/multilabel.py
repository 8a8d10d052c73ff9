"""The same figures in anybody's training script: a metric that the `evaluate` library loads, offline too.

    import evaluate
    metric = evaluate.load("train/evaluation/multilabel.py")
    metric.compute(predictions=probabilities, references=targets, labels=["hate", "harassment"])

`evaluate` copies this file into its cache and runs the copy, so `train` must be installed beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import datasets
import evaluate

from train.evaluation.lists import from_lists
from train.evaluation.metrics import Figure, measure

_INPUTS = """
Args:
    predictions: probabilities, one list of L floats a text (not logits: apply a sigmoid first).
    references: targets, one list of L floats a text: 0, 1 or a soft value between; above .5 is positive.
        NaN, or any negative number (-1, -100), is unknown and changes no figure.
    labels: the L names, in column order; label_0, label_1, ... when left out.
    threshold: a text is flagged at this probability or above; one float, or one for each label.
    name: the first part of every key, `eval` when left out.
    recall_fpr: the false positive rate of recall@fpr; needs 10 / recall_fpr negatives.
Returns:
    {"<name>/<label>/auprc": ..., "<name>/macro/auprc": ..., "<name>/any/fpr": ...}: every figure of
    train.evaluation.metrics.measure. None is a figure that is not defined.
"""


class Multilabel(evaluate.Metric):  # type: ignore[misc]
    """Ranking, counting and calibration figures of a multi-label classifier with unknown cells."""

    def _info(self) -> Any:
        row = datasets.Sequence(datasets.Value("float64"))
        return evaluate.MetricInfo(
            description="Per-label AUPRC, AUROC, F1, precision, recall, FPR, Brier and ECE over known cells.",
            citation="",
            inputs_description=_INPUTS,
            features=datasets.Features({"predictions": row, "references": row}),
        )

    def _compute(
        self,
        predictions: Any,
        references: Any,
        labels: Sequence[str] | None = None,
        threshold: float | Sequence[float] | Mapping[str, float] = 0.5,
        name: str = "eval",
        recall_fpr: float = 0.01,
    ) -> dict[str, Figure]:
        return measure(from_lists(predictions, references, labels, threshold), name, recall_fpr)
