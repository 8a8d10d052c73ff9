"""The store of states: every text once, shards whole or not at all, damage made again."""

from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

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


def test_keys_of_another_shard_are_damage(states: States) -> None:
    states.add(states.missing(TEXTS), len, compute)
    (shard,) = states.folder.iterdir()
    np.save(shard / "keys.npy", np.load(shard / "keys.npy")[1:])
    assert len(States(states.folder, "fp32", 2).missing(TEXTS)) == 4


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EACCES, errno.EIO])
def test_a_shard_that_cannot_be_opened_is_kept(
    states: States, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    states.add(states.missing(TEXTS), len, compute)

    def refused(*args: Any, **more: Any) -> None:
        raise OSError(number, "refused")

    with monkeypatch.context() as patch:
        patch.setattr(np, "load", refused)
        with pytest.raises(OSError, match="refused"):
            States(states.folder, "fp32", 2).missing(TEXTS)
    assert all(held(States(states.folder, "fp32", 2), text) for text in TEXTS)


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="counts file handles as Linux shows them")
def test_many_shards_take_few_file_handles(states: States, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train.model.states, "SHARD", 1)
    texts = [np.array([n], dtype=np.int32) for n in range(100)]
    states.add(states.missing(texts), len, compute)
    before = len([*Path("/proc/self/fd").iterdir()])
    places = states.find(texts)
    assert places is not None
    most = max(len([*Path("/proc/self/fd").iterdir()]) for _ in places)
    assert most - before <= train.model.states.OPEN + 2


def test_a_full_disk_is_an_error_and_leaves_nothing_half(states: States) -> None:
    """Not a signal, as it is of a mapped file: the limit stands for the disk."""
    code = f"""if True:
        import resource
        import numpy as np
        from pathlib import Path
        from train.model.states import States

        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        states = States(Path({str(states.folder)!r}), "fp32", 64)
        text = np.zeros(1000, dtype=np.int32)
        try:
            states.add([text], len, lambda texts: iter([([0], [np.ones((1000, 64), np.float32)])]))
        except OSError as error:
            print(error.errno, [*states.folder.iterdir()])
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == f"{errno.EFBIG} []"


@pytest.mark.parametrize("lost", ["a text", "a token"])
def test_a_shard_with_a_hole_is_not_kept(states: States, lost: str) -> None:
    def part(texts: Sequence[np.ndarray]) -> Iterator[tuple[Sequence[int], Sequence[np.ndarray]]]:
        for positions, (found,) in [*compute(texts)][lost == "a text" :]:
            yield positions, [found[:1] if lost == "a token" else found]

    with pytest.raises(AssertionError):
        states.add(states.missing(TEXTS), len, part)
    assert not [*states.folder.iterdir()]


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
