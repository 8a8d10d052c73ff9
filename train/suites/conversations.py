"""How early a conversation is found: predictions of it after each of its turns go in, figures come out.

A conversation counts as flagged from its first flagged prefix on: a service that reads along would stop it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from train.evaluation.intervals import Positions, clopper_pearson
from train.evaluation.measured import LEVEL, Bounds, Figures, Measured, share, told
from train.evaluation.metrics import Bools, Decisions, Floats, Numbers, allowed, decided, harmful
from train.evaluation.predictions import Predictions, Strings
from train.example import TURN
from train.suites.rows import TestSet

MOST_TURNS = 20
"""Recall is told after each turn up to this one; of longer conversations the shares seen tell the rest."""
PERCENT_SEEN = (25, 50, 75, 100)


def prefixes(text: str) -> list[str]:
    """A conversation after its first turn, its first two, and so on to the whole."""
    turns = text.split(TURN)
    return [TURN.join(turns[:seen]) for seen in range(1, len(turns) + 1)]


def turn_by_turn(test: TestSet) -> TestSet:
    """Every prefix of every conversation as a text of its own, set `<name>.turns`: id `<id>#<turns seen>`,
    and slices conversation (its id), turn (turns seen) and turns (of the whole).

    Group, targets and the other slices are the conversation's. What is true of the whole need not hold for a
    prefix, so `conversations` reads such a set and `measure` would misread it.
    """
    parts = [prefixes(text) for text in test.texts]
    rows = np.repeat(np.arange(len(test)), [len(part) for part in parts])
    turn = [str(seen) for part in parts for seen in range(1, len(part) + 1)]
    own = {"conversation": test.ids[rows], "turn": turn, "turns": [str(len(parts[row])) for row in rows]}
    return replace(
        test,
        name=f"{test.name}.turns",
        texts=[text for part in parts for text in part],
        ids=np.array([f"{test.ids[row]}#{seen}" for row, seen in zip(rows, turn, strict=True)], dtype=object),
        group=test.group[rows],
        source=test.source[rows],
        synthetic=test.synthetic[rows],
        slices={name: values[rows] for name, values in test.slices.items()}
        | {name: np.array(values, dtype=object) for name, values in own.items()},
        targets=test.targets[rows],
    )


@dataclass(frozen=True)
class _Found:
    """Conversations [c]. turns: how long; onset: NaN where unknown; first: the turn it was flagged with,
    infinity where it never was."""

    label: str
    harmful: Bools
    benign: Bools
    turns: Floats
    onset: Floats
    first: Floats
    group: Strings


def conversations(predictions: Predictions, name: str) -> tuple[Figures, Bounds]:
    """Figures and 95% intervals under `<name>/<label or any>/<metric>`, from a `turn_by_turn` set.

    recall/turns=<k>: share of harmful conversations flagged with their k-th turn or before; one that ends
    earlier, at its end. recall/turns=<p>%: with at most that share of its turns seen, so that 100% says
    whether it was ever found. speed: 1 less the median `penalty` of those found; f_latency: F1 of
    conversations times speed (Sadeque, Xu & Bethard 2018, WSDM, doi:10.1145/3159652.3159725); whoever flags
    everything at once has all the speed, and 2/3 where half is harmful, so it never stands alone.
    false_alarms: how many of 1,000 benign conversations are ever flagged.

    found/onset=<before, at or after>: share of the harmful ones with a known onset that are first flagged
    there; the rest is not found. delay: median turns from onset to flag, of those found. Below 0 the flag
    came before a careful moderator would have stepped in: that is foresight only where benign conversations
    with the same opening are left alone, so it is read beside false_alarms.

    positives and negatives count conversations, with the suffix where there is one. Intervals resample groups
    (the pairs), but for false_alarms, whose is exact. `any` is as in `measure`: a harmful conversation is
    found under a label that holds for it, a benign one flagged under a known one.
    """
    figures: Figures = {}
    bounds: Bounds = {}
    for found in _by_label(predictions):
        key = f"{name}/{found.label}"
        harm, benign = np.flatnonzero(found.harmful), np.flatnonzero(found.benign)
        dated = np.flatnonzero(found.harmful & np.isfinite(found.onset))
        figures |= {f"{key}/positives": len(harm), f"{key}/negatives": len(benign)}
        measured: dict[str, Measured] = {}
        for of, flagged in _seen(found).items():
            figures[f"{key}/positives/{of}"] = len(harm)
            measured[f"{key}/recall/{of}"] = share(harm, flagged)
        for of, flagged in _around_onset(found).items():
            figures[f"{key}/positives/{of}"] = len(dated)
            measured[f"{key}/found/{of}"] = share(dated, flagged)
        measured[f"{key}/delay"] = _median(dated[np.isfinite(found.first[dated])], found.first - found.onset)
        measured |= {f"{key}/{metric}": figure for metric, figure in _latency(found).items()}
        values, sure = told(measured, found.group)
        alarms = int(np.isfinite(found.first[benign]).sum())
        values[f"{key}/false_alarms"] = 1000 * alarms / len(benign) if len(benign) else None
        if len(benign):
            low, high = clopper_pearson(alarms, len(benign), LEVEL)
            sure[f"{key}/false_alarms"] = (1000 * low, 1000 * high)
        figures, bounds = figures | values, bounds | sure
    return figures, bounds


def penalty(turn: Numbers, middle: float) -> Floats:
    """What a flag at each turn costs, 0 at the first: 2 / (1 + exp(-p (turn - 1))) - 1, with the p that makes
    it .5 at turn `middle`. That is tanh(p (turn - 1) / 2), and p = ln 3 / (middle - 1)."""
    p = np.log(3) / max(middle - 1, 1e-9)  # where one turn is all: no penalty at the first, all of it later
    return np.asarray(np.tanh(p * (np.asarray(turn, dtype=np.float64) - 1) / 2))


def _latency(found: _Found) -> dict[str, Measured]:
    """speed and f_latency; p is the suite's, so that it stays the same in every resample."""
    rows = np.flatnonzero(found.harmful | found.benign)
    flagged = np.isfinite(found.first)
    middle = float(np.median(found.turns[found.harmful])) if found.harmful.any() else np.nan
    late = _median(np.flatnonzero(found.harmful & flagged), penalty(found.first, middle))

    def speed(weights: Numbers) -> Floats:
        return 1 - late.again(weights)

    def f_latency(weights: Numbers) -> Floats:
        f1 = Decisions(found.harmful[rows], flagged[rows], weights[..., rows]).f1()
        return np.where(f1 == 0, 0.0, f1 * speed(weights))  # nothing found: no speed to speak of

    once = np.ones(len(found.first), dtype=np.int64)
    kinds = (np.flatnonzero(found.harmful), np.flatnonzero(found.benign))
    return {
        "speed": Measured(_plain(speed(once)), speed, late.rows),
        "f_latency": Measured(_plain(f_latency(once)), f_latency, kinds),
    }


