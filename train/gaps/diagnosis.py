"""The likely cause of a figure that misses its target: every detector is asked, and one answer comes first.

The order goes from what is simplest to be sure of to what is least. What training never held is counted, so
it is certain, and it makes all that follows look bad, too. Tokens that the model cannot see come next, then
labels that are wrong, which spoil the figure itself. That a source is not like the one learned from is a
guess that fits many figures, and a threshold of its own presupposes a ranking that nothing else has spoiled.
"""

from __future__ import annotations

from dataclasses import replace

from train.data.corpus import Corpus
from train.gaps.few import few
from train.gaps.gap import Gap
from train.gaps.ground import Ground
from train.gaps.hard import hard
from train.gaps.held import Held
from train.gaps.noise import label_noise
from train.gaps.one_source import one_source
from train.gaps.own_threshold import own_threshold
from train.gaps.performance import Cell, examples
from train.gaps.vocabulary import vocabulary
from train.policy import Policy


def diagnose(cell: Cell, held: Held, ground: Ground, corpus: Corpus | None, policy: Policy) -> Gap:
    """The gap of a cell of `held`, its most likely cause first. corpus: None where the data are not here."""
    trial, rows, predictions = cell.trial, cell.rows, held.predictions
    label = policy.labels[trial.label]
    asked = [
        few(ground, trial),
        vocabulary(corpus, held.positions[rows], trial) if corpus and held.positions is not None else None,
        label_noise(held.noise[trial.label], predictions, rows, trial, ground),
        one_source(ground, predictions, rows, trial),
        own_threshold(predictions, rows, trial, label.constraint),
    ]
    cause, *other = [found for found in asked if found] or [hard(ground, predictions, rows, trial)]
    shown = examples(predictions, trial.label, trial.metric, rows)
    return Gap(replace(trial, examples=shown), label.tier, cause, tuple(other))
