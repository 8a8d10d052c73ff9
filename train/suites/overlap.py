"""Texts of test sets that training holds nearly word for word: a score on those tells what was remembered.

Two texts are near where the sets of their character 5-grams have a Jaccard similarity |A & B| / |A | B| of
at least a threshold t. The search is exact, not a sketch: a near text shares n = ceil(t |A|) grams of A or
more, hence at least k of any |A| - n + k of them. Only texts that share k of A's rarest are compared whole
(prefix filtering: Chaudhuri, Ganti and Kaushik 2006, doi:10.1109/ICDE.2006.9; Bayardo, Ma and Srikant 2007,
doi:10.1145/1242572.1242591). Time grows with the training texts, memory with the test sets.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from train.data.corpus import Corpus
from train.suites.rows import TestSet, rows
from train.suites.suite import Part, Suite

THRESHOLD = 0.7
GRAM = 5
"""Characters. A letter mistyped keeps a text of 31 characters near, a word of seven added one of 40."""
SHARED = 4
"""k above. With 1, 30 times as many pairs of the public data are compared whole, in four times the time."""
CHUNK = 5_000
"""Texts looked at together: bounds the memory."""
CODE_BITS = 44
"""Of a gram's hash; the bits above number the text in its chunk."""

Counts = NDArray[np.int64]


class Pairs(NamedTuple):
    """k pairs, by training text: positions, int64 [k]; similarity, float64 [k]."""

    train: Counts
    suite: Counts
    similarity: NDArray[np.float64]


class Overlap(NamedTuple):
    """A row of a test set and the training text nearest to it."""

    id: str
    train_id: str
    source: str
    similarity: float


def overlaps(
    corpus: Corpus, test_sets: Iterable[TestSet], threshold: float = THRESHOLD
) -> dict[str, list[Overlap]]:
    """By set: its rows that have a near text in the train split, in their order, each with the nearest."""
    sets = list(test_sets)
    train = corpus.rows("train")
    texts = (text for part in _chunks(train) for text in corpus.texts(np.array(part)))
    found = near_duplicates(texts, [text for asked in sets for text in asked.texts], threshold)
    order = np.lexsort((found.train, -found.similarity, found.suite))
    suite, first = np.unique(found.suite[order], return_index=True)
    nearest = train[found.train[order][first]]
    ids, sources = corpus.column("id", nearest), corpus.source[nearest]
    similarity = found.similarity[order][first]
    begins = np.cumsum([0, *(len(asked) for asked in sets)])
    return {
        asked.name: [
            Overlap(str(asked.ids[suite[at] - begin]), str(ids[at]), str(sources[at]), float(similarity[at]))
            for at in range(*np.searchsorted(suite, (begin, begin + len(asked))))
        ]
        for asked, begin in zip(sets, begins, strict=False)
    }


def suite_rows(corpus: Corpus, suites: Iterable[Suite], part: Part) -> list[TestSet]:
    """What `overlaps` asks of suites. Raises InputError where one cannot be read."""
    return [rows(suite, part, corpus.labels, corpus.encoder, suite.name) for suite in suites]


