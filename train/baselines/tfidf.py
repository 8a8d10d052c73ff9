"""TF-IDF of words and characters under one logistic regression a label."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from train.baselines.attempt import SPLITS, Attempt
from train.errors import InputError, Problem
from train.lock import Resolved
from train.model.linear import CHARACTERS, WORDS, C, features, fitted


def tfidf(folder: Path, resolved: Resolved) -> Attempt:
    """Fitted on the train rows; `folder` is not looked at.

    Raises InputError where the train rows know a label's positives alone.
    """
    corpus = resolved.corpus
    union = features()
    train = corpus.rows("train")
    if sure := [
        Problem(label, "train rows know no text without it", "some of both", "another baseline")
        for column, label in enumerate(corpus.labels)
        if not (corpus.targets[train, column] < 1).any()
    ]:
        raise InputError(sure)
    x = union.fit_transform(corpus.texts(train))
    models = [fitted(x, corpus.targets[train, column]) for column in range(len(corpus.labels))]

    def score(texts: Sequence[str]) -> np.ndarray:
        found = union.transform(texts)
        return np.column_stack([model.decision_function(found) for model in models])

    logits = {split: score(corpus.texts(corpus.rows(split))) for split in SPLITS}
    return Attempt(logits, score, {"words": list(WORDS), "characters": list(CHARACTERS), "C": C})
