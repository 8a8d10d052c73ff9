"""The store of states: every text once, shards whole or not at all, damage made again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

import train.model.states
from train.model.states import States

TEXTS = [np.arange(n, 2 * n, dtype=np.int32) for n in (5, 3, 1, 8, 3)]


def of(text: np.ndarray) -> np.ndarray:
    """[T, 2]: what is to be kept of a text."""
    return np.stack([text, text * 2], axis=1).astype(np.float32)


def compute(texts: Sequence[np.ndarray]) -> Iterator[tuple[Sequence[int], Sequence[np.ndarray]]]:
    for position in reversed(range(len(texts))):
        yield [position], [of(texts[position])]


def held(states: States, text: np.ndarray) -> bool:
    places = states.find([text])
    if places is None:
        return False
    ((kept, start, end),) = places
    return bool(np.array_equal(kept[start:end], of(text)))


@pytest.fixture
def states(tmp_path: Path) -> States:
    return States(tmp_path / "states", "fp32", 2)


def test_every_text_once_the_longest_first(states: States) -> None:
    assert states.missing([]) == []
    missing = states.missing([*TEXTS, TEXTS[0].astype(np.int64), [5, 6, 7, 8, 9]])
    assert [len(text) for text in missing] == [8, 5, 3, 1]


def test_shards_are_added_and_found(states: States, monkeypatch: pytest.MonkeyPatch) -> None:
    assert states.find(TEXTS[:1]) is None
    states.add(states.missing(TEXTS[:2]), len, compute)
    assert states.find(TEXTS) is None
    assert [held(states, text) for text in TEXTS] == [True, True, False, False, True]
    monkeypatch.setattr(train.model.states, "SHARD", 8 * 9)  # nine states
    more = [*TEXTS, *(np.full(4, n, dtype=np.int32) for n in range(5))]
    states.add(states.missing(more), len, compute)
    assert len([*states.folder.iterdir()]) == 1 + 4
    assert all(held(states, text) for text in more)
    assert all(held(States(states.folder, "fp32", 2), text) for text in more)


def test_a_shard_is_whole_or_not_there(states: States, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(texts: Sequence[np.ndarray]) -> Iterator[tuple[Sequence[int], Sequence[np.ndarray]]]:
        yield [0], [of(texts[0])]
        if len(texts[0]) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(train.model.states, "SHARD", 1)
    with pytest.raises(KeyboardInterrupt):
        states.add(states.missing(TEXTS), len, killed)
    states.look_again()
    assert [held(states, text) for text in TEXTS] == [True, False, False, True, False]  # the longest first
    assert len([*states.folder.iterdir()]) == 2
    states.add(states.missing(TEXTS), len, compute)
    assert all(held(states, text) for text in TEXTS)


@pytest.mark.parametrize("file", ["keys.npy", "starts.npy", "states.npy"])
@pytest.mark.parametrize("damage", [b"", b"not numbers at all"], ids=["empty", "other"])
def test_damage_is_made_again(states: States, file: str, damage: bytes) -> None:
    states.add(states.missing(TEXTS), len, compute)
    (shard,) = states.folder.iterdir()
    (shard / file).write_bytes(damage)
    again = States(states.folder, "fp32", 2)
    assert len(again.missing(TEXTS)) == 4
    again.add(again.missing(TEXTS), len, compute)
    assert all(held(again, text) for text in TEXTS)


def test_two_that_write_the_same(states: States) -> None:
    """As two runs do that begin together."""
    missing = states.missing(TEXTS)

    def both(texts: Sequence[np.ndarray]) -> Iterator[tuple[Sequence[int], Sequence[np.ndarray]]]:
        States(states.folder, "fp32", 2).add(missing, len, compute)
        yield from compute(texts)

    states.add(missing, len, both)
    assert len([*states.folder.iterdir()]) == 1
    assert all(held(states, text) for text in TEXTS)


def test_what_a_killed_process_left_is_removed_in_time(states: States) -> None:
    import os
    import time

    for name, age in ((".old.part", 2 * 24 * 3600), (".new.part", 60)):
        (states.folder / name).mkdir(parents=True)
        os.utime(states.folder / name, (time.time() - age,) * 2)
    states.add(states.missing(TEXTS), len, compute)
    assert not (states.folder / ".old.part").exists()
    assert (states.folder / ".new.part").exists()
