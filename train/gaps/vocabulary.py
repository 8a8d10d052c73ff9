"""Cause: the base model cannot read the texts, because its vocabulary lacks their tokens."""

from __future__ import annotations

import numpy as np

from train.data.corpus import Corpus
from train.data.hazards import UNKNOWN
from train.gaps.gap import Action, Evidence, Trial


def vocabulary(corpus: Corpus, positions: np.ndarray, trial: Trial) -> Evidence | None:
    """positions: int64 [n] of the corpus, the texts of the place. From the share of unknown tokens that
    `teensafe plan` warns of, too."""
    unknown = corpus.encoder.unknown
    if unknown is None or not len(positions):
        return None
    sequences = corpus.sequences(positions)
    total = sum(len(sequence) - corpus.encoder.specials for sequence in sequences)
    share = sum(int((sequence == unknown).sum()) for sequence in sequences) / max(1, total)
    if share < UNKNOWN:
        return None
    where = trial.slice or f"label={trial.label}"
    name, _, value = where.partition("=")
    return Evidence(
        "vocabulary",
        "share of unknown tokens",
        share,
        UNKNOWN,
        f"{share:.1%} of the tokens are unknown to the base model's vocabulary: such texts are judged by "
        "what is left",
        Action("change", 0, f"a base model whose vocabulary covers {where}", {name: value}),
    )
