"""TF-IDF of words and characters under one logistic regression a label: the model anyone would try first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

WORDS, CHARACTERS, C = (1, 2), (2, 5), 3.0


def features(characters: tuple[int, int] = CHARACTERS) -> Any:
    """A scikit-learn union to fit on texts. characters: lengths of pieces of words."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_union

    return make_union(
        TfidfVectorizer(ngram_range=WORDS, min_df=2, sublinear_tf=True),
        TfidfVectorizer(analyzer="char_wb", ngram_range=characters, min_df=3, sublinear_tf=True),
    )


def fitted(x: Any, target: np.ndarray) -> Any:
    """One label's regression. x: features [n, F]; target: float [n], NaN unknown.

    A soft label p counts as a positive example of weight p and a negative one of weight 1 - p; unknown cells
    are left out.
    """
    from scipy.sparse import vstack
    from sklearn.linear_model import LogisticRegression

    known = np.flatnonzero(~np.isnan(target))
    p = target[known].astype(np.float64)
    y, weight = np.repeat([1, 0], len(known)), np.concatenate([p, 1 - p])
    counted = weight > 0
    model = LogisticRegression(C=C, max_iter=2000)
    return model.fit(vstack([x[known]] * 2).tocsr()[counted], y[counted], sample_weight=weight[counted])


def out_of_fold(
    texts: Sequence[str], targets: np.ndarray, groups: np.ndarray, folds: int, seed: int
) -> np.ndarray:
    """Probabilities float64 [n, L] by models that saw no row of the same group; NaN where a label's cell is
    unknown, or where the other folds know no text with it, or none without.

    targets: float [n, L], NaN unknown; groups: int [n]. The vocabulary, which knows no label, is of all
    texts.
    """
    x = features((3, 4)).fit_transform(texts).tocsr()
    fold = np.random.default_rng(seed).permutation(int(groups.max(initial=-1)) + 1)[groups] % folds
    scores = np.full(targets.shape, np.nan)
    for column in range(targets.shape[1]):
        target = targets[:, column]
        known = ~np.isnan(target)
        for held in range(folds):
            inside, outside = known & (fold == held), known & (fold != held)
            if inside.any() and (target[outside] > 0).any() and (target[outside] < 1).any():
                model = fitted(x[outside], target[outside])
                scores[inside, column] = model.predict_proba(x[inside])[:, 1]
    return scores
