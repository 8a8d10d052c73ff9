"""In which order the training examples come: a pure function of (seed, epoch, position).

Nothing about the order is stored: a resumed run continues at its step and sees what it would have seen.
Neither the number of processes nor the micro-batch enters, so neither changes what an update learns from.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np

POOL = 50
"""Global batches that are sorted by length together: little padding, and the order stays random."""
TOKENS_AT_ONCE = 8192
"""Padded tokens that are scored together."""
CPU_TOKENS_AT_ONCE = 2048
"""The same on a CPU, whose caches are to hold what a layer computes: with 8192 MiniLM took 1.4 times as long
(best of two, two cores)."""


def shuffled(n: int, *key: int) -> np.ndarray:
    """A permutation of range(n), int64, fixed by `key` on every machine and numpy version."""
    bits = np.random.Philox(np.random.SeedSequence(list(key))).random_raw(n)
    return np.argsort(bits, kind="stable")


class Order:
    """Global batches of positions into `lengths`, epoch after epoch.

    members: epoch -> the positions it holds, int64 [size], with repeats if need be; default: each once.
    """

    def __init__(
        self,
        lengths: np.ndarray,
        seed: int,
        global_batch: int,
        members: Callable[[int], np.ndarray] | None = None,
        size: int | None = None,
    ) -> None:
        self._lengths, self._seed, self._size, self._members = lengths, seed, global_batch, members
        self.steps_per_epoch = math.ceil((len(lengths) if size is None else size) / global_batch)
        self._epoch = lru_cache(maxsize=1)(self._make_epoch)

    def _make_epoch(self, epoch: int) -> list[np.ndarray]:
        members = np.arange(len(self._lengths)) if self._members is None else self._members(epoch)
        order = members[shuffled(len(members), self._seed, epoch)]
        pools = [order[i : i + POOL * self._size] for i in range(0, len(order), POOL * self._size)]
        grouped = [pool[np.argsort(self._lengths[pool], kind="stable")] for pool in pools]
        batches = [pool[i : i + self._size] for pool in grouped for i in range(0, len(pool), self._size)]
        return [batches[i] for i in shuffled(len(batches), self._seed, epoch, 1)]

    def window(self, step: int) -> np.ndarray:
        """Positions of update `step` (from 0), int64 [<= global_batch]; an epoch's odd batch is shorter."""
        epoch, position = divmod(step, self.steps_per_epoch)
        return self._epoch(epoch)[position]


def micro_batches(
    window: np.ndarray, lengths: np.ndarray, process: int, processes: int, size: int
) -> list[np.ndarray]:
    """This process's part of a window in pieces of at most `size`, each of similar lengths.

    The processes' parts are disjoint and together the whole window; a window smaller than the number of
    processes leaves some with no piece.
    """
    mine = window[np.argsort(lengths[window], kind="stable")][process::processes]
    return [mine[i : i + size] for i in range(0, len(mine), size)]


def scoring_batches(lengths: np.ndarray, tokens: int = TOKENS_AT_ONCE, rows: int = 256) -> list[np.ndarray]:
    """All positions, longest first, in batches of at most `rows` rows and about `tokens` padded tokens."""
    order = np.argsort(-lengths, kind="stable")
    batches, start = [], 0
    while start < len(order):
        width = max(1, int(lengths[order[start]]))
        stop = start + max(1, min(rows, tokens // width))
        batches.append(order[start:stop])
        start = stop
    return batches


def tokens_at_once(device: str) -> int:
    """Padded tokens to score together on a device of this type, such as cpu."""
    return CPU_TOKENS_AT_ONCE if device == "cpu" else TOKENS_AT_ONCE
