"""Real processes for tests: alone, as a group that torch.distributed joins, or under a launcher."""

from __future__ import annotations

import multiprocessing
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

PATIENCE = 240  # seconds
_SERVER = multiprocessing.get_context("forkserver")  # its children begin with the libraries loaded
_SERVER.set_forkserver_preload(["train.__main__", "train.assessment", "train.model.classifier", "peft"])


class Group:
    """`work(*arguments)` in `count` processes; several find one another by the variables torchrun sets."""

    def __init__(self, log: Path, count: int, work: Callable[..., int], *arguments: object) -> None:
        self._log = log
        shared = {} if count == 1 else {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
        self._children = []
        for rank in range(count):
            variables = {**os.environ, **shared}
            if count > 1:
                variables |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count)}
                variables |= {"LOCAL_WORLD_SIZE": str(count), "ACCELERATE_USE_CPU": "true"}
            child = _SERVER.Process(target=_run, args=(variables, str(log), work, arguments))
            child.start()
            self._children.append(child)

    def signal(self, number: int) -> None:
        for child in self._children:
            assert child.pid
            with suppress(ProcessLookupError):
                os.kill(child.pid, number)

    def wait(self, seconds: float = PATIENCE) -> int | None:
        """The exit code, of several processes the first that is not 0; None while one runs."""
        for child in self._children:
            child.join(seconds)
        codes = [child.exitcode for child in self._children]
        return None if None in codes else next((code for code in codes if code), 0)

    def said(self) -> str:
        return self._log.read_text()


def training(recipe: Path, overrides: list[str], processes: int = 1) -> Group:
    """`teensafe train` on a group of processes."""
    return Group(recipe.parent / "log.txt", processes, _train, [str(recipe), *overrides])


def _train(arguments: list[str]) -> int:
    from train.__main__ import main

    return main(arguments)


def _run(
    variables: dict[str, str], log: str, work: Callable[..., int], arguments: tuple[object, ...]
) -> None:
    os.environ.update(variables)  # the server keeps those of the first test
    import torch

    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    torch.set_num_threads(1)
    sys.exit(work(*arguments))


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Launched:
    """The training under a launcher, in a process group of its own, as a scheduler starts a job."""

    def __init__(self, launcher: list[str], recipe: Path, overrides: list[str]) -> None:
        self._log = recipe.parent / "log.txt"
        with self._log.open("a") as stream:
            self._process = subprocess.Popen(
                [*launcher, "-m", "train", str(recipe), *overrides],
                env={**os.environ, "ACCELERATE_USE_CPU": "true"},
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def signal(self, number: int) -> None:
        os.killpg(self._process.pid, number)

    def wait(self, seconds: float = PATIENCE) -> int | None:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self._process.returncode

    def said(self) -> str:
        return self._log.read_text()
