"""Functional tests in anybody's training script: a metric that the `evaluate` library loads.

    import evaluate
    metric = evaluate.load("train/suites/minimal_pairs.py")
    metric.compute(predictions=probabilities, references=targets, labels=["hate"], pairs=pairs,
                   functionalities=functionalities)

`evaluate` copies this file into its cache and runs the copy, so `train` must be installed beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import datasets
import evaluate

from train.evaluation.lists import from_lists
from train.evaluation.metrics import Figure
from train.suites.functionalities import SLICE, functional

_INPUTS = """
Args:
    predictions, references, labels, threshold, name: as train/evaluation/multilabel.py has them.
    pairs: the minimal pair of each text, None where it has none; functionalities: what each text tests.
Returns:
    {"<name>/all/pairs_passed": ...}: every figure of train.suites.functionalities.functional.
"""


class MinimalPairs(evaluate.Metric):  # type: ignore[misc]
    """What a classifier gets right, functionality by functionality."""

    def _info(self) -> Any:
        row = datasets.Sequence(datasets.Value("float64"))
        return evaluate.MetricInfo(
            description="Shares of functional test cases and of minimal pairs passed (after HateCheck).",
            citation="arXiv:2012.15606",
            inputs_description=_INPUTS,
            features=datasets.Features({"predictions": row, "references": row}),
        )

    def _compute(
        self,
        predictions: Any,
        references: Any,
        pairs: Sequence[str | None],
        functionalities: Sequence[str],
        labels: Sequence[str] | None = None,
        threshold: float | Sequence[float] | Mapping[str, float] = 0.5,
        name: str = "eval",
    ) -> dict[str, Figure]:
        slices = {SLICE: functionalities}
        return functional(from_lists(predictions, references, labels, threshold, pairs, slices), name)[0]
