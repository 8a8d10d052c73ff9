"""Does what was fitted or written elsewhere hold here? Languages at the English threshold; synthetic text.

Predictions go in; figures and 95% intervals come out.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from train.evaluation.intervals import Positions, clopper_pearson
from train.evaluation.measured import LEVEL, Bounds, Figures, Measured, area, counts, share, told
from train.evaluation.metrics import ENOUGH, Bools, decided
from train.evaluation.operating_points import choose_threshold
from train.evaluation.predictions import Predictions
from train.policy import Constraint


def at_english(
    calibration: Predictions, judged: Predictions, constraints: Mapping[str, Constraint], name: str
) -> tuple[Figures, Bounds]:
    """Recall and FPR of each language, had the threshold been fitted on English calibration rows alone.

    Keys `<name>/<label>/<recall_at_english or fpr_at_english>/lang=<value>`, beside n, positives and
    negatives, for labels that English calibration rows know; nothing where the slice `lang` has not two
    values, en among them. As the run's own, the threshold is chosen among calibrated probabilities, of real
    and synthetic rows. That these were calibrated on all languages changes no flag: a rising curve keeps the
    order of texts, which is all that a threshold chosen between two of them depends on.
    """
    spoken, fitted = judged.slices.get("lang"), calibration.slices.get("lang")
    languages = [] if spoken is None else sorted({value for value in spoken if value is not None})
    if fitted is None or len(languages) < 2 or "en" not in languages:
        return {}, {}
    figures: Figures = {}
    measured: dict[str, Measured] = {}
    for j, label in enumerate(judged.labels):
        english = decided(calibration.targets[:, j]) & (fitted == "en")
        if not english.any():
            continue
        positive, p = calibration.targets[english, j] > 0.5, calibration.scores[english, j].astype(np.float64)
        threshold = choose_threshold(constraints[label], positive, p, calibration.group[english]).value
        flag = judged.scores[:, j] >= threshold
        for language in languages:
            within = np.asarray(spoken == language)
            plus, minus = _cells(judged, j, within)
            if not (len(plus) or len(minus)):
                continue
            for metric, count in counts(judged.targets[within, j]).items():
                figures[f"{name}/{label}/{metric}/lang={language}"] = count
            measured[f"{name}/{label}/recall_at_english/lang={language}"] = share(plus, flag)
            measured[f"{name}/{label}/fpr_at_english/lang={language}"] = share(minus, flag)
    values, bounds = told(measured, judged.group)
    return figures | values, bounds


def synthetic_gaps(predictions: Predictions, name: str) -> tuple[Figures, Bounds]:
    """Figures of synthetic rows less those of real ones, with 95% intervals.

    Keys `<name>/<label>/<auroc_gap, recall_gap or fpr_gap>/synthetic=true`, for labels of which both know
    ENOUGH positives and negatives; n, positives and negatives are the synthetic ones. Above 0 in recall or
    auroc, the made texts are easier than the world's.
    """
    figures: Figures = {}
    measured: dict[str, Measured] = {}
    for j, label in enumerate(predictions.labels):
        made = _cells(predictions, j, predictions.synthetic)
        real = _cells(predictions, j, ~predictions.synthetic)
        if min(map(len, (*made, *real))) < ENOUGH:
            continue
        score, flag, key = predictions.scores[:, j], predictions.flags[:, j], f"{name}/{label}"
        for metric, count in counts(predictions.targets[predictions.synthetic, j]).items():
            figures[f"{key}/{metric}/synthetic=true"] = count
        measured |= {
            f"{key}/auroc_gap/synthetic=true": area(*made, score) - area(*real, score),
            f"{key}/recall_gap/synthetic=true": share(made[0], flag) - share(real[0], flag),
            f"{key}/fpr_gap/synthetic=true": share(made[1], flag) - share(real[1], flag),
        }
    values, bounds = told(measured, predictions.group)
    return figures | values, bounds


def flag_rates(predictions: Predictions, name: str) -> tuple[Figures, Bounds]:
    """How many of 1,000 texts are flagged, whatever is known of them: figures and 95% intervals.

    Keys `<name>/<label>/flags_per_1000`, beside `texts`, of any label and of each that no text of the set
    knows, as when only synthetic text speaks of it: where such harm is rare, nearly all of its flags are
    false. Each end of an interval is the further out of two: over groups, and the exact one that takes texts
    as independent.
    """
    if not len(predictions):
        return {}, {}
    unknown = np.flatnonzero(~np.isfinite(predictions.targets).any(axis=0))
    flags: dict[str, Bools] = {predictions.labels[j]: predictions.flags[:, j] for j in unknown}
    flags["any"] = np.asarray(predictions.flags.any(axis=1))
    n, rows = len(predictions), np.arange(len(predictions))
    measured = {f"{name}/{label}/flags_per_1000": share(rows, flag) for label, flag in flags.items()}
    shares, bounds = told(measured, predictions.group)
    figures: Figures = {f"{name}/{label}/texts": n for label in flags}
    for key, value in shares.items():
        assert isinstance(value, float)  # there are texts
        figures[key] = 1000 * value
        if key in bounds:
            exact = clopper_pearson(round(value * n), n, LEVEL)
            bounds[key] = (1000 * min(bounds[key][0], exact[0]), 1000 * max(bounds[key][1], exact[1]))
    return figures, bounds


def _cells(predictions: Predictions, column: int, within: Bools) -> tuple[Positions, Positions]:
    """Rows of the positives and of the negatives that lie within."""
    target = predictions.targets[:, column]
    return np.flatnonzero(within & (target > 0.5)), np.flatnonzero(within & (target < 0.5))
