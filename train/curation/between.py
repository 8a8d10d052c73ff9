"""What sources share: equal and near texts, cells that contradict each other, test texts met in training."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations_with_replacement
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pyarrow as pa

READS = ("id", "source", "claim", "cluster", "duplicate_of")
"""Columns beside label.<L> that `between` reads."""


def between(table: pa.Table) -> list[dict[str, Any]]:
    """For each two sources, and each with itself, that share anything: a, b and

    exact: texts that both have (that stand twice, of one source); near: clusters that both have rows of, and
    not of equal texts alone; leaked: rows that one of them publishes as held out, and whose text, or one near
    to it, the other publishes for training; contradictions: by label, texts that a row of one calls positive
    and a row of the other negative.
    """
    import pyarrow.compute as pc

    from train.curation.rows import LABEL, coded, labels

    names, source = coded(table.column("source"))
    _, text = coded(pc.fill_null(table.column("duplicate_of"), table.column("id")))
    _, cluster = coded(table.column("cluster"))
    claim = table.column("claim").to_numpy(zero_copy_only=False)
    trains = np.isin(claim, ("train", "any"))
    texts = _Shared(text, source, len(names))
    clusters = _Shared(cluster, source, len(names))
    several = _texts_of(cluster, text) > 1
    training = clusters.having(trains)
    cells = {
        label: np.asarray(table.column(LABEL + label).to_numpy(zero_copy_only=False), dtype=np.float64)
        for label in labels(table)
    }
    said = {label: (texts.having(cell > 0.5), texts.having(cell < 0.5)) for label, cell in cells.items()}
    found = []
    for a, b in combinations_with_replacement(range(len(names)), 2):
        met = training[:, b][cluster] & ~trains & (source == a)
        if a != b:
            met |= training[:, a][cluster] & ~trains & (source == b)
        contradictions = {
            label: int(((yes[:, a] & no[:, b]) | (no[:, a] & yes[:, b])).sum())
            for label, (yes, no) in said.items()
        }
        row = {
            "exact": int(texts.both(a, b).sum()),
            "near": int((clusters.both(a, b) & several).sum()),
            "leaked": int(met.sum()),
            "contradictions": {label: n for label, n in contradictions.items() if n},
        }
        if any(row.values()):
            found.append({"a": names[a], "b": names[b], **row})
    return found


class _Shared:
    """Which sources have rows of each of k texts or clusters."""

    def __init__(self, of_row: np.ndarray, source: np.ndarray, sources: int) -> None:
        self._row, self._source = of_row, source
        self._rows = np.zeros((int(of_row.max(initial=-1)) + 1, sources), dtype=np.int32)
        np.add.at(self._rows, (of_row, source), 1)

    def both(self, a: int, b: int) -> np.ndarray:
        return self._rows[:, a] > 1 if a == b else (self._rows[:, a] > 0) & (self._rows[:, b] > 0)

    def having(self, rows: np.ndarray) -> np.ndarray:
        """Which sources have one of these rows of it, bool [k, sources]."""
        found = np.zeros(self._rows.shape, dtype=bool)
        found[self._row[rows], self._source[rows]] = True
        return found


def _texts_of(cluster: np.ndarray, text: np.ndarray) -> np.ndarray:
    """Different texts of each cluster, int64 [k]."""
    pairs = np.unique(cluster * (int(text.max(initial=0)) + 1) + text)
    return np.bincount(pairs // (int(text.max(initial=0)) + 1))


def lines(found: list[dict[str, Any]]) -> Iterator[str]:
    """For the terminal."""
    for pair in found:
        who = pair["a"] if pair["a"] == pair["b"] else f"{pair['a']} and {pair['b']}"
        said = [f"{pair[key]:,} {what}" for key, what in _WORDS.items() if pair[key]]
        said += [f"{n:,} texts contradict on {label}" for label, n in pair["contradictions"].items()]
        yield f"{who}: {', '.join(said)}"


_WORDS = {
    "exact": "equal texts",
    "near": "clusters of near texts",
    "leaked": "held-out rows near published training rows",
}
