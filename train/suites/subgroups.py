"""Unintended bias: does a label's score rank texts that mention a group as well as those that do not?

Borkan, Dixon, Sorensen, Thain & Vasserman (2019), "Nuanced Metrics for Measuring Unintended Bias with Real
Data for Text Classification", arXiv:1903.04561.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from train.evaluation.intervals import Positions
from train.evaluation.measured import Bounds, Figures, Measured, area, counts, share, told
from train.evaluation.metrics import ENOUGH, Bools, decided
from train.evaluation.predictions import Predictions

METRICS = ("subgroup_auc", "bpsn_auc", "bnsp_auc", "recall", "fpr", "recall_gap", "fpr_gap")


def subgroups(predictions: Predictions, mentions: Mapping[str, Bools], name: str) -> tuple[Figures, Bounds]:
    """Figures and 95% intervals under `<name>/<label>/<metric>/<group>`; mentions: `identity=<group>` or the
    like -> which texts [n], as `mentions` finds them.

    subgroup_auc: the group's positives against its negatives. bpsn_auc: background positives against the
    group's negatives; low where a mention alone raises scores. bnsp_auc: the group's positives against
    background negatives; low where a mention lowers them. recall and fpr at the operating points; recall_gap
    and fpr_gap: those less the background's. n, positives and negatives are the group's.

    The background: texts without a mention, from those sources, and of those languages in each, that have
    one with it; or a group of one language would be set against texts of another. A figure is None on fewer
    than ENOUGH positives or negatives, and a group with fewer known cells is left out.
    """
    figures: Figures = {}
    measured: dict[str, Measured] = {}
    origin = _origin(predictions)
    for j, label in enumerate(predictions.labels):
        cells, positive = decided(predictions.targets[:, j]), predictions.targets[:, j] > 0.5
        for group, mentioned in mentions.items():
            inside = cells & mentioned
            if inside.sum() < ENOUGH:
                continue
            outside = cells & ~mentioned & np.isin(origin, np.unique(origin[inside]))
            parts = [np.flatnonzero(of & kind) for of in (inside, outside) for kind in (positive, ~positive)]
            for metric, count in counts(predictions.targets[mentioned, j]).items():
                figures[f"{name}/{label}/{metric}/{group}"] = count
            for metric, figure in _figures(predictions, j, *parts).items():
                key = f"{name}/{label}/{metric}/{group}"
                figures[key] = None
                if all(len(rows) >= ENOUGH for rows in figure.rows):
                    measured[key] = figure
    values, bounds = told(measured, predictions.group)
    return figures | values, bounds


def _origin(predictions: Predictions) -> Positions:
    """A number for each source and language [n]."""
    spoken = predictions.slices.get("lang", np.full(len(predictions), None))
    parts = [np.unique(part.astype(str), return_inverse=True)[1] for part in (predictions.source, spoken)]
    return np.asarray(parts[0] * (parts[1].max(initial=0) + 1) + parts[1])


def _figures(
    predictions: Predictions,
    column: int,
    plus: Positions,
    minus: Positions,
    other_plus: Positions,
    other_minus: Positions,
) -> dict[str, Measured]:
    score, flag = predictions.scores[:, column], predictions.flags[:, column]
    recall, fpr = share(plus, flag), share(minus, flag)
    found = (
        area(plus, minus, score),
        area(other_plus, minus, score),
        area(plus, other_minus, score),
        recall,
        fpr,
        recall - share(other_plus, flag),
        fpr - share(other_minus, flag),
    )
    return dict(zip(METRICS, found, strict=True))


def worst(figures: Mapping[str, object], key: str, slice_: str, most: bool) -> tuple[str, float] | None:
    """(the value of a slice that fares worst, its figure) of keys `<key>/<slice_>=<value>`; None without one.

    key: such as test/hate/bpsn_auc. most: the highest figure is the worst, as a false positive rate's.
    """
    prefix = f"{key}/{slice_}="
    known = {
        found.removeprefix(prefix): float(figure)
        for found, figure in figures.items()
        if found.startswith(prefix) and isinstance(figure, int | float)
    }
    if not known:
        return None
    value = (max if most else min)(known, key=lambda value: known[value])
    return value, known[value]
