"""Subgroup, BPSN and BNSP AUC in anybody's training script: a metric that the `evaluate` library loads.

    import evaluate
    metric = evaluate.load("train/suites/bias.py")
    metric.compute(predictions=probabilities, references=targets, labels=["hate"],
                   mentions={"identity=muslim": mask})

`evaluate` copies this file into its cache and runs the copy, so `train` must be installed beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import datasets
import evaluate
import numpy as np

from train.evaluation.lists import from_lists
from train.evaluation.metrics import Figure
from train.suites.subgroups import subgroups

_INPUTS = """
Args:
    predictions, references, labels, threshold, name: as train/evaluation/multilabel.py has them.
    mentions: group, such as identity=muslim -> one bool a text; train.suites.mentions.mentions finds them.
Returns:
    {"<name>/<label>/bpsn_auc/<group>": ...}: every figure of train.suites.subgroups.subgroups. None is one
    that rests on fewer than 30 positives or negatives.
"""


class Bias(evaluate.Metric):  # type: ignore[misc]
    """Does a label's score rank texts that mention a group as well as those that do not?"""

    def _info(self) -> Any:
        row = datasets.Sequence(datasets.Value("float64"))
        return evaluate.MetricInfo(
            description="Subgroup, BPSN and BNSP AUC, recall and FPR gaps (Borkan et al. 2019).",
            citation="arXiv:1903.04561",
            inputs_description=_INPUTS,
            features=datasets.Features({"predictions": row, "references": row}),
        )

    def _compute(
        self,
        predictions: Any,
        references: Any,
        mentions: Mapping[str, Sequence[bool]],
        labels: Sequence[str] | None = None,
        threshold: float | Sequence[float] | Mapping[str, float] = 0.5,
        name: str = "eval",
    ) -> dict[str, Figure]:
        rows = from_lists(predictions, references, labels, threshold)
        masks = {group: np.asarray(mask, dtype=bool) for group, mask in mentions.items()}
        for group, mask in masks.items():
            if mask.shape != (len(rows),):
                raise ValueError(f"mentions of {group} have shape {mask.shape}, there are {len(rows)} texts")
        return subgroups(rows, masks, name)[0]
