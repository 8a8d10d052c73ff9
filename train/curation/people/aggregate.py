"""Votes to cells: the mean of what people said, or, where annotators are known, what Dawid and Skene (1979)
make of how often each of them errs (crowd-kit)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from train.spec import Spec

if TYPE_CHECKING:
    import pyarrow as pa

Rule = Literal["mean", "dawid-skene"]
ITERATIONS = 100


class People(Spec):
    aggregate: Rule = "mean"
    """How votes become a cell. dawid-skene weighs people by how often they agree with what comes out;
    votes of nobody known, and of people with fewer than `votes`, keep the mean."""
    votes: int = Field(default=20, ge=1)
    """Votes of a label that a person gave at least, to be weighed."""
    least: int = Field(default=1, ge=1)
    """Votes that a cell takes at least."""


def cells(votes: pa.Table, spec: People) -> dict[str, dict[str, float]]:
    """{label: {item: probability}} of the votes that say something. votes: the table of votes.py."""
    import pyarrow.compute as pc

    votes = votes.filter(pc.is_valid(votes.column("value")))
    found = {}
    for label in sorted(set(votes.column("label").to_pylist())):
        its = votes.filter(pc.equal(votes.column("label"), label))
        item, who = (its.column(name).to_numpy(zero_copy_only=False) for name in ("item", "annotator"))
        value = its.column("value").to_numpy()
        said = _mean(item, value)
        counted = {name: int(n) for name, n in zip(*np.unique(item, return_counts=True), strict=True)}
        if spec.aggregate == "dawid-skene":
            said |= dawid_skene(item, who, value, spec.votes)
        found[label] = {name: p for name, p in said.items() if counted[name] >= spec.least}
    return found


def _mean(item: np.ndarray, value: np.ndarray) -> dict[str, float]:
    names, of = np.unique(item, return_inverse=True)
    means = np.bincount(of, weights=value) / np.bincount(of)
    return dict(zip(names.tolist(), means.tolist(), strict=True))


def dawid_skene(item: np.ndarray, annotator: np.ndarray, value: np.ndarray, least: int) -> dict[str, float]:
    """{item: probability} of the items that people with `least` votes voted on, and nobody else.

    A vote of one half says nothing and is left out. Order does not matter: votes are sorted first.
    """
    import pandas as pd
    from crowdkit.aggregation import DawidSkene

    known = np.array([who is not None for who in annotator]) & (value != 0.5)
    names, counts = np.unique(annotator[known].astype(str), return_counts=True)
    able = set(names[counts >= least])
    skilled = np.array([who in able for who in annotator]) & known
    mixed = set(item[~skilled])
    rows = [
        (task, worker, int(v > 0.5))
        for task, worker, v, good in zip(item, annotator, value, skilled, strict=True)
        if good and task not in mixed
    ]
    if not rows or len({label for _, _, label in rows}) < 2:
        return {}
    frame = pd.DataFrame(sorted(rows), columns=["task", "worker", "label"])
    chances = DawidSkene(n_iter=ITERATIONS).fit_predict_proba(frame)
    return {str(task): float(p) for task, p in chances[1].items()}
