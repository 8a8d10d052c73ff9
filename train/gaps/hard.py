"""Cause: none of the others. The model does not tell these texts apart, and the figures do not say why."""

from __future__ import annotations

from train.evaluation.metrics import ENOUGH, Bools, auroc, decided
from train.evaluation.predictions import Predictions
from train.gaps.few import ENOUGH_TO_LEARN, LANGUAGE
from train.gaps.gap import Action, Evidence, Trial
from train.gaps.ground import Ground


def hard(ground: Ground, predictions: Predictions, rows: Bools, trial: Trial) -> Evidence:
    """rows: bool [n], the texts of the place."""
    column = predictions.labels.index(trial.label)
    positive, score = predictions.targets[:, column] > 0.5, predictions.scores[:, column]

    def ranked(part: Bools) -> float | None:
        enough = min(positive[part].sum(), (~positive[part]).sum()) >= ENOUGH
        return auroc(positive[part], score[part]) if enough else None

    here, there = ranked(rows), ranked(decided(predictions.targets[:, column]) & ~rows)
    says = "no other cause is told by the figures"
    side = ("recall", "fpr").index(trial.metric)
    if counts := ground.of(trial.label, trial.slice):
        says += f": training held {counts[side]:,} such {('positives', 'negatives')[side]}"
    if here is not None:
        says += f"; AUROC {here:.2f}" + (f", outside {there:.2f}" if there is not None else "")
    return Evidence("hard", "AUROC", here, there, says, _action(ground, trial))


def _action(ground: Ground, trial: Trial) -> Action:
    name, _, value = (trial.slice or "").partition("=")
    where = {"label": trial.label} | ({name: value} if name else {})
    if name in LANGUAGE:
        remedy = f"a base model that was trained on {value}: texts to learn from were there"
        return Action("change", 0, remedy, where)
    if name and trial.metric == "fpr":
        had = (ground.of(trial.label, trial.slice) or (0, 0))[1]
        kind = f"negatives of {trial.label} with {trial.slice}, like the examples"
        return Action("collect", max(ENOUGH_TO_LEARN, 3 * had), kind, where | {"cell": "negative"})
    return Action("change", 0, "a larger base model or a longer training; read the examples first", where)
