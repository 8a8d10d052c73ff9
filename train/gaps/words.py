"""Words that give a label away in one source and mean nothing in the others: candidates for shortcuts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from train.data.corpus import Corpus
from train.evaluation.metrics import ENOUGH, decided

MOST_TEXTS = 50_000
"""Training texts that are counted; of more, evenly chosen ones."""
IN_TEXTS = 10
"""A word of fewer training texts is not looked at: it might be somebody's own, and it moves no figure."""
PRIOR = 10.0
"""Texts that the prior is worth: a word of 1% of all texts is taken to have been in .1 of a text before."""
SURE = 5.0
"""z of the log-odds ratio: .05 shared out among some 100,000 words (two-sided 5.7e-7 each)."""
PURE = 0.95
"""Share of the source's texts with the word that have the label (or all that lack it)."""
TIMES = 10.0
"""Odds ratio: where most texts of a source have the label anyway, purity alone would say nothing."""
COVERS = 0.1
"""Share of the source's positives (or negatives) with the word below which it decides little."""
ELSEWHERE = 2.0
"""Odds ratio in the other sources up to which the word means nothing there."""
MOST = 3
"""Words of one label and source: the surest."""


@dataclass(frozen=True)
class Word:
    """A word of training texts of one source: `texts` with it, of which share `pure` are positive (if
    `positive`) or negative; covers: share of that side's texts with it; odds ratio here and elsewhere."""

    label: str
    source: str
    word: str
    positive: bool
    texts: int
    pure: float
    covers: float
    odds: float
    elsewhere: float


class Words:
    """Which words each training text holds, counted once for all labels."""

    def __init__(self, corpus: Corpus) -> None:
        from sklearn.feature_extraction.text import CountVectorizer

        train = corpus.rows("train")
        self._rows = train[:: max(1, math.ceil(len(train) / MOST_TEXTS))]
        counter = CountVectorizer(binary=True, token_pattern=r"\w+|[^\w\s]", lowercase=True)
        self._holds: Any = counter.fit_transform(corpus.texts(self._rows))
        self._words = counter.get_feature_names_out()
        self._corpus = corpus

    def telltale(self, label: str, synthetic: bool) -> Iterator[Word]:
        """Of each real (or synthetic) source with enough texts, words that tell positives or negatives.

        The statistic is the log-odds ratio with an informative Dirichlet prior (Monroe, Colaresi & Quinn
        2008), here of texts with the word, the prior being the word's frequency in all texts.
        """
        corpus, column = self._corpus, self._corpus.labels.index(label)
        target = corpus.targets[self._rows, column]
        known = decided(target) & (corpus.synthetic[self._rows] == synthetic)
        positive, source = target > 0.5, corpus.source[self._rows]
        for name in sorted(set(source[known])):
            inside = known & (source == name)
            outside = known & ~inside
            if min((inside & positive).sum(), (inside & ~positive).sum()) < ENOUGH or not outside.any():
                continue
            here = self._sides(inside, positive)
            there = self._sides(outside, positive)
            prior = self._frequency(known)
            for side in (True, False):
                found = _telltale(here, there, prior, side)
                for k, pure, covers, odds, elsewhere in found[:MOST]:
                    texts = int(here[0][0][k] + here[1][0][k])
                    yield Word(label, name, str(self._words[k]), side, texts, pure, covers, odds, elsewhere)

    def _sides(self, rows: np.ndarray, positive: np.ndarray) -> tuple[_Side, _Side]:
        """(texts with each word [W], texts) of the positives and of the negatives."""
        plus, minus = (
            (np.asarray(self._holds[part].sum(axis=0)).ravel().astype(float), int(part.sum()))
            for part in (rows & positive, rows & ~positive)
        )
        return plus, minus

    def _frequency(self, rows: np.ndarray) -> np.ndarray:
        count = np.asarray(self._holds[rows].sum(axis=0)).ravel()
        return (count + 0.5) / (rows.sum() + 1)


_Side = tuple[np.ndarray, int]


def _telltale(
    here: tuple[_Side, _Side], there: tuple[_Side, _Side], prior: np.ndarray, positive: bool
) -> list[tuple[int, float, float, float, float]]:
    """(word, pure, covers, odds, elsewhere), surest first. here, there: positives and negatives."""
    mine, other = here if positive else here[::-1]
    odds, z = _log_odds(mine, other, prior)
    elsewhere, _ = _log_odds(*(there if positive else there[::-1]), prior)
    texts = mine[0] + other[0]
    pure = np.divide(mine[0], texts, out=np.zeros_like(texts), where=texts > 0)
    covers = mine[0] / mine[1]
    found = np.flatnonzero(
        (z >= SURE)
        & (pure >= PURE)
        & (covers >= COVERS)
        & (odds >= math.log(TIMES))
        & (elsewhere <= math.log(ELSEWHERE))
        & (texts >= IN_TEXTS)
    )
    found = found[np.argsort(-z[found], kind="stable")]
    return [
        (int(k), float(pure[k]), float(covers[k]), math.exp(odds[k]), math.exp(elsewhere[k])) for k in found
    ]


def _log_odds(one: _Side, two: _Side, prior: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(log-odds ratio, z) [W] of a word in texts of `one` against those of `two`."""
    with_, without = PRIOR * prior, PRIOR * (1 - prior)

    def odds(side: _Side) -> np.ndarray:
        return np.asarray(np.log((side[0] + with_) / (side[1] - side[0] + without)))

    ratio = odds(one) - odds(two)
    return ratio, ratio / np.sqrt(1 / (one[0] + with_) + 1 / (two[0] + with_))
