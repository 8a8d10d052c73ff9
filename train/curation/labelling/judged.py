"""Verdicts held against what people said: calibrated, counted by label and language, and allowed or not.

Every gold row is judged by a calibration fitted on other groups, so that what is allowed was not seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from train.curation.labelling.spec import Acceptance
from train.evaluation.bounds import upper
from train.evaluation.calibration import FOLDABLE, FOLDS, Calibration, choose
from train.evaluation.metrics import ENOUGH


@dataclass(frozen=True)
class Judgement:
    """Of one labeller and label. accepted: its verdicts may be used, as calibration(log-odds)."""

    calibration: Calibration
    accepted: bool
    found: Mapping[str, Any]


def judge(
    targets: np.ndarray, logits: np.ndarray, groups: np.ndarray, languages: np.ndarray, accept: Acceptance
) -> Judgement:
    """targets: people's cells, float [n], all known; logits: verdicts, float [n], NaN where none came;
    groups, languages: str [n]. A row without a verdict is no row: how many there are is told."""
    heard = ~np.isnan(logits) & (targets != 0.5)
    y, z = targets[heard], logits[heard]
    positive = y > 0.5
    found: dict[str, Any] = {"gold": len(targets), "heard": int(heard.sum())}
    if min(positive.sum(), (~positive).sum()) < ENOUGH:
        return Judgement(Calibration(), False, found | {"accepted": False, "why": "too few gold rows"})
    fits = choose(y, z, groups[heard], FOLDABLE)
    flagged = _out_of_fold(y, z, groups[heard]) > 0.5
    by = {"all": np.full(len(y), True)} | {
        lang: languages[heard] == lang for lang in sorted({*languages[heard]})
    }
    found["confusion"] = {name: _confusion(positive[rows], flagged[rows]) for name, rows in by.items()}
    whole = found["confusion"]["all"]
    bounds = {"precision": _least(whole["tp"], whole["fp"]), "recall": _least(whole["tp"], whole["fn"])}
    short = [f"{name} is at least {low:.2f}" for name, low in bounds.items() if low < getattr(accept, name)]
    found |= {"least": {name: round(low, 4) for name, low in bounds.items()}, "accepted": not short}
    return Judgement(fits, not short, found | ({"why": ", ".join(short)} if short else {}))


def _least(right: int, wrong: int) -> float:
    """One-sided 95% exact (Clopper-Pearson) lower bound of right / (right + wrong)."""
    n = right + wrong
    return 1 - upper(wrong, n) if n else 0.0


def _confusion(positive: np.ndarray, flagged: np.ndarray) -> dict[str, int]:
    return {
        "tp": int((positive & flagged).sum()),
        "fp": int((~positive & flagged).sum()),
        "fn": int((positive & ~flagged).sum()),
        "tn": int((~positive & ~flagged).sum()),
    }


def _out_of_fold(y: np.ndarray, z: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Probability of each row by a calibration of other groups, float [n]."""
    _, member = np.unique(groups, return_inverse=True)
    fold = np.random.default_rng(0).permutation(int(member.max(initial=-1)) + 1)[member] % FOLDS
    p = np.empty(len(y))
    for held in (fold == k for k in range(FOLDS)):
        if held.any():
            p[held] = choose(y[~held], z[~held], groups[~held], FOLDABLE)(z[held])
    return p


def filled(
    verdicts: Mapping[str, np.ndarray], judgements: Mapping[str, Sequence[Judgement]], column: int
) -> tuple[np.ndarray, str | None]:
    """(the mean of accepted labellers' calibrated probabilities, float [n], NaN where none says anything;
    their names). verdicts: log-odds [n, L] by labeller; column: of the label."""
    used = sorted(name for name, of in judgements.items() if of[column].accepted)
    if not used:
        return np.full(len(next(iter(verdicts.values()))), np.nan), None
    said = np.column_stack([judgements[name][column].calibration(verdicts[name][:, column]) for name in used])
    counted = (~np.isnan(said)).sum(axis=1)
    mean = np.divide(np.nansum(said, axis=1), counted, out=np.full(len(said), np.nan), where=counted > 0)
    return mean, ", ".join(used)
