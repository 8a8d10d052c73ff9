"""Many small requests, one model: texts wait in one bounded queue and are scored together.

Whatever happens, a text that was taken in gets one answer: its scores, or the error of its batch. What nobody
waits for any more is not scored.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import NamedTuple

import numpy as np

from train.server.limits import Limits
from train.server.measures import Measures

log = logging.getLogger("teensafe.server")

Scores = tuple[np.ndarray, np.ndarray]
"""(probabilities [n, L], flags bool [n, L])."""


class Full(Exception):
    """The queue has no room for a request's texts."""


class ModelFailed(Exception):
    """The model raised on a batch. What it raised is not kept: it may hold text."""


class Scored(NamedTuple):
    """Of one text: probabilities [L], flags [L]."""

    probabilities: np.ndarray
    flags: np.ndarray


class _Waiting(NamedTuple):
    text: str
    answer: asyncio.Future[Scored]
    since: float


class Batcher:
    """score: texts -> Scores; it runs in a thread of its own, so that the event loop never waits for it."""

    def __init__(self, score: Callable[[Sequence[str]], Scores], limits: Limits, measures: Measures) -> None:
        self._score, self._limits, self._measures = score, limits, measures
        self._queue: deque[_Waiting] = deque()
        self._arrived = asyncio.Event()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")
        self._worker = asyncio.create_task(self._run())

    async def scores(self, texts: Sequence[str]) -> list[Scored]:
        """Of each text, in order. Raises Full or ModelFailed; cancelled, its texts leave the queue."""
        if self._crowded(texts):
            self._queue = deque(one for one in self._queue if not one.answer.done())
        if self._crowded(texts):
            raise Full
        now, loop = time.perf_counter(), asyncio.get_running_loop()
        mine = [_Waiting(text, loop.create_future(), now) for text in texts]
        self._queue.extend(mine)
        self._measures.waiting.set(len(self._queue))
        self._arrived.set()
        try:
            return list(await asyncio.gather(*(one.answer for one in mine)))
        finally:
            for one in mine:
                one.answer.cancel()

    async def close(self) -> None:
        """End, once everybody was answered: what is in the queue then, nobody waits for."""
        self._worker.cancel()
        with suppress(asyncio.CancelledError):
            await self._worker
        self._thread.shutdown()

    def _crowded(self, texts: Sequence[str]) -> bool:
        return len(self._queue) + len(texts) > self._limits.queue

    async def _run(self) -> None:
        while True:
            await self._arrived.wait()
            if len(self._queue) < self._limits.batch:
                await asyncio.sleep(self._limits.wait)
            self._arrived.clear()
            while batch := self._next():
                await self._answer(batch)

    def _next(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        while self._queue and len(batch) < self._limits.batch:
            one = self._queue.popleft()
            if not one.answer.done():
                batch.append(one)
        self._measures.waiting.set(len(self._queue))
        return batch

    async def _answer(self, batch: list[_Waiting]) -> None:
        begun = time.perf_counter()
        loop = asyncio.get_running_loop()
        try:
            found = await loop.run_in_executor(self._thread, self._score, [one.text for one in batch])
            scored = [Scored(*row) for row in zip(*found, strict=True)]
            answers = list(zip(batch, scored, strict=True))
        except Exception as error:  # the batch's, not the server's end
            log.error("the model failed", extra={"error": type(error).__name__})
            for one in batch:
                if not one.answer.done():
                    one.answer.set_exception(ModelFailed())
            return
        for one, row in answers:
            if not one.answer.done():
                one.answer.set_result(row)
        self._measures.batch(begun - min(one.since for one in batch), time.perf_counter() - begun, len(batch))
