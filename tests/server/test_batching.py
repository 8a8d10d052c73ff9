"""Texts of many requests are scored together, in bounded batches, each answered once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.server.batching import Batcher, Full, Scored, Scores
from train.server.limits import Limits
from train.server.measures import Measures


def lengths(texts: Sequence[str]) -> Scores:
    """The length of each text stands for its probabilities."""
    found = np.array([[len(text), len(text) + 1] for text in texts], dtype=float)
    return found, found > 3


def told(answers: list[Scored]) -> list[float]:
    return [float(one.probabilities[0]) for one in answers]


@given(
    sizes=st.lists(st.integers(1, 9), min_size=1, max_size=12),
    leaving=st.sets(st.integers(0, 11)),
    batch=st.integers(1, 8),
)
def test_whoever_stays_gets_its_own_answers_in_order(sizes: list[int], leaving: set[int], batch: int) -> None:
    seen: list[list[str]] = []

    def score(texts: Sequence[str]) -> Scores:
        seen.append(list(texts))
        return lengths(texts)

    async def run() -> None:
        batcher = Batcher(score, Limits(batch=batch, wait=0), Measures(["a", "b"]))
        asked = [["x" * (10 * n + k) for k in range(size)] for n, size in enumerate(sizes)]
        tasks = [asyncio.create_task(batcher.scores(texts)) for texts in asked]
        await asyncio.sleep(0)  # all are in the queue, nobody was taken yet
        gone = {n for n in leaving if n < len(tasks)}
        for n in gone:
            tasks[n].cancel()
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        await batcher.close()
        for n, (texts, answer) in enumerate(zip(asked, answers, strict=True)):
            if n in gone:
                assert isinstance(answer, asyncio.CancelledError)
            else:
                assert not isinstance(answer, BaseException) and told(answer) == [len(text) for text in texts]
        staying = [text for n, texts in enumerate(asked) if n not in gone for text in texts]
        assert [text for texts in seen for text in texts] == staying
        assert all(len(texts) <= batch for texts in seen) and len(seen) <= -(-len(staying) // batch)

    asyncio.run(run())


def test_the_queue_counts_texts_and_forgets_who_left() -> None:
    door = threading.Event()

    def score(texts: Sequence[str]) -> Scores:
        assert door.wait(30)
        return lengths(texts)

    async def run() -> None:
        batcher = Batcher(score, Limits(queue=64, batch=1, wait=0), Measures(["a", "b"]))
        first = asyncio.create_task(batcher.scores(["1"]))
        while batcher._queue:  # until the model has it
            await asyncio.sleep(0.01)
        second = asyncio.create_task(batcher.scores(["12"] * 60))
        await asyncio.sleep(0)
        with pytest.raises(Full):
            await batcher.scores(["123"] * 5)
        third = asyncio.create_task(batcher.scores(["123"] * 4))
        await asyncio.sleep(0)
        second.cancel()
        await asyncio.sleep(0)
        fourth = asyncio.create_task(batcher.scores(["1234"] * 60))
        await asyncio.sleep(0)
        door.set()
        assert told(await first) == [1] and told(await third) == [3] * 4 and told(await fourth) == [4] * 60
        await batcher.close()

    asyncio.run(run())


def test_what_cannot_ever_fit_is_no_queue() -> None:
    for limits in ({"queue": 8}, {"texts": 2000}):
        with pytest.raises(ValueError, match="which would never fit"):
            Limits.model_validate(limits)
