"""A shortcut alarm: can a text's source be told from its words, and does a label's score tell it?

A model that has learned which source a text is from looks good on pooled figures and fails on the next one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from train.evaluation.measured import Bounds, Figures, Measured, area, counts, told
from train.evaluation.metrics import ENOUGH
from train.evaluation.predictions import Predictions, Strings

BEYOND = 0.1
"""An alarm is an area whose interval lies wholly outside .5 -+ this. Of normal scores, .6 is a shift of .36
standard deviations (.6 = Phi(d / sqrt 2)), between Cohen's small and medium effect. Sources do differ that
much in how hard their texts are, and on thousands of texts any difference at all is significant."""
AMONG: dict[str, Literal["negatives", "positives"]] = {
    "source_auc": "negatives",
    "source_auc_positives": "positives",
}
FOLDS = 3
MOST_TEXTS = 3_000
"""Of more texts a sample is taken: the classifier's area hardly moves, its time does."""


def source_areas(predictions: Predictions, name: str) -> tuple[Figures, Bounds]:
    """Does a label's score tell sources apart among texts with the same answer? Figures and 95% intervals.

    `<name>/<label>/source_auc/source=<s>`: AUROC of the score, the negatives of a source against those of all
    others; `source_auc_positives` likewise. At .5 the score says nothing of the source. n, positives and
    negatives are the source's. Only where a source and the others have ENOUGH of them.
    """
    figures: Figures = {}
    measured: dict[str, Measured] = {}
    for j, label in enumerate(predictions.labels):
        target, score = predictions.targets[:, j], predictions.scores[:, j]
        answers = {"negatives": target < 0.5, "positives": target > 0.5}
        for source in sorted(set(predictions.source)):
            mine, part = np.asarray(predictions.source == source), f"source={source}"
            found = {}
            for metric, among in AMONG.items():
                own, others = (np.flatnonzero(answers[among] & of) for of in (mine, ~mine))
                if min(len(own), len(others)) >= ENOUGH:
                    found[f"{name}/{label}/{metric}/{part}"] = area(own, others, score)
            if found:
                counted = counts(target[mine])
                figures |= {f"{name}/{label}/{metric}/{part}": n for metric, n in counted.items()}
                measured |= found
    values, bounds = told(measured, predictions.group)
    return figures | values, bounds


@dataclass(frozen=True)
class Alarm:
    """A label's score that tells a source among texts with one answer.

    auc: above .5, the source's texts get higher scores than others. Among negatives alone, a source's may
    just be harder. The same side among negatives and positives: the score has learned the source.
    """

    label: str
    source: str
    among: Literal["negatives", "positives"]
    auc: float
    low: float
    high: float


def alarms(figures: Mapping[str, Any], bounds: Mapping[str, Any], name: str) -> Iterator[Alarm]:
    """Of the figures of `source_areas`, those whose interval lies wholly beyond .5 -+ BEYOND."""
    for key, (low, high) in bounds.items():
        set_, label, metric, *part = key.split("/", 3)
        if set_ == name and metric in AMONG and (low > 0.5 + BEYOND or high < 0.5 - BEYOND):
            yield Alarm(label, part[0].removeprefix("source="), AMONG[metric], figures[key], low, high)


def telling_words(
    texts: Sequence[str], source: Strings, group: Strings, name: str, seed: int = 0
) -> tuple[Figures, Bounds]:
    """How well words tell a text's source: `<name>/any/text_source_auc/source=<s>`, with 95% intervals.

    AUROC, one source against the others, of TF-IDF and logistic regression that has seen no text of the same
    group; texts, source, group: [n]. n: texts; positives: those of the source. It says what a model could
    learn of a source, not that it did. Nothing where there is one source, fewer groups than
    folds, or no word that stands twice.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.pipeline import make_pipeline

    chosen = np.sort(np.random.default_rng(seed).permutation(len(texts))[:MOST_TEXTS])
    said, source, group = [texts[row] for row in chosen], source[chosen], group[chosen].astype(str)
    names, of = np.unique(source.astype(str), return_inverse=True)
    if len(names) < 2 or len(np.unique(group)) < FOLDS:
        return {}, {}
    scores = np.zeros((len(said), len(names)))
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    for seen, held in folds.split(said, of, group):
        one = LogisticRegression(C=10, solver="liblinear")  # ten times faster here than all at once by lbfgs
        model = make_pipeline(TfidfVectorizer(min_df=2, sublinear_tf=True), OneVsRestClassifier(one))
        try:
            model.fit([said[row] for row in seen], of[seen])
        except ValueError:  # no word stands twice: words tell nothing
            return {}, {}
        scores[np.ix_(held, model.classes_)] = model.predict_proba([said[row] for row in held])
    figures: Figures = {}
    measured: dict[str, Measured] = {}
    for position, value in enumerate(names):
        own, others = np.flatnonzero(of == position), np.flatnonzero(of != position)
        counted = {"n": len(of), "positives": len(own), "negatives": len(others)}
        figures |= {f"{name}/any/{metric}/source={value}": n for metric, n in counted.items()}
        measured[f"{name}/any/text_source_auc/source={value}"] = area(own, others, scores[:, position])
    values, bounds = told(measured, group)
    return figures | values, bounds
