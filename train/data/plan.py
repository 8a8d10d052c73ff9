"""Counting before training: what each source knows about each label in each split."""

from __future__ import annotations

from typing import Any

import numpy as np

from train.data.corpus import Corpus
from train.data.split import NAMES


def counts(corpus: Corpus) -> list[dict[str, Any]]:
    """One row a (source, split, label): rows, known cells, positives (above .5), negatives (below .5)."""
    found = []
    for source in dict.fromkeys(corpus.source):
        for split in NAMES:
            rows = (corpus.source == source) & (corpus.split == split)
            for column, label in enumerate(corpus.labels):
                cells = corpus.targets[rows, column]
                found.append(
                    {
                        "source": source,
                        "split": split,
                        "label": label,
                        "rows": int(rows.sum()),
                        "known": int((~np.isnan(cells)).sum()),
                        "positives": int((cells > 0.5).sum()),
                        "negatives": int((cells < 0.5).sum()),
                    }
                )
    return found


def token_lengths(corpus: Corpus, limit: int) -> dict[str, int | float]:
    """Quantiles of the texts' tokens, and the share of texts that reach the limit (cut or just fitting)."""
    quantiles = np.quantile(corpus.lengths, [0.5, 0.95, 1.0])
    return {
        "median": int(quantiles[0]),
        "p95": int(quantiles[1]),
        "max": int(quantiles[2]),
        "share_at_limit": float((corpus.lengths >= limit).mean()),
    }
