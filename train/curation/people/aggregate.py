"""Votes to cells: the mean of what people said, or, where annotators are known, what Dawid and Skene (1979)
make of how often each of them errs (crowd-kit)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from pydantic import Field

from train.spec import Spec

if TYPE_CHECKING:
    import pyarrow as pa

Rule = Literal["mean", "dawid-skene"]
Level = Literal["nominal", "ordinal", "interval"]
ITERATIONS = 100
PEOPLE = 3
"""Two people who differ cannot tell which of them errs (Dawid & Skene 1979)."""


class People(Spec):
    aggregate: Rule = "mean"
    """How votes become a cell. dawid-skene weighs people by how often they agree with what comes out; items
    that nobody known voted on, or somebody with fewer than `votes`, keep the mean; it is counted."""
    votes: int = Field(default=20, ge=1)
    """Votes of a label that a person gave at least, to be weighed."""
    least: int = Field(default=1, ge=1)
    """Votes that a cell takes at least."""
    adjudicated: Literal["decide", "count"] = "decide"
    """Votes of a later round decide alone, or count as those of the first do. Agreement is of the first."""
    disagreements: int = Field(default=100, ge=0)
    """Rows in the queue of those that people's votes differ on most, for somebody to decide; 0: no queue."""
    send_escalated: bool = False
    """Whether texts that a tier-3 label holds for, or may hold for, go into that queue."""
    level: Level = "interval"
    """Of Krippendorff's alpha: how far apart two votes are. It is one for votes of yes and no alone."""


class Cells(NamedTuple):
    """said: item -> probability; weighed: those of them that Dawid-Skene gave, the others are means."""

    said: dict[str, float]
    weighed: frozenset[str]


def cells(votes: pa.Table, spec: People) -> dict[str, Cells]:
    """By label, of the votes that say something. votes: the table of votes.py."""
    import pyarrow.compute as pc

    votes = votes.filter(pc.is_valid(votes.column("value")))
    found = {}
    for label in sorted(set(votes.column("label").to_pylist())):
        its = votes.filter(pc.equal(votes.column("label"), label))
        item, who = (its.column(name).to_numpy(zero_copy_only=False) for name in ("item", "annotator"))
        value = its.column("value").to_numpy()
        if spec.adjudicated == "decide":
            rows = _last_round(item, its.column("round").to_numpy())
            item, who, value = item[rows], who[rows], value[rows]
        names, of, number = np.unique(item.astype(str), return_inverse=True, return_counts=True)
        means = np.bincount(of, weights=value) / number
        weighed = dawid_skene(item, who, value, spec.votes) if spec.aggregate == "dawid-skene" else {}
        said = {
            name: weighed.get(name, mean)
            for name, mean, n in zip(names.tolist(), means.tolist(), number, strict=True)
            if n >= spec.least
        }
        found[label] = Cells(said, frozenset(weighed.keys() & said.keys()))
    return found


def _last_round(item: np.ndarray, rounds: np.ndarray) -> np.ndarray:
    """Which votes are of the last round that their item was in, bool [n]."""
    _, of = np.unique(item.astype(str), return_inverse=True)
    last = np.zeros(int(of.max(initial=-1)) + 1, dtype=rounds.dtype)
    np.maximum.at(last, of, rounds)
    return np.asarray(rounds == last[of])


def dawid_skene(item: np.ndarray, annotator: np.ndarray, value: np.ndarray, least: int) -> dict[str, float]:
    """{item: probability} of the items that people with `least` votes voted on, and nobody else. Empty
    where fewer than PEOPLE such people did.

    A vote of one half takes no side and is left out. Order does not matter: votes are sorted first.
    """
    import pandas as pd
    from crowdkit.aggregation import DawidSkene

    sided = value != 0.5
    item, annotator, yes = item[sided], annotator[sided], (value[sided] > 0.5).astype(int)
    known = np.array([who is not None for who in annotator], dtype=bool)
    names, counts = np.unique(annotator[known].astype(str), return_counts=True)
    able = set(names[counts >= least])
    mixed = {task for task, who in zip(item, annotator, strict=True) if who not in able}
    rows = [
        row
        for row in zip(item.tolist(), annotator.tolist(), yes.tolist(), strict=True)
        if row[0] not in mixed
    ]
    if len({who for _, who, _ in rows}) < PEOPLE or len({said for *_, said in rows}) < 2:
        return {}
    frame = pd.DataFrame(sorted(rows), columns=["task", "worker", "label"])
    chances = DawidSkene(n_iter=ITERATIONS).fit_predict_proba(frame)
    return {str(task): float(p) for task, p in chances[1].items()}
