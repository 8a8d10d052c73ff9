"""Where dataframes run: in this process (native), or on Ray, local or a cluster; the result is the same.

Shards are files: on a cluster the folder of a build has to be one that every machine sees.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple
from functools import cache
from typing import Any

from train.errors import Failure, InputError, Problem

NATIVE, RAY = "native", "ray"
_KNOWN = "native, ray, or HOST:6379 of a Ray cluster that this machine is part of"
PATIENCE = 10.0
"""Seconds in which a cluster has to answer."""
QUIET = {"DAFT_ANALYTICS_ENABLED": "0", "DAFT_PROGRESS_BAR": "0", "RAY_USAGE_STATS_ENABLED": "0"}
"""Nothing is sent anywhere, and what a person sees is ours."""


@cache
def use(runner: str) -> Any:
    """Daft, set to a runner: native, ray (begun on this machine), or HOST:6379, the address of a Ray cluster
    that this machine is part of. Once a process. Raises InputError where Ray is missing or does not answer.
    """
    os.environ.update(QUIET)
    try:
        import daft
    except ImportError:
        raise InputError(
            Problem("data", "the package daft is not installed", "", "pip install 'teensafe[curation]'")
        ) from None
    if runner == NATIVE:
        daft.set_runner_native()
        return daft
    _begin_ray(None if runner == RAY else runner)
    daft.set_runner_ray(noop_if_initialized=True)
    return daft


def _begin_ray(address: str | None) -> None:
    try:
        import ray
    except ImportError:
        raise InputError(
            Problem("--runner", "the package ray is not installed", "", "pip install 'teensafe[ray]'")
        ) from None
    if address is not None:
        _reach(address)
    paths = os.pathsep.join(path for path in sys.path if path)  # workers import this very package
    try:
        ray.init(
            address=address,
            log_to_driver=False,
            logging_level="error",
            include_dashboard=False if address is None else None,
            runtime_env={"env_vars": {**QUIET, "PYTHONPATH": paths}},
        )
    except Exception as error:  # Ray raises what it likes
        said = str(error).partition("\n")[0]
        what = f"Ray does not begin ({type(error).__name__}: {said})"
        remedy = "RAY_AUTH_MODE=token, where the cluster asks for a token" if address else ""
        raise InputError(Problem("--runner", what, _KNOWN, remedy)) from None


def _reach(address: str) -> None:
    """Ray itself waits without end where nothing listens."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), PATIENCE).close()
    except (OSError, ValueError, OverflowError):
        raise InputError(Problem("--runner", f"nothing answers at {address}", _KNOWN)) from None


def over(runner: str, work: Callable[[str], str], items: Sequence[str]) -> Iterator[tuple[str, str]]:
    """(item, work(item)) of every item, as they are done. `work` is picklable.

    An InputError or a Failure comes out as itself, once all other items are done.
    """
    if runner == NATIVE and len(items) < 2:  # no process is begun for one
        yield from ((item, work(item)) for item in items)
        return
    daft = use(runner)
    frame = daft.from_pydict({"item": list(items)})
    if runner != NATIVE:
        frame = frame.into_partitions(len(items))
    done = _guarded(daft, min(len(items), os.cpu_count() or 1))(work)(daft.col("item"))
    problems: list[Problem] = []
    wrong_input = True
    for row in frame.with_column("done", done).iter_rows():
        kind, value = json.loads(row["done"])
        if kind == "done":
            yield row["item"], value
        else:
            wrong_input = wrong_input and kind == "input"
            problems += [Problem(*said) for said in value]
    if problems:
        raise InputError(problems) if wrong_input else Failure(problems[0])


def _guarded(daft: Any, processes: int) -> Any:
    """A Daft class that is given the work, and turns its errors into words that travel between processes."""

    @daft.cls(use_process=True, max_concurrency=processes)
    class Guarded:
        def __init__(self, work: Callable[[str], str]) -> None:
            self.work = work

        @daft.method.batch(return_dtype=str, batch_size=1)  # type: ignore[untyped-decorator]
        def __call__(self, items: Any) -> list[str]:
            return [self.one(item) for item in items.to_pylist()]

        def one(self, item: str) -> str:
            try:
                return json.dumps(["done", self.work(item)])
            except InputError as error:
                return json.dumps(["input", [astuple(problem) for problem in error.problems]])
            except Failure as error:
                return json.dumps(["failure", [astuple(error.problem)]])

    return Guarded
