"""TF-IDF of words and characters under one logistic regression a label."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from train.baselines.attempt import SPLITS, Attempt
from train.lock import Resolved

WORDS, CHARACTERS, C = (1, 2), (2, 5), 3.0


def tfidf(folder: Path, resolved: Resolved) -> Attempt:
    """Fitted on the train rows; `folder` is not looked at.

    A soft label p counts as a positive example of weight p and a negative one of weight 1 - p; unknown cells
    are left out.
    """
    from scipy.sparse import vstack
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_union

    corpus = resolved.corpus
    features = make_union(
        TfidfVectorizer(ngram_range=WORDS, min_df=2, sublinear_tf=True),
        TfidfVectorizer(analyzer="char_wb", ngram_range=CHARACTERS, min_df=3, sublinear_tf=True),
    )
    train = corpus.rows("train")
    x = features.fit_transform(corpus.texts(train))
    held_out = {split: features.transform(corpus.texts(corpus.rows(split))) for split in SPLITS}
    found = {split: np.zeros((held_out[split].shape[0], len(corpus.labels))) for split in SPLITS}
    for column in range(len(corpus.labels)):
        target = corpus.targets[train, column]
        known = np.flatnonzero(~np.isnan(target))
        p = target[known].astype(np.float64)
        y, weight = np.repeat([1, 0], len(known)), np.concatenate([p, 1 - p])
        counted = weight > 0
        model = LogisticRegression(C=C, max_iter=2000)
        model.fit(vstack([x[known], x[known]]).tocsr()[counted], y[counted], sample_weight=weight[counted])
        for split in SPLITS:
            found[split][:, column] = model.decision_function(held_out[split])
    return Attempt(found, {"words": list(WORDS), "characters": list(CHARACTERS), "C": C})
