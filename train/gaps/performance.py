"""Recall and false positive rate of every label in every place, held against their targets."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from train.evaluation.intervals import ENOUGH_GROUPS, Positions
from train.evaluation.metrics import ENOUGH, Bools, decided
from train.evaluation.predictions import Predictions
from train.gaps.gap import Trial
from train.gaps.share import LEVEL, SURE, Share, ratio_below, share
from train.gaps.slices import Place, places
from train.gaps.targets import OF_REST, Metric, Target, targets
from train.policy import Policy

MOST_EXAMPLES = 20
MOST_NEEDED = 1_000_000


@dataclass(frozen=True, eq=False)
class Cell:
    """A test, and the texts behind it: `rows` bool [n] of the set, decided cells of the label."""

    trial: Trial
    rows: Bools


def cells(
    predictions: Predictions, fair: Bools, name: str, policy: Policy, prevalence: Mapping[str, float]
) -> Iterator[Cell]:
    """Of every label among the `fair` texts (bool [n]) of the set `name`.

    prevalence: label -> share of the texts that carry it where the model is used; of labels that are not
    named, what the place itself holds.
    """
    _, group = np.unique(predictions.group, return_inverse=True)
    for column, label in enumerate(predictions.labels):
        known = decided(predictions.targets[:, column]) & fair
        constraint = policy.labels[label].constraint
        for place in places(predictions, known):
            for target in targets(constraint, place.slice is None):
                trial = _trial(predictions, group, name, column, place, known, target, prevalence.get(label))
                if trial:
                    yield Cell(trial, place.rows)


def examples(predictions: Predictions, label: str, metric: str, rows: Bools) -> tuple[str, ...]:
    """Ids of the decisions that were most clearly wrong: misses by rising score, false alarms by falling."""
    column = predictions.labels.index(label)
    target, flag = predictions.targets[:, column], predictions.flags[:, column]
    missed = metric == "recall"
    wrong = np.flatnonzero(rows & ((target > 0.5) & ~flag if missed else (target < 0.5) & flag))
    score = predictions.scores[wrong, column] * (1 if missed else -1)
    return tuple(map(str, predictions.ids[wrong[np.lexsort((predictions.ids[wrong].astype(str), score))]]))[
        :MOST_EXAMPLES
    ]


def _trial(
    predictions: Predictions,
    group: Positions,
    name: str,
    column: int,
    place: Place,
    known: Bools,
    target: Target,
    deployed: float | None,
) -> Trial | None:
    """None where a slice holds so nearly all of a set that too little is left to compare it with: what is
    true of the slice is then said of the set."""
    positive = predictions.targets[:, column] > 0.5
    about = known & (positive if target.metric == "recall" else ~positive)
    flag = predictions.flags[:, column]
    inside, outside = place.rows & about, about & ~place.rows
    found, rest = (share(flag[part], group[part]) if part.any() else None for part in (inside, outside))
    enough = _enough(found)
    if place.slice is not None and enough and not _enough(rest):
        return None
    at = target.at if target.at is not None else OF_REST * (rest.value if rest else 0.0)
    if deployed is None:
        stake = float(inside.sum() / place.rows.sum()) if place.rows.any() else 0.0
    else:
        stake = deployed if target.metric == "recall" else 1 - deployed
    p, shared = _beyond(found, target, rest) if found and enough else (None, False)
    return Trial(
        set=name,
        label=predictions.labels[column],
        slice=place.slice,
        also=place.also,
        metric=target.metric,
        value=found.value if found else None,
        ci=found.interval() if found and enough else None,
        n=int(inside.sum()),
        positives=int((place.rows & positive).sum()),
        target=at,
        stake=stake,
        shortfall=_shortfall(found, target.metric, at) if found and enough else 0.0,
        p=p,
        shared=shared,
        proven=bool(found and enough and _kept(found, target.metric, at)),
        needed=needed(target.metric, at, rest.value if rest and target.at is None else None, found),
    )


def _enough(found: Share | None) -> bool:
    return found is not None and found.n >= ENOUGH and found.groups >= ENOUGH_GROUPS


def _beyond(found: Share, target: Target, rest: Share | None) -> tuple[float, bool]:
    """(p-value, whether the target is missed just as the rest misses it).

    A slice has to miss the target and to do worse than the rest: the larger of two p-values tests that both
    hold (Berger 1982), so that what is wrong everywhere is one gap and not many.
    """
    recall = target.metric == "recall"
    if target.at is None and rest:
        return ratio_below(found, rest, OF_REST), False
    assert target.at is not None
    missed = found.below(target.at) if recall else found.above(target.at)
    if rest is None:
        return missed, False
    worse = ratio_below(found, rest, 1) if recall else ratio_below(rest, found, 1)
    return max(missed, worse), missed < 1 - LEVEL <= worse


def _kept(found: Share, metric: Metric, at: float) -> bool:
    return found.low() >= at if metric == "recall" else found.high() <= at


def _shortfall(found: Share, metric: Metric, at: float) -> float:
    return max(0.0, at - found.high() if metric == "recall" else found.low() - at)


def needed(metric: Metric, at: float, expected: float | None, found: Share | None) -> int:
    """Texts that would prove the target kept by a model that keeps it with room: with half the FPR allowed,
    or a recall half-way between the floor and 1 (in a slice: with the recall of the rest). Texts that come
    in groups as the ones at hand do prove less, and more of them are needed.

    Where as many are there, the share is close to its target: then the number that would tell which side
    of it the share seen is on.
    """
    if metric == "fpr":
        kept = _smallest(lambda n: Share(at / 2, n, n, n).high() <= at)
    else:
        true = expected if expected is not None else (1 + at) / 2
        kept = _smallest(lambda n: Share(true, n, n, n).low() >= at) if true > at else MOST_NEEDED
    grouped = found.n / found.worth if found and 0 < found.value < 1 else 1.0
    if found and found.n >= kept * grouped:
        kept = math.ceil((SURE / max(abs(found.value - at), 1e-3)) ** 2 * found.value * (1 - found.value))
        kept = max(kept, math.ceil(found.n / grouped) + 1)
    return min(MOST_NEEDED, max(ENOUGH, round(kept * grouped)))


def _smallest(holds: Callable[[int], bool]) -> int:
    """The smallest n for which a condition that stays true once it is true holds; at most MOST_NEEDED."""
    low, high = 0, MOST_NEEDED
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
