"""Cause: a word that gives a label away in one source, and that the model decides by: it is put into texts
and taken out of them, and the decisions that change are counted."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from train.data.corpus import Corpus
from train.evaluation.intervals import ENOUGH_GROUPS
from train.evaluation.metrics import ENOUGH, Bools, decided
from train.evaluation.predictions import Predictions
from train.gaps.gap import Action, Evidence, Trial
from train.gaps.performance import needed
from train.gaps.share import share
from train.gaps.targets import LARGEST_CHANGE
from train.gaps.words import Word
from train.policy import ESCALATED

Decide = Callable[[Sequence[str]], Bools]
"""Texts [n] -> flags [n, L] at the operating points."""
MOST_TEXTS = 200
"""Texts that are scored again for each word and direction."""
LONGEST = 30
"""Characters of a word that is shown."""


def shortcuts(
    words: Sequence[Word],
    corpus: Corpus,
    positions: np.ndarray,
    predictions: Predictions,
    name: str,
    decide: Decide,
    tiers: Mapping[str, int],
    prevalence: Mapping[str, float],
) -> Iterator[Trial]:
    """Two tests a word, each where there are texts for it: taken out of those that hold it, in its source,
    and put before those that do not, in all sources. positions: int64 [n], of each prediction in `corpus`.

    A word that tells positives is taken out of positives (recall may drop) and put into negatives (FPR may
    rise); one that tells negatives the other way round.
    """
    _, group = np.unique(predictions.group, return_inverse=True)
    for word in words:
        column = predictions.labels.index(word.label)
        known = decided(predictions.targets[:, column])
        positive = predictions.targets[:, column] > 0.5
        mine = positive if word.positive else ~positive
        at_home = np.flatnonzero(known & mine & (predictions.source == word.source))
        holding = at_home[_holds(word.word, corpus.texts(positions[at_home]))]
        away = np.flatnonzero(known & ~mine)
        lacking = away[~_holds(word.word, corpus.texts(positions[away]))]
        carries = prevalence.get(word.label, float(positive[known].mean()))
        for rows, change, done in ((holding, _without, "taken out"), (lacking, _with, "put before others")):
            chosen = _some(rows)
            if len(chosen) < ENOUGH or len(np.unique(group[chosen])) < ENOUGH_GROUPS:
                continue
            before = predictions.flags[chosen, column]
            texts = [change(word.word, text) for text in corpus.texts(positions[chosen])]
            after = decide(texts)[:, column]
            loses = bool(positive[chosen[0]])  # all of them are, or none
            changed = before & ~after if loses else ~before & after
            found = share(changed, group[chosen])
            yield Trial(
                set=name,
                label=word.label,
                slice=f"source={word.source}",
                of=f"{word.word} {done}",
                metric="recall_drop" if loses else "fpr_rise",
                value=found.value,
                ci=found.interval(),
                n=found.n,
                positives=found.n if loses else 0,
                target=LARGEST_CHANGE,
                stake=carries if loses else 1 - carries,
                shortfall=max(0.0, found.low() - LARGEST_CHANGE),
                p=found.above(LARGEST_CHANGE),
                proven=found.high() <= LARGEST_CHANGE,
                needed=needed("fpr", LARGEST_CHANGE, None, found),
                told=_evidence(word, done, found.value, tiers[word.label]),
                examples=tuple(map(str, predictions.ids[chosen[changed]][:20])),
            )


def _evidence(word: Word, done: str, changed: float, tier: int) -> Evidence:
    hidden = tier == ESCALATED or len(word.word) > LONGEST
    shown = "(a word that is not shown)" if hidden else f"'{word.word}'"
    side = "positives" if word.positive else "negatives"
    return Evidence(
        "shortcut",
        "share of decisions that a word changes",
        changed,
        LARGEST_CHANGE,
        f"{word.pure:.0%} of the {word.texts:,} training texts of {word.source} with {shown} are {side} of "
        f"{word.label}, and elsewhere it tells nothing (odds ratio {word.odds:.0f}, elsewhere "
        f"{word.elsewhere:.1f}); {done}, it changes {changed:.0%} of the decisions",
        Action(
            "augment",
            word.texts,
            f"a copy without {shown} of each training text of {word.source} that holds it, and as many texts "
            f"with it that are not {side} of {word.label}",
            {"label": word.label, "source": word.source} | ({} if hidden else {"word": word.word}),
        ),
    )


def _pattern(word: str) -> re.Pattern[str]:
    edge = (r"(?<!\w)", r"(?!\w)") if re.fullmatch(r"\w+", word) else ("", "")
    return re.compile(f"{edge[0]}{re.escape(word)}{edge[1]}", re.IGNORECASE)


def _holds(word: str, texts: Sequence[str]) -> Bools:
    pattern = _pattern(word)
    return np.array([bool(pattern.search(text)) for text in texts], dtype=bool)


def _without(word: str, text: str) -> str:
    return _pattern(word).sub(" ", text)


def _with(word: str, text: str) -> str:
    return f"{word} {text}"


def _some(rows: np.ndarray) -> np.ndarray:
    """At most MOST_TEXTS of the rows, the same ones every time."""
    if len(rows) <= MOST_TEXTS:
        return rows
    return np.sort(np.random.default_rng(0).choice(rows, MOST_TEXTS, replace=False))
