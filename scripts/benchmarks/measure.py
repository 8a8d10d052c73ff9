"""Two ways to do one work, timed in turns in one process: what slows the machine slows both. Also what a work
takes in a process of its own."""

from __future__ import annotations

import multiprocessing
import statistics
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from threading import Event, Thread
from time import perf_counter
from typing import Any

import psutil


@dataclass(frozen=True)
class Goal:
    """Ours against a peer. ratio: the median over rounds of how many times faster ours was; spread: the least
    and the greatest of them; at_least, reach: what was asked for; per_second: medians, ours, theirs.
    """

    work: str
    against: str
    ratio: float
    at_least: float
    reach: float
    spread: tuple[float, float]
    rounds: int
    per_second: tuple[float, float]
    texts: int
    quality: dict[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        return asdict(self)


Way = Callable[[], tuple[int, float]]
"""Does a work once: (texts, seconds that they took)."""


def timed(work: Callable[[], int]) -> Way:
    """A way whose whole work counts; work: returns how many texts."""

    def way() -> tuple[int, float]:
        start = perf_counter()
        texts = work()
        return texts, perf_counter() - start

    return way


def alternated(ways: Mapping[str, Way], rounds: int) -> dict[str, list[float]]:
    """Texts a second of each way, a figure a round. Every way has gone once before, unmeasured; in every
    other round they go in the other order."""
    for way in ways.values():
        way()
    found: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        for name in [*ways] if number % 2 == 0 else [*reversed(ways)]:
            texts, seconds = ways[name]()
            found[name].append(texts / seconds)
    return found


def goal(
    work: str,
    against: str,
    ours: list[float],
    theirs: list[float],
    asked: tuple[float, float],
    texts: int,
    quality: dict[str, Any] | None = None,
) -> Goal:
    """ours, theirs: texts a second, a figure a round; asked: (at least, reach)."""
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    return Goal(
        work,
        against,
        statistics.median(ratios),
        *asked,
        (min(ratios), max(ratios)),
        len(ratios),
        (statistics.median(ours), statistics.median(theirs)),
        texts,
        quality or {},
    )


def measured(work: Callable[..., Any], *given: Any) -> tuple[Any, float, float]:
    """(result, seconds, peak MB of the process and its children), run in a process of its own."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(there, work, given))
    peak, over = [0.0], Event()

    def watch() -> None:
        while not over.wait(0.5):
            try:
                tree = psutil.Process(process.pid)
                family = [tree, *tree.children(recursive=True)]
                peak[0] = max(peak[0], sum(one.memory_full_info().pss for one in family) / 2**20)
            except psutil.Error:
                continue

    process.start()
    there.close()  # so that a process which dies is noticed
    watcher = Thread(target=watch, daemon=True)
    watcher.start()
    result, seconds = here.recv()
    over.set()
    process.join()
    return result, seconds, peak[0]


def _run(pipe: Any, work: Callable[..., Any], given: tuple[Any, ...]) -> None:
    start = perf_counter()
    result = work(*given)
    pipe.send((result, perf_counter() - start))
