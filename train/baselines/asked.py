"""Which of a split's rows an LLM is asked about: those that may leave, or a sample of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from train.data.corpus import Corpus
from train.errors import Failure, Problem
from train.evaluation.predictions import Predictions
from train.files import hashed
from train.policy import ESCALATED, Policy


def escalated(corpus: Corpus, policy: Policy, split: str, folder: Path) -> np.ndarray:
    """Rows of a split, bool [n], that a label of tier 3 holds for or may hold for.

    It may where any source says so, if only in part, of any equal text, also of a label that is not trained;
    and, where none says, where the run flagged it. Raises Failure where the run's predictions are not of this
    split's rows.
    """
    rows = corpus.rows(split)
    grave = [name for name, label in policy.labels.items() if label.tier == ESCALATED]
    twin, found = corpus.table.column("twin").to_numpy(), np.zeros(corpus.table.num_rows, dtype=bool)
    for label in grave:
        if f"label.{label}" in corpus.table.column_names:
            found |= corpus.table.column(f"label.{label}").to_numpy().astype(np.float64) > 0
    said = np.isin(twin[corpus.row[rows]], twin[found])
    of_run = Predictions.read(path := folder / "predictions" / f"{split}.parquet")
    if not np.array_equal(of_run.ids, corpus.column("id", rows)):
        raise Failure(
            Problem(str(path), "is of other rows", "those of the run's split", "teensafe evaluate RUN")
        )
    columns = [j for j, label in enumerate(of_run.labels) if label in grave]
    unknown = np.isnan(of_run.targets[:, columns])
    return said | (unknown & of_run.flags[:, columns]).any(axis=1)


def sample(groups: np.ndarray, allowed: np.ndarray, rows: int | None, seed: int) -> np.ndarray:
    """Positions, ascending, of at most `rows` texts that are allowed: all of one group, then of another, in
    an order that is a function of (seed, group). groups: str [n]; allowed: bool [n]."""
    positions = np.flatnonzero(allowed)
    if rows is None or len(positions) <= rows:
        return positions
    place = {group: hashed("asked", seed, group) for group in set(groups[positions])}
    order = np.argsort([place[group] for group in groups[positions]], kind="stable")
    return np.sort(positions[order[:rows]])
