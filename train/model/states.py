"""What a part of a model makes of texts, kept on disk by their tokens and memory-mapped.

A store is a folder of shards, each written whole: `keys.npy` uint64 [n, 2], a hash of each text's tokens;
`starts.npy` int64 [n + 1]; `states.npy` [starts[n], D], bf16 as its bits. Text i has the states from
starts[i] to starts[i + 1]. Shards are only ever added: what several runs need is computed once, and what a
killed one had finished stays.
"""

from __future__ import annotations

import hashlib
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from train.files import make_folder, sha256_bytes, whole_folder

if TYPE_CHECKING:
    import numpy as np

    from train.model.precision import Precision

SHARD = 2**30
"""Bytes of a shard, at most, but for a text that is longer."""
ABANDONED = 24 * 3600
"""Seconds after which half a shard is a killed process's: others may be writing theirs."""
OPEN = 64
"""Shards that are open at once: each takes a file handle, and every run may add some to a store."""
Places = Iterator[tuple["np.ndarray", int, int]]
"""Of each text: the states of its shard, and where its own begin and end."""
Compute = Callable[[Sequence["np.ndarray"]], Iterator[tuple[Sequence[int], Sequence["np.ndarray"]]]]
"""Texts -> (positions among them, states [T, D] of each, in the store's dtype); in any order, each once."""


