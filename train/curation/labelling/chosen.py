"""Which rows are asked about: training rows with an unknown cell, and gold rows to judge verdicts by; and
which of them may leave this machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from train.curation.labelling.spec import Labelling
from train.files import hashed
from train.policy import ESCALATED, Policy

GOLD_SPLITS = ("dev", "calibration")
"""Test rows are opened once, for models, and judge no labeller."""


class Chosen(NamedTuple):
    """fill, gold: positions, ascending. own: bool [gold, L], rows that were drawn for a label; others of its
    gold rows were drawn for what else they carry. odds: float [L], the odds of a positive among all rows that
    gold is drawn from, to those among its own: of a rare label far below 1."""

    fill: np.ndarray
    gold: np.ndarray
    own: np.ndarray
    odds: np.ndarray


def chosen(
    ids: np.ndarray, split: np.ndarray, real: np.ndarray, cells: np.ndarray, spec: Labelling
) -> Chosen:
    """Rows to fill, and gold rows. ids, split: str [n]; real: bool [n]; cells: float [n, L] of the labels
    that are asked for, NaN unknown.

    Which rows is a function of (seed, id): one row more in the data moves nobody. Synthetic rows are neither:
    how well a model judges texts that were written to be clear says nothing of how well it judges others.
    """
    order = np.array([hashed("label", spec.seed, id) for id in ids], dtype=np.uint64)
    unknown = np.flatnonzero((split == "train") & real & np.isnan(cells).any(axis=1))
    fill = unknown[np.argsort(order[unknown], kind="stable")][: spec.rows]
    held = np.isin(split, GOLD_SPLITS) & real
    own, odds = np.zeros(cells.shape, dtype=bool), np.ones(cells.shape[1])
    for column in range(cells.shape[1]):
        share = []
        for side in (cells[:, column] > 0.5, cells[:, column] < 0.5):
            rows = np.flatnonzero(held & side)
            drawn = rows[np.argsort(order[rows], kind="stable")][: spec.gold]
            own[drawn, column] = True
            share.append(len(drawn) / max(len(rows), 1))
        odds[column] = share[1] / share[0] if min(share) else 1.0
    gold = np.flatnonzero(own.any(axis=1))
    return Chosen(np.sort(fill), gold, own[gold], odds)


def escalated(labels: Sequence[str], cells: np.ndarray, policy: Policy, cautious: bool = True) -> np.ndarray:
    """Rows that a label of tier 3 holds for or may hold for, bool [n]: where a cell is above 0.

    cautious, as for texts that would leave this machine: also where it is unknown while the row carries
    another label, since harm seldom comes alone, and where nothing is known of the row. cells: float [n, L].
    """
    grave = [at for at, label in enumerate(labels) if policy.labels[label].tier == ESCALATED]
    if not grave:
        return np.zeros(len(cells), dtype=bool)
    said = np.asarray((cells[:, grave] > 0).any(axis=1))
    if not cautious:
        return said
    harmful = (cells > 0.5).any(axis=1)
    unclear = np.isnan(cells).all(axis=1)
    return said | (np.isnan(cells[:, grave]).any(axis=1) & (harmful | unclear))


def kept_here(
    labels: Sequence[str], cells: np.ndarray, policy: Policy, alike: Sequence[np.ndarray]
) -> np.ndarray:
    """Rows whose text must not leave this machine, bool [n]: those that tier 3 may hold for, and those that
    are like one it does hold for. alike: str [n] each, such as cluster (the same text, or nearly) and group
    (a thread, whose later messages repeat the earlier ones)."""
    grave = escalated(labels, cells, policy, cautious=False)
    found = escalated(labels, cells, policy)
    for of in alike:
        found = found | np.isin(of, of[grave])
    return np.asarray(found)
