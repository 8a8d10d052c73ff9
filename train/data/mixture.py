"""How much of each source an epoch holds: `share`, `rows`, `max_repeats` in, each epoch's rows out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from train.data.order import shuffled
from train.data.shares import nothing_to_train_on, unfit
from train.data.source import Source
from train.errors import InputError, Problem
from train.files import sha256_bytes


@dataclass(frozen=True)
class Mixture:
    """positions: of each source, int64, into the training rows; quota: rows of each source in an epoch;
    asked: the same before `max_repeats` made it less."""

    positions: Mapping[str, np.ndarray]
    quota: Mapping[str, int]
    asked: Mapping[str, int]
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
    Raises InputError, made by problem(what, expected, remedy), where that does not add up, or leaves a source
    without a row.
    """
    positions = {name: np.flatnonzero(source == name) for name in dict.fromkeys(source)}
    sizes = {name: len(found) for name, found in positions.items()}
    counts = {name: count for name in sizes if (count := sources[name].rows) is not None}
    shares = {name: share for name in sizes if (share := sources[name].share) is not None}
    free = {name: size for name, size in sizes.items() if name not in counts and name not in shares}
    fixed, part = sum(counts.values()), sum(shares.values())

    def refuse(what: str, expected: str, remedy: str) -> InputError:
        return InputError(problem(what, expected, remedy))

    for name, stated in sources.items():
        if name not in sizes and (stated.rows or stated.share):
            raise refuse(*nothing_to_train_on(name, stated))
    if complaint := unfit(shares.values(), bool(counts or free)):
        raise refuse(*complaint)
    whole = part > 1 - 1e-9
    if epoch_rows is not None:
        total = epoch_rows
    else:
        total = sum(sizes.values()) if whole else round((fixed + sum(free.values())) / (1 - part))
    shared = total if whole else round(part * total)
    left = total - shared - fixed
    if epoch_rows is not None and (left < 0 or (left > 0 and not free)):
        what = f"an epoch of {total:,} rows, of which {total - left:,} are asked for by `rows` and `share`"
        remedy = f"epoch_rows: {total - left}, or other `rows`" if not free else "a larger epoch_rows"
        raise refuse(what, "room for every source, and a source for every row", remedy)
    quota = counts | _apportioned(shared, shares) | (free if epoch_rows is None else _apportioned(left, free))
    asked = {name: quota[name] for name in sizes}
    for name, size in sizes.items():
        if (most := sources[name].max_repeats) is not None:
            quota[name] = min(quota[name], int(most * size + 1e-9))
    if unseen := [name for name in sizes if not quota[name]]:
        what = f"no row of {', '.join(unseen)} would be in an epoch"
        raise refuse(what, "a row of every source", "a larger epoch_rows, share or max_repeats")
    return Mixture(positions, {name: quota[name] for name in sizes}, asked, seed)


def _apportioned(total: int, weights: Mapping[str, float]) -> dict[str, int]:
    """`total` divided in proportion to the weights, without a rest: the largest fractions are rounded up."""
    exact = {name: total * weight / sum(weights.values()) for name, weight in weights.items()}
    found = {name: int(value) for name, value in exact.items()}
    by_fraction = sorted(exact, key=lambda name: (found[name] - exact[name], name))
    return found | {name: found[name] + 1 for name in by_fraction[: total - sum(found.values())]}
