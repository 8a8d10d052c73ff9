"""Verdicts held against what people said: calibrated, counted by label and language, and allowed or not.

Every gold row is judged by a calibration fitted on other groups, so that what is allowed was not seen. Gold
is drawn by side, as many positive as negative rows, while of the rows that verdicts fill few are positive:
what is claimed is claimed for as many positives as there are among all rows that gold is drawn from.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from train.curation.labelling.spec import Acceptance
from train.curation.people.agreement import alpha
from train.evaluation.bounds import design_effect, upper
from train.evaluation.calibration import FOLDABLE, FOLDS, Calibration, choose
from train.evaluation.intervals import clopper_pearson
from train.evaluation.metrics import ENOUGH


@dataclass(frozen=True)
class Judgement:
    """Of one labeller and label. accepted: its verdicts may be used, as calibration(log-odds)."""

    calibration: Calibration
    accepted: bool
    found: Mapping[str, Any]


def judge(
    targets: np.ndarray,
    logits: np.ndarray,
    groups: np.ndarray,
    languages: np.ndarray,
    accept: Acceptance,
    odds: float = 1.0,
) -> Judgement:
    """targets: people's cells, float [n], all known; logits: verdicts, float [n], NaN where none came;
    groups, languages: str [n]; odds: as in `Chosen`. A row without a verdict is no row: how many there are is
    told."""
    heard = ~np.isnan(logits) & (targets != 0.5)
    y, z, group = targets[heard], logits[heard], groups[heard]
    positive = y > 0.5
    found: dict[str, Any] = {"gold": len(targets), "heard": int(heard.sum())}
    if min(positive.sum(), (~positive).sum()) < ENOUGH:
        return Judgement(Calibration(), False, found | {"accepted": False, "why": "too few gold rows"})
    flagged = _as_rare(_out_of_fold(y, z, group), odds) > 0.5
    by = {"all": np.full(len(y), True)} | {
        lang: languages[heard] == lang for lang in sorted({*languages[heard]})
    }
    found["confusion"] = {name: _confusion(positive[rows], flagged[rows], odds) for name, rows in by.items()}
    least = {
        "precision": float(_as_rare(_least(positive[flagged], group[flagged]), odds)),
        "recall": _least(flagged[positive], group[positive]),
    }
    short = [f"{name} is at least {low:.2f}" for name, low in least.items() if low < getattr(accept, name)]
    found |= {"least": {name: round(low, 4) for name, low in least.items()}, "accepted": not short}
    found |= {"why": ", ".join(short)} if short else {}
    fitted = choose(y, z, group, FOLDABLE)
    fitted = replace(fitted, kind="platt", bias=fitted.bias + math.log(odds)) if odds != 1 else fitted
    return Judgement(fitted, not short, found)


def _as_rare(chance: Any, odds: float) -> Any:
    """A probability among drawn rows as one among all of them: what was drawn by side multiplies the odds. So
    it is with a calibration's, with a precision, and with each bound of it."""
    return odds * chance / (odds * chance + 1 - chance)


def agreement(verdicts: Mapping[str, np.ndarray], ids: np.ndarray, groups: np.ndarray) -> dict[str, Any]:
    """Krippendorff's alpha among labellers about one label, as they came: yes above even odds. verdicts:
    log-odds, float [n], by labeller; ids, groups: str [n]."""
    said = np.concatenate([np.where(np.isnan(z), np.nan, z > 0) for z in verdicts.values()])
    return asdict(alpha(np.tile(ids, len(verdicts)), said, np.tile(groups, len(verdicts)), "nominal"))


def _least(right: np.ndarray, groups: np.ndarray) -> float:
    """One-sided 95% lower bound of a share, exact (Clopper-Pearson) for as many texts as these are worth:
    those of one group count for less. right: bool [n]; groups: str [n]."""
    if not len(right):
        return 0.0
    wrong = (~right).astype(np.float64)
    effect = design_effect(wrong, groups, float(wrong.mean()))
    return 1 - upper(wrong.sum() / effect, len(right) / effect)


def _confusion(positive: np.ndarray, flagged: np.ndarray, odds: float) -> dict[str, Any]:
    """Counts of gold rows, and what they make of precision, positives as rare as they are, and of recall."""
    hits = int((positive & flagged).sum())
    return {
        "tp": hits,
        "fp": int((~positive & flagged).sum()),
        "fn": int((positive & ~flagged).sum()),
        "tn": int((~positive & ~flagged).sum()),
        "precision": _share(hits, int(flagged.sum()), odds),
        "recall": _share(hits, int(positive.sum())),
    }


def _share(hits: int, n: int, odds: float = 1.0) -> dict[str, Any]:
    """A share with its exact 95% interval; without either below ENOUGH texts: insufficient."""
    if n < ENOUGH:
        return {"n": n, "value": None, "interval": None}
    interval = [round(_as_rare(bound, odds), 4) for bound in clopper_pearson(hits, n, 0.95)]
    return {"n": n, "value": round(_as_rare(hits / n, odds), 4), "interval": interval}


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
) -> tuple[np.ndarray, np.ndarray]:
    """Of n rows: (the mean of accepted labellers' calibrated probabilities, float, NaN where none says
    anything; the names of those that do, str, null where none). verdicts: log-odds [n, L] by labeller;
    column: of the label."""
    used = sorted(name for name in verdicts if judgements[name][column].accepted)
    said = np.array([judgements[name][column].calibration(verdicts[name][:, column]) for name in used])
    said = said.reshape(len(used), len(next(iter(verdicts.values()))))
    known = ~np.isnan(said)
    count = known.sum(axis=0)
    mean = np.divide(np.nansum(said, axis=0), count, out=np.full(len(count), np.nan), where=count > 0)
    names = [", ".join(np.array(used)[row]) or None for row in known.T] if used else [None] * len(count)
    return mean, np.array(names, dtype=object)