def _median(rows: Positions, of: Floats) -> Measured:
    """Median of `of` [c] over the rows; of an even number the mean of the two in the middle."""
    ranked = rows[np.argsort(of[rows], kind="stable")]
    values = of[ranked]

    def again(weights: Numbers) -> Floats:
        up_to = np.cumsum(weights[..., ranked], axis=-1)
        total = weights[..., ranked].sum(axis=-1)
        at = [(up_to <= place[..., None]).sum(axis=-1) for place in ((total - 1) // 2, total // 2)]
        padded = np.append(values, np.nan)  # where nothing was drawn
        return np.asarray(np.where(total > 0, (padded[at[0]] + padded[at[1]]) / 2, np.nan))

    return Measured(float(np.median(values)) if len(values) else None, again, (rows,))


def _seen(found: _Found) -> dict[str, Bools]:
    """`turns=...` -> conversations flagged by then [c]."""
    most = int(min(found.turns[found.harmful].max(initial=0), MOST_TURNS))
    by_turn = {f"turns={seen}": found.first <= seen for seen in range(1, most + 1)}
    return by_turn | {
        f"turns={percent}%": found.first * 100 <= percent * found.turns for percent in PERCENT_SEEN
    }


def _around_onset(found: _Found) -> dict[str, Bools]:
    """`onset=...` -> conversations first flagged there [c]."""
    return {
        "onset=before": found.first < found.onset,
        "onset=at": found.first == found.onset,
        "onset=after": (found.first > found.onset) & np.isfinite(found.first),
    }


def _by_label(predictions: Predictions) -> Iterator[_Found]:
    """The conversations as each label with a known cell has them, and as any has."""
    slices = predictions.slices
    _, one, of = np.unique(slices["conversation"], return_index=True, return_inverse=True)
    turn, turns = (slices[name].astype(np.float64) for name in ("turn", "turns"))
    onset = np.array(slices.get("onset", np.full(len(turn), None)), dtype=np.float64)  # None: NaN
    known = decided(predictions.targets)
    (fair, wrongly), (harm, rightly) = allowed(predictions), harmful(predictions)
    columns = [
        (label, known[:, j] & (predictions.targets[:, j] > 0.5), predictions.flags[:, j], known[:, j])
        for j, label in enumerate(predictions.labels)
        if known[:, j].any()
    ]
    columns.append(("any", harm, np.where(harm, rightly, wrongly), harm | fair))
    for label, positive, flag, judged in columns:
        first = np.full(len(one), np.inf)
        np.minimum.at(first, of[flag], turn[flag])
        benign = judged & ~positive
        yield _Found(label, positive[one], benign[one], turns[one], onset[one], first, predictions.group[one])


def _plain(value: Floats) -> float | None:
    number = float(value)
    return None if np.isnan(number) else number
