"""TF-IDF of words and characters under one logistic regression a label: the model anyone would try first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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


def learned(texts: Sequence[str], targets: np.ndarray) -> Callable[[Sequence[str]], np.ndarray]:
    """A function of m texts that gives probabilities float64 [m, L], NaN for a label that these texts do not
    know both sides of. targets: float [n, L], NaN unknown."""
    union = features((3, 4))
    try:
        x = union.fit_transform(texts)
    except ValueError:  # no word or piece of one occurs often enough to be learned from
        return lambda asked: np.full((len(asked), targets.shape[1]), np.nan)
    models = [
        fitted(x, target) if (target > 0).any() and (target < 1).any() else None for target in targets.T
    ]

    def score(asked: Sequence[str]) -> np.ndarray:
        scores = np.full((len(asked), len(models)), np.nan)
        found = union.transform(asked)
        for column, model in enumerate(models):
            if model is not None:
                scores[:, column] = model.predict_proba(found)[:, 1]
        return scores

    return score
