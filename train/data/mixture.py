"""How much of each source an epoch holds: `share`, `rows`, `max_repeats` in, each epoch's rows out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from train.data.order import shuffled
from train.data.source import Source
from train.errors import InputError, Problem
from train.files import sha256_bytes


@dataclass(frozen=True)
class Mixture:
    """positions: of each source, int64, into the training rows; quota: rows of each source in an epoch."""

    positions: Mapping[str, np.ndarray]
    quota: Mapping[str, int]
    seed: int

    @property
    def size(self) -> int:
        """Examples in an epoch."""
        return sum(self.quota.values())

    def repeats(self, source: str) -> float:
        """How often a row of the source stands in an epoch, on average."""
        return self.quota[source] / max(1, len(self.positions[source]))

    def epoch(self, number: int) -> np.ndarray:
        """Positions of epoch `number` (from 0), int64 [size], sources after one another.

        A source is dealt like a pack of cards: shuffled, dealt to its end over the epochs, shuffled again. So
        no row is seen twice more often than another, and a pure function of (seed, epoch) says which.
        """
        return np.concatenate([self._dealt(name, number) for name in self.quota])

    def _dealt(self, name: str, epoch: int) -> np.ndarray:
        rows, quota = self.positions[name], self.quota[name]
        if quota in (0, len(rows)):
            return rows[:quota]
        key = int(sha256_bytes(name.encode())[:8], 16)  # not its place among the sources: others may join
        begun, offset = divmod(epoch * quota, len(rows))
        packs = range(begun, -(-(epoch + 1) * quota // len(rows)))
        dealt = np.concatenate([rows[shuffled(len(rows), self.seed, key, pack)] for pack in packs])
        return dealt[offset : offset + quota]


def mix(
    sources: Mapping[str, Source],
    source: np.ndarray,
    epoch_rows: int | None,
    seed: int,
    problem: Callable[[str, str, str], Problem],
) -> Mixture:
    """The mixture of training rows; source: str [n], each row's.

    A source with `rows` or `share` gets that many rows, or that part of an epoch; the others share what is
    left in proportion to their sizes: all of their rows once, where `epoch_rows` does not say otherwise.
    Raises InputError, made by problem(what, expected, remedy), where that leaves a source without room.
    """
    positions = {name: np.flatnonzero(source == name) for name in dict.fromkeys(source)}
    sizes = {name: len(found) for name, found in positions.items()}
    counts = {name: count for name in sizes if (count := sources[name].rows) is not None}
    shares = {name: share for name in sizes if (share := sources[name].share) is not None}
    fixed, part = sum(counts.values()), sum(shares.values())
    free = sum(size for name, size in sizes.items() if name not in counts and name not in shares)
    whole = part > 1 - 1e-9
    if part > 1 + 1e-9 or (whole and fixed + free):
        what = f"the shares are {part:.3g} of an epoch" + (
            ", beside sources without one" if fixed + free else ""
        )
        raise InputError(problem(what, "below 1, or exactly 1 where every source has one", "smaller shares"))
    if epoch_rows is not None:
        total = epoch_rows
    else:
        total = sum(sizes.values()) if whole else round((fixed + free) / (1 - part))
    wanted = counts | {name: round(share * total) for name, share in shares.items()}
    left = total - sum(wanted.values())
    if epoch_rows is not None and left < (1 if free else -len(shares)):
        what = f"an epoch of {total:,} rows, of which {total - left:,} are asked for by `rows` and `share`"
        raise InputError(problem(what, "room for every source", "a larger epoch_rows, or smaller rows"))
    quota = {}
    for name, size in sizes.items():
        count = wanted.get(name, size if epoch_rows is None else round(left * size / max(1, free)))
        most = sources[name].max_repeats
        quota[name] = count if most is None else min(count, int(most * size))
    return Mixture(positions, quota, seed)
