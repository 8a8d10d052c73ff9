"""Order and batching: pure, complete, blind to processes and micro-batches."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.data.order import POOL, Order, micro_batches, scoring_batches, shuffled


@given(st.integers(1, 300), st.integers(1, 32), st.integers(0, 5), st.integers(0, 3))
def test_an_epoch_visits_every_row_once(n: int, size: int, seed: int, epoch: int) -> None:
    order = Order(np.arange(n) % 17, seed, size)
    start = epoch * order.steps_per_epoch
    windows = [order.window(start + i) for i in range(order.steps_per_epoch)]
    assert sorted(np.concatenate(windows)) == list(range(n))
    assert all(len(window) <= size for window in windows)


def test_order_is_a_pure_function_of_seed_and_step() -> None:
    lengths = np.random.default_rng(0).integers(3, 60, 5000)
    steps = list(range(0, 400, 13))
    straight = Order(lengths, 7, 32)
    resumed = Order(lengths, 7, 32)
    for step in steps:
        straight.window(step)
    assert all((straight.window(step) == resumed.window(step)).all() for step in reversed(steps))
    assert (Order(lengths, 8, 32).window(0) != straight.window(0)).any()
    per_epoch = straight.steps_per_epoch
    assert (straight.window(0) != straight.window(per_epoch)).any()


def test_shuffle_is_the_same_on_every_machine() -> None:
    assert shuffled(10, 17, 0).tolist() == shuffled(10, 17, 0).tolist()
    # written down once: a change would silently change every run's order
    assert shuffled(8, 17, 3).tolist() == [6, 3, 1, 2, 7, 5, 0, 4]


def test_batches_hold_similar_lengths() -> None:
    lengths = np.random.default_rng(0).integers(3, 120, 32 * POOL)
    order = Order(lengths, 1, 32)
    padded = sum(lengths[order.window(i)].max() * 32 for i in range(order.steps_per_epoch))
    assert padded / lengths.sum() < 1.05


@given(st.integers(1, 70), st.integers(1, 5), st.integers(1, 20))
def test_processes_share_a_window_without_overlap(n: int, processes: int, size: int) -> None:
    window = np.arange(100, 100 + n)
    lengths = np.arange(200) % 13
    parts = [micro_batches(window, lengths, p, processes, size) for p in range(processes)]
    rows = [row for part in parts for piece in part for row in piece]
    assert sorted(rows) == list(window)
    assert all(len(piece) <= size for part in parts for piece in part)


@given(st.lists(st.integers(0, 500), max_size=200), st.integers(1, 2000), st.integers(1, 64))
def test_scoring_batches_cover_every_row_once(lengths: list[int], tokens: int, rows: int) -> None:
    batches = scoring_batches(np.array(lengths, dtype=np.int64), tokens, rows)
    assert sorted(row for batch in batches for row in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) <= rows
        assert len(batch) == 1 or len(batch) * max(lengths[row] for row in batch) <= tokens


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_a_window_smaller_than_the_processes_leaves_some_idle(processes: int) -> None:
    pieces = [micro_batches(np.array([5]), np.ones(6, dtype=int), p, processes, 4) for p in range(processes)]
    assert [len(p) for p in pieces] == [1] + [0] * (processes - 1)