class States:
    """precision: of the numbers; width: of a state, D."""

    def __init__(self, folder: Path, precision: Precision, width: int) -> None:
        self.folder, self.precision, self.width = folder, precision, width
        self._open = lru_cache(OPEN)(_mapped)

    @property
    def dtype(self) -> str:
        return "uint16" if self.precision == "bf16" else "float32"

    def missing(self, texts: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Those of the token sequences, each once, whose states are not there yet; the longest first."""
        import numpy as np

        if not texts:
            return []
        keys = keys_of(texts)
        _, once = np.unique(keys, axis=0, return_index=True)
        lacking = [texts[i] for i in np.sort(once[self._positions(keys[once]) < 0])]
        return sorted(lacking, key=len, reverse=True)

    def find(self, texts: Sequence[np.ndarray]) -> Places | None:
        """Where the states of these token sequences are; None where one is missing.

        What comes raises FileNotFoundError where somebody has emptied the cache meanwhile.
        """
        positions = self._positions(keys_of(texts))
        if (positions < 0).any():
            return None
        _, shard, start, end = self._index
        shards = self._shards
        return ((self._open(shards[shard[at]][2]), int(start[at]), int(end[at])) for at in positions.tolist())

    def add(
        self,
        texts: Sequence[np.ndarray],
        each: Callable[[np.ndarray], int],
        compute: Compute,
    ) -> None:
        """Compute and keep the states of these token sequences, a shard at a time.

        each: a text -> how many states it has. Raises OSError where the disk is full; shards that were
        finished stay.
        """
        make_folder(self.folder)
        for half in self.folder.glob(".*.part"):
            if time.time() - half.stat().st_mtime > ABANDONED:
                shutil.rmtree(half, ignore_errors=True)
        bytes_each = self.width * (2 if self.precision == "bf16" else 4)
        for part in _parts(texts, [each(text) * bytes_each for text in texts]):
            self._write(part, [each(text) for text in part], compute)
        self.look_again()

    def look_again(self) -> None:
        """See what other processes have added."""
        for name in ("_shards", "_index"):
            self.__dict__.pop(name, None)
        self._open.cache_clear()

    def _write(
        self,
        texts: Sequence[np.ndarray],
        sizes: Sequence[int],
        compute: Compute,
    ) -> None:
        import numpy as np

        keys, starts = keys_of(texts), np.concatenate([[0], np.cumsum(sizes)])
        path = self.folder / sha256_bytes(keys.tobytes())[:32]
        if path.exists():
            return
        try:
            with whole_folder(path) as part:
                self._write_states(part / "states.npy", starts, compute(texts))
                np.save(part / "keys.npy", keys)
                np.save(part / "starts.npy", starts)
        except OSError:
            if not path.exists():  # else another process has written the same meanwhile
                raise

    def _write_states(
        self,
        path: Path,
        starts: np.ndarray,
        computed: Iterator[tuple[Sequence[int], Sequence[np.ndarray]]],
    ) -> None:
        """Written, not mapped: of a mapped file a full disk is a bus error, which nothing can report."""
        import numpy as np

        lacking = set(range(len(starts) - 1))
        with path.open("wb") as stream:
            header = {"descr": np.dtype(self.dtype).str, "fortran_order": False}
            np.lib.format.write_array_header_1_0(stream, header | {"shape": (int(starts[-1]), self.width)})
            begin, size = stream.tell(), self.width * np.dtype(self.dtype).itemsize
            for positions, found in computed:
                for at, own in zip(positions, found, strict=True):
                    assert own.shape == (starts[at + 1] - starts[at], self.width) and own.dtype == self.dtype
                    stream.seek(begin + int(starts[at]) * size)
                    stream.write(own.tobytes())
                    lacking.remove(at)
        assert not lacking, f"{len(lacking)} texts were not computed"

    @cached_property
    def _shards(self) -> list[tuple[np.ndarray, np.ndarray, Path]]:
        """(keys, starts, file of states) of each."""
        import numpy as np

        found = []
        for path in sorted(self.folder.glob("[0-9a-f]*")):
            try:
                keys, starts = np.load(path / "keys.npy"), np.load(path / "starts.npy")
                states = _mapped(path / "states.npy")
            # of another error, such as too many open files, the shard is not to blame
            except (FileNotFoundError, NotADirectoryError, ValueError, EOFError):
                keys = starts = states = np.empty(0)
            whole = len(starts) and keys.shape == (len(starts) - 1, 2) and keys.dtype == np.uint64
            if not whole or states.shape != (starts[-1], self.width) or states.dtype != self.dtype:
                shutil.rmtree(path, ignore_errors=True)  # damaged: it can be made again
                continue
            found.append((keys, starts, path / "states.npy"))
        return found

    @cached_property
    def _index(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Of all texts, by the first half of their keys: (keys [n, 2], shard, start, end)."""
        import numpy as np

        shards = self._shards
        keys = np.concatenate([np.empty((0, 2), np.uint64), *(keys for keys, _, _ in shards)])
        shard = np.repeat(np.arange(len(shards)), [len(keys) for keys, _, _ in shards])
        start, end = (
            np.concatenate([np.empty(0, np.int64), *(starts[cut] for _, starts, _ in shards)])
            for cut in (slice(0, -1), slice(1, None))
        )
        order = np.argsort(keys[:, 0], kind="stable")
        return keys[order], shard[order], start[order], end[order]

    def _positions(self, keys: np.ndarray) -> np.ndarray:
        """Where each key is in the index, int64; -1: nowhere. Two texts with equal halves of a key are told
        apart by the other half; the second of them is never found, and so computed."""
        import numpy as np

        known = self._index[0]
        if not len(known):
            return np.full(len(keys), -1)
        at = np.minimum(np.searchsorted(known[:, 0], keys[:, 0]), len(known) - 1)
        return np.where((known[at] == keys).all(axis=1), at, -1)


def _mapped(path: Path) -> np.ndarray:
    import numpy as np

    states: np.ndarray = np.load(path, mmap_mode="r")
    return states


def keys_of(texts: Sequence[np.ndarray]) -> np.ndarray:
    """128 bits of a hash of each token sequence, uint64 [n, 2]."""
    import numpy as np

    tokens = (np.asarray(text, dtype=np.int32).tobytes() for text in texts)
    digests = [hashlib.blake2b(said, digest_size=16).digest() for said in tokens]
    return np.frombuffer(b"".join(digests), dtype=np.uint64).reshape(-1, 2)


def _parts(texts: Sequence[np.ndarray], sizes: Sequence[int]) -> Iterator[list[np.ndarray]]:
    part: list[np.ndarray] = []
    total = 0
    for text, size in zip(texts, sizes, strict=True):
        if part and total + size > SHARD:
            yield part
            part, total = [], 0
        part.append(text)
        total += size
    if part:
        yield part
