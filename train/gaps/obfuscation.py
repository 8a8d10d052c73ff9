"""Cause: disguised writing. The robustness figures of a run's summary go in, tests of them come out.

A label's disguises in one set are one gap: they are met by one action.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import ndtr

from train.data.normalise import Step
from train.evaluation.metrics import ENOUGH
from train.evaluation.predictions import Predictions
from train.gaps.gap import Action, Evidence, Gap, Trial
from train.gaps.ground import Ground
from train.gaps.performance import MOST_EXAMPLES, needed
from train.gaps.share import SURE
from train.gaps.targets import LARGEST_CHANGE

_KEY = re.compile(r"(?P<set>[^/]+)/(?P<label>[^/]+)/(?P<metric>recall_drop|fpr_rise)/perturbation=(?P<of>.+)")
_SIDES = 2 * 1.96
_SLICE = "perturbation"
_UNDONE: Mapping[str, Step] = {
    "zero_width": "zero-width",
    "homoglyphs": "confusables",
    "leetspeak": "leet",
}
"""Steps of the normaliser that take a disguise off, in the order in which they are to run."""


def disguised(
    figures: Mapping[str, Any],
    intervals: Mapping[str, Any],
    ground: Ground,
    labels: tuple[str, ...],
    prevalence: Mapping[str, float],
) -> Iterator[Trial]:
    """Of each `<set>/<label>/<recall_drop or fpr_rise>/perturbation=<k>`: n beside it is the positives or
    the negatives. The p-value takes the 95% interval for that of a normal distribution."""
    for key, value in figures.items():
        match = _KEY.fullmatch(key)
        if not match or value is None or match["label"] not in labels:
            continue
        name, label, metric, of = match["set"], match["label"], match["metric"], match["of"]
        place = f"/perturbation={of}"
        positives, negatives = (
            int(figures.get(f"{name}/{label}/{kind}{place}") or 0) for kind in ("positives", "negatives")
        )
        n = positives if metric == "recall_drop" else negatives
        ci = intervals.get(key)
        enough = ci is not None and n >= ENOUGH
        error = (ci[1] - ci[0]) / _SIDES if ci is not None and enough else 0.0
        # not the share of positives that were perturbed: they are a sample with more of them than its set
        carries = prevalence.get(label, figures.get(f"{name}/{label}/prevalence") or 0.5)
        trained = ground.of(label, None) or (0, 0)
        yield Trial(
            set=name,
            label=label,
            slice=f"perturbation={of}",
            metric=metric,
            value=value,
            ci=(float(ci[0]), float(ci[1])) if ci is not None and enough else None,
            n=n,
            positives=positives,
            target=LARGEST_CHANGE,
            stake=carries if metric == "recall_drop" else 1 - carries,
            shortfall=max(0.0, value - SURE * error - LARGEST_CHANGE) if enough else 0.0,
            p=_above(value, error) if enough else None,
            proven=enough and value + SURE * error <= LARGEST_CHANGE,
            needed=needed("fpr", LARGEST_CHANGE, None, None),
            told=Evidence(
                "obfuscation",
                metric,
                value,
                LARGEST_CHANGE,
                _says(label, metric, of, value),
                _action(label, [of], trained[0 if metric == "recall_drop" else 1], ()),
            ),
        )


def together(gaps: Sequence[Gap], steps: Sequence[Step]) -> Gap:
    """One gap of a label's disguises in one set and metric, the most harmful first: the others are evidence.

    steps: of the normaliser that the model has already.
    """
    first = gaps[0]
    kinds = [str(gap.trial.slice).partition("=")[2] for gap in gaps]
    action = _action(first.trial.label, kinds, first.cause.action.rows, steps)
    return replace(first, cause=replace(first.cause, action=action), other=tuple(g.cause for g in gaps[1:]))


def turned(folder: Path, trial: Trial) -> tuple[str, ...]:
    """Ids of texts that a run judged rightly as they stand and wrongly in the trial's disguise, those whose
    score moved furthest first. Raises InputError for damaged predictions."""
    name = trial.set if trial.set.startswith("suite.") else "test"
    files = [folder / "predictions" / f"{stem}.parquet" for stem in (name, f"{name}.disguised")]
    if not all(file.exists() for file in files):
        return ()
    clean, every = map(Predictions.read, files)
    said = every.select(every.slices[_SLICE] == str(trial.slice).partition("=")[2])
    row = {id: at for at, id in enumerate(clean.ids)}
    clean = clean.select(np.array([row[id] for id in said.ids], dtype=np.intp))
    column = said.labels.index(trial.label)
    target = said.targets[:, column]
    missed = trial.metric == "recall_drop"
    about = target > 0.5 if missed else target < 0.5
    if name == "test":
        about = about & (said.synthetic == trial.set.endswith(".synthetic"))
    changed = about & (clean.flags[:, column] == missed) & (said.flags[:, column] != missed)
    moved = np.abs(said.scores[:, column] - clean.scores[:, column])
    found = np.flatnonzero(changed)
    order = np.lexsort((said.ids[found].astype(str), -moved[found]))
    return tuple(map(str, said.ids[found[order]]))[:MOST_EXAMPLES]


def _says(label: str, metric: str, of: str, value: float) -> str:
    points = f"{value * 100:.0f} of 100"
    if metric == "recall_drop":
        return f"{of} hides {points} texts of {label}, less what it brings to light"
    return f"{of} has {points} more allowed texts flagged as {label}"


def _action(label: str, kinds: Sequence[str], rows: int, steps: Sequence[Step]) -> Action:
    """rows: training texts that get a copy; steps: those of the normaliser that are on already."""
    parts = dict.fromkeys(part for kind in kinds for part in kind.split("+"))
    # what is held out of training stays so: the lexicon's other entries teach that words are coded
    taught = dict.fromkeys(kind.replace("algospeak_held_out", "algospeak") for kind in kinds)
    missing = [step for kind, step in _UNDONE.items() if kind in parts and step not in steps]
    normalise = f"model.normalise with {', '.join(missing)}, and " if missing else ""
    which = f"a copy of each training text of {label} under one of: {', '.join(taught)}"
    return Action("augment", rows, normalise + which, {"label": label, _SLICE: ", ".join(taught)})


def _above(value: float, error: float) -> float:
    if error <= 0:
        return 0.0 if value > LARGEST_CHANGE else 1.0
    return float(ndtr((LARGEST_CHANGE - value) / error))
