"""Which split a row is in: by (seed, group), by what its source claims, and with its twins; or in none."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Literal, Self, get_args

from pydantic import Field, model_validator

from train.spec import Seed, Spec

if TYPE_CHECKING:
    import numpy as np


class Split(Spec):
    """Shares of the four splits; what dev, calibration and test leave is train."""

    by: Literal["group"] = "group"
    """What is kept together; a group is never divided."""
    seed: Seed = 1
    dev: float = Field(default=0.1, gt=0, lt=1)
    """Selects checkpoints."""
    calibration: float = Field(default=0.1, gt=0, lt=1)
    """Fits operating points."""
    test: float = Field(default=0.1, gt=0, lt=1)
    """Opened once, on the selected checkpoint."""

    @model_validator(mode="after")
    def _leaves_something_to_train_on(self) -> Self:
        if self.dev + self.calibration + self.test >= 1:
            raise ValueError("dev + calibration + test must be below 1: the rest is for training")
        return self


NAMES = ("train", "dev", "calibration", "test")
"""The splits, from the least to the most held out."""
ANY = "any"
Claim = Literal["any", "train", "dev", "calibration", "test"]
"""Where a source puts a row; `any`: by its group's hash, to the splits the source does not claim."""
CLAIMS: tuple[Claim, ...] = get_args(Claim)


def assign(split: Split, group: str) -> str:
    """The split of a group. Depends on nothing but (split.seed, group): adding a source moves nobody."""
    digest = hashlib.blake2b(f"{split.seed}\0{group}".encode(), digest_size=8).digest()
    u = int.from_bytes(digest, "big") / 2**64
    for name, share in (("test", split.test), ("calibration", split.calibration), ("dev", split.dev)):
        if u < share:
            return name
        u -= share
    return "train"


def levels(
    split: Split, names: list[str], group: np.ndarray, claim: np.ndarray, source: np.ndarray, twin: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(split of every row, as a position in NAMES, int8 [n]; whether it is set aside, bool [n]).

    names: the groups; group: int [n], which of them a row is of; claim: str [n]; source: int [n]; twin:
    int [n], equal for rows with equal texts. Groups that share a text are one, and all of it goes to one
    split: the most held-out one that a row of it claims, or else that a row of it is hashed to. So a text is
    never trained on and judged by.

    What that moves does not always arrive. A split that rows claim stays theirs, or its figures would be
    nobody else's: set aside, neither trained on nor judged, is a moved row that claims another split, whose
    source claims this one, or whose group has a row that does. Where hashes alone decide, rows arrive.
    """
    import numpy as np

    hashed = np.array([NAMES.index(assign(split, name)) for name in names], dtype=np.int8)[group]
    stated = np.full(len(group), -1, dtype=np.int8)
    for position, name in enumerate(NAMES):
        stated[claim == name] = position
    states = stated >= 0
    taken = np.zeros((int(source.max(initial=-1)) + 1, len(NAMES)), dtype=bool)
    taken[source[states], stated[states]] = True
    taken[:, 0] = False  # train is no split to be kept pure
    own = np.where(states, stated, np.where(taken[source, hashed], np.int8(0), hashed))
    whole = joined(group, twin, len(names))[group]
    claimed, highest = np.zeros((2, int(whole.max(initial=-1)) + 1), dtype=np.int8)
    np.maximum.at(claimed, whole, stated)
    np.maximum.at(highest, whole, own)
    level = np.where(claimed > 0, claimed, highest)[whole]
    return level, (own != level) & (states | taken[source, level] | (claimed[whole] > 0))


def joined(group: np.ndarray, twin: np.ndarray, groups: int) -> np.ndarray:
    """Component of each group, int [groups]: groups are joined by rows that are twins."""
    import numpy as np
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    twins = int(twin.max(initial=-1)) + 1
    edges = coo_array((np.ones(len(group), bool), (group, groups + twin)), shape=(groups + twins,) * 2)
    return np.asarray(connected_components(edges, directed=False)[1][:groups])
