"""TF-IDF of words and characters under one logistic regression a label."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from train.baselines.attempt import SPLITS, Attempt
from train.errors import InputError, Problem
from train.lock import Resolved

WORDS, CHARACTERS, C = (1, 2), (2, 5), 3.0


def tfidf(folder: Path, resolved: Resolved) -> Attempt:
    """Fitted on the train rows; `folder` is not looked at.

    A soft label p counts as a positive example of weight p and a negative one of weight 1 - p; unknown cells
    are left out. Raises InputError where the train rows know a label's positives alone.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_union

    corpus = resolved.corpus
    features = make_union(
        TfidfVectorizer(ngram_range=WORDS, min_df=2, sublinear_tf=True),
        TfidfVectorizer(analyzer="char_wb", ngram_range=CHARACTERS, min_df=3, sublinear_tf=True),
    )
    train = corpus.rows("train")
    if sure := [
        Problem(label, "train rows know no text without it", "some of both", "another baseline")
        for column, label in enumerate(corpus.labels)
        if not (corpus.targets[train, column] < 1).any()
    ]:
        raise InputError(sure)
    x = features.fit_transform(corpus.texts(train))
    models = [_fitted(x, corpus.targets[train, column]) for column in range(len(corpus.labels))]

    def score(texts: Sequence[str]) -> np.ndarray:
        found = features.transform(texts)
        return np.column_stack([model.decision_function(found) for model in models])

    logits = {split: score(corpus.texts(corpus.rows(split))) for split in SPLITS}
    return Attempt(logits, score, {"words": list(WORDS), "characters": list(CHARACTERS), "C": C})


def _fitted(x: Any, target: np.ndarray) -> Any:
    """One label's regression; x: features [n, F]; target: float [n], NaN unknown."""
    from scipy.sparse import vstack
    from sklearn.linear_model import LogisticRegression

    known = np.flatnonzero(~np.isnan(target))
    p = target[known].astype(np.float64)
    y, weight = np.repeat([1, 0], len(known)), np.concatenate([p, 1 - p])
    counted = weight > 0
    model = LogisticRegression(C=C, max_iter=2000)
    return model.fit(vstack([x[known]] * 2).tocsr()[counted], y[counted], sample_weight=weight[counted])