def near_duplicates(
    train_texts: Iterable[str], suite_texts: Sequence[str], threshold: float = THRESHOLD
) -> Pairs:
    """All pairs whose similarity is at least `threshold`, in (0, 1], of fewer than 2**19 suite texts.

    Case, punctuation and emoji do not count: a text of nothing else is near to none.
    """
    index = _index(suite_texts, threshold)
    found = [index.near(grams([]))]
    start = 0
    for texts in _chunks(train_texts):
        train, suite, similarity = index.near(grams(texts))
        found.append(Pairs(train + start, suite, similarity))
        start += len(texts)
    return Pairs(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


class Grams(NamedTuple):
    """The distinct grams of n texts, by text: owner, int64 [g]; code, int64 [g]: hashes; size: int64 [n]."""

    owner: Counts
    code: Counts
    size: Counts


@dataclass(frozen=True)
class _Index:
    """n texts over a vocabulary of v grams.

    vocabulary: int64 [v], ascending; grams: counts of 0 or 1, [n, v]; rarest: [v, n], of each text its rarest
    grams; size, shared: int64 [n], how many grams a text has, and how many of the rarest a near text shares.
    """

    threshold: float
    vocabulary: Counts
    grams: Any
    rarest: Any
    size: Counts
    shared: Counts

    def near(self, asked: Grams) -> Pairs:
        """Pairs of the asked texts, as `train`, and those of the index."""
        column = np.searchsorted(self.vocabulary, asked.code)
        known = np.append(self.vocabulary, -1)[column] == asked.code  # -1: beyond the last, and no code
        rows = gram_matrix(asked.owner[known], column[known], (len(asked.size), len(self.vocabulary)))
        hits = (rows @ self.rarest).tocoo()
        train, suite = hits.coords
        smaller, larger = np.sort([asked.size[train], self.size[suite]], axis=0)
        candidate = (hits.data >= self.shared[suite]) & (smaller >= self.threshold * larger)
        train, suite = train[candidate].astype(np.int64), suite[candidate].astype(np.int64)
        both = self.grams[suite].multiply(rows[train]).sum(axis=1)
        similarity = both / (asked.size[train] + self.size[suite] - both)
        near = similarity >= self.threshold
        return Pairs(train[near], suite[near], similarity[near])


def _index(texts: Sequence[str], threshold: float) -> _Index:
    owner, code, size = grams(texts)
    vocabulary, column, texts_with = np.unique(code, return_inverse=True, return_counts=True)
    order = np.lexsort((code, texts_with[column], owner))  # by text; its rarest first
    rank = np.arange(len(code)) - np.repeat(np.cumsum(size) - size, size)
    needed = np.ceil(threshold * size - 1e-9).astype(np.int64)  # 0.7 of 10 is 7, whatever floats make of it
    shared = np.minimum(SHARED, needed)
    rare = order[rank < np.repeat(size - needed + shared, size)]
    return _Index(
        threshold,
        vocabulary,
        grams=gram_matrix(owner, column, (len(texts), len(vocabulary))),
        rarest=gram_matrix(column[rare], owner[rare], (len(vocabulary), len(texts))),
        size=size,
        shared=shared,
    )


def gram_matrix(row: Counts, column: Counts, shape: tuple[int, int]) -> Any:
    return sparse.csr_array((np.ones(len(row), dtype=np.int32), (row, column)), shape=shape)


def grams(texts: Sequence[str]) -> Grams:
    framed = [f" {said} ".ljust(GRAM) if (said := _folded(text)) else "" for text in texts]
    points = np.frombuffer("".join(framed).encode("utf-32-le"), dtype=np.uint32).astype(np.uint64)
    count = max(0, len(points) - GRAM + 1)
    hashes = np.zeros(count, dtype=np.uint64)
    for offset in range(GRAM):  # polynomial in an odd number, modulo 2**64
        hashes = hashes * np.uint64(0x9E3779B97F4A7C15) + points[offset : offset + count]
    hashes = (hashes ^ (hashes >> np.uint64(32))) * np.uint64(0xD6E8FEB86659FD93)  # mixes the high bits
    code = (hashes >> np.uint64(64 - CODE_BITS)).astype(np.int64)
    owner = np.repeat(np.arange(len(texts)), [len(text) for text in framed])
    whole = owner[:count] == owner[len(owner) - count :]  # not across two texts
    keys = np.sort((owner[:count] << CODE_BITS | code)[whole])
    keys = keys[np.diff(keys, prepend=-1) > 0]  # np.unique hashes, which takes 100 times as long
    owner = keys >> CODE_BITS
    return Grams(owner, keys & ((1 << CODE_BITS) - 1), np.bincount(owner, minlength=len(texts)))


def _folded(text: str) -> str:
    """Words alone: no case, punctuation, emoji, nor more than one space."""
    return re.sub(r"[\W_]+", " ", unicodedata.normalize("NFKC", text).casefold()).strip()


def _chunks(items: Iterable[Any]) -> Iterator[list[Any]]:
    rest = iter(items)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk
