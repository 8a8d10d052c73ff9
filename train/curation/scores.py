"""Out-of-fold scores: what a model says of rows whose group it has not seen, so that no label vouches for
itself.

The model is a function, so a team brings its own: (texts, cells float [n, L], NaN unknown) -> a function of
texts that gives a probability for each label, float [m, L], NaN for one that it could not learn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from train.files import hashed
from train.model.linear import learned

Scorer = Callable[[Sequence[str]], np.ndarray]
Fit = Callable[[Sequence[str], np.ndarray], Scorer]


def out_of_fold(
    texts: Sequence[str],
    cells: np.ndarray,
    groups: Sequence[str],
    folds: int,
    seed: int,
    fit: Fit = learned,
) -> np.ndarray:
    """Probabilities float64 [n, L] of every row, by a model fitted on the folds that hold none of its group.

    texts, groups: [n]; cells: float [n, L], NaN unknown. Groups are dealt to folds in an order of chance that
    their names and the seed decide: the order of rows does not matter, and folds have equally many groups,
    give or take one. NaN where the other folds know no text with the label, or none without it.
    """
    text = np.array(texts, dtype=object)
    names, group = np.unique(np.array(groups, dtype=object), return_inverse=True)
    dealt = np.argsort(np.array([hashed("fold", seed, name) for name in names]), kind="stable")
    fold = np.empty(len(names), dtype=np.int64)
    fold[dealt] = np.arange(len(names)) % folds
    known = ~np.isnan(cells).all(axis=1)
    scores = np.full(cells.shape, np.nan)
    for held in range(min(folds, len(names))):
        inside, others = fold[group] == held, (fold[group] != held) & known
        if others.any():
            scores[inside] = fit(text[others].tolist(), cells[others])(text[inside].tolist())
    return scores
