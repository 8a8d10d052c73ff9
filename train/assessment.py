"""Judging a classifier on a split of a corpus: logits, predictions, figures with intervals."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from accelerate import Accelerator

from train.data.corpus import Corpus
from train.data.order import scoring_batches, tokens_at_once
from train.evaluation.intervals import intervals
from train.evaluation.metrics import measure
from train.evaluation.operating_points import OperatingPoint, apply
from train.evaluation.predict import logits
from train.evaluation.predictions import Predictions, sets
from train.evaluation.records import is_whole
from train.evaluation.slices import by_slice
from train.serving.predictor import Scorer

Advance = Callable[[int], None]


@dataclass(frozen=True)
class Verdict:
    """The figures of one split by metric key, their 95% intervals, and the predictions behind them."""

    predictions: Predictions
    figures: dict[str, Any]
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def sets(self) -> list[str]:
        """The sets the split divides into, such as test and test.synthetic."""
        return list(sets(self.predictions))


def split_logits(
    classifier: Scorer,
    corpus: Corpus,
    split: str,
    *,
    accelerator: Accelerator,
    stopping: Callable[[], bool],
    advance: Advance = lambda rows: None,
) -> np.ndarray | None:
    """Logits of a split's rows, float32 [n, L], shared over the processes; None if a signal cut it short."""
    rows = corpus.rows(split)
    most = tokens_at_once(classifier.device.type)  # as Predictor has it: flags of bf16 depend on the padding
    batches = scoring_batches(corpus.lengths[rows], most)
    with classifier.folded():
        return logits(
            classifier.logits,
            corpus.encoder.batches(
                corpus.sequences(rows), batches[accelerator.process_index :: accelerator.num_processes], most
            ),
            (len(rows), len(corpus.labels)),
            reduce=corpus.encoder.reduce,
            accelerator=accelerator,
            stopping=stopping,
            advance=advance,
        )


def predictions(
    corpus: Corpus, split: str, found: np.ndarray, points: Mapping[str, OperatingPoint] | None = None
) -> Predictions:
    """What logits [n, L] say of a split; without operating points: the plain sigmoid, flags at .5."""
    rows = corpus.rows(split)
    if points is None:
        scores = 1 / (1 + np.exp(-found.astype(np.float64)))
        flags = scores >= 0.5
    else:
        scores, flags = apply(points, found, corpus.labels)
    return Predictions(
        ids=corpus.column("id", rows),
        source=corpus.source[rows],
        group=corpus.column("group", rows),
        split=corpus.split[rows],
        synthetic=corpus.synthetic[rows],
        slices={
            name.removeprefix("slice."): corpus.column(name, rows)
            for name in corpus.table.column_names
            if name.startswith("slice.")
        },
        labels=corpus.labels,
        targets=corpus.targets[rows],
        scores=scores,
        flags=flags,
    )


def judge(found: Predictions, with_intervals: bool = False) -> Verdict:
    """Figures of all the sets that predictions divide into.

    With intervals come the figures by slice value, of all real rows and of all synthetic ones.
    """
    figures: dict[str, Any] = {}
    bounds: dict[str, tuple[float, float]] = {}
    for name, part in sets(found).items():
        figures |= measure(part, name)
        if with_intervals:
            bounds |= intervals(part, name)
            if is_whole(name):
                sliced, sure = by_slice(part, name)
                figures, bounds = figures | sliced, bounds | sure
    return Verdict(found, figures, bounds)
