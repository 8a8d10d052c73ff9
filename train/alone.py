"""One process at a time works in a folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from train.errors import Failure, Problem
from train.files import make_folder


@contextmanager
def alone(folder: Path, otherwise: str) -> Iterator[None]:
    """Hold a folder, which is made if need be; the lock goes with the process, however it ends. otherwise:
    what another process that holds it does. Raises Failure where one does."""
    make_folder(folder)
    place = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # not every network file system can lock a folder
            try:
                fcntl.flock(place, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Failure(Problem(str(folder), otherwise, "one at a time", "wait for it")) from None
        yield
    finally:
        os.close(place)
