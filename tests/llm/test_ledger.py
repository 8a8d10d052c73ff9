"""A budget that nothing exceeds: not threads, not a crash, not a server that never says what it took."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from train.errors import Failure
from train.llm.ledger import Budget, Ledger, Price, Spent


def test_what_does_not_fit_is_not_reserved(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl", Budget(tokens=100))
    first = ledger.reserve(50, 30)
    assert first is not None
    ledger.settle(first, Spent(20, 10))
    assert ledger.reserve(40, 31) is None
    assert ledger.reserve(40, 30) is not None
    assert ledger.spent == Spent(60, 40)


def test_what_is_in_flight_is_waited_for(tmp_path: Path) -> None:
    """A request that fits only if another takes less than it may is asked after it, not refused."""
    ledger = Ledger(tmp_path / "ledger.jsonl", Budget(tokens=100))
    first = ledger.reserve(50, 40)
    assert first is not None
    with ThreadPoolExecutor(1) as threads:
        second = threads.submit(ledger.reserve, 50, 40)
        with pytest.raises(TimeoutError):
            second.result(0.1)
        ledger.settle(first, Spent(5, 5))
        assert second.result(10) is not None
    assert ledger.spent == Spent(55, 45)


def test_a_crash_costs_what_was_in_flight(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    ledger = Ledger(path, Budget(tokens=100))
    settled, _ = ledger.reserve(10, 10), ledger.reserve(20, 20)
    assert settled is not None
    ledger.settle(settled, Spent(5, 5))
    ledger.close()
    with path.open("ab") as file:
        file.write(b'{"reserve": 7, "pro')  # killed as it wrote
    again = Ledger(path, Budget(tokens=100))
    assert again.spent == Spent(25, 25)
    assert again.reserve(25, 26) is None
    assert again.reserve(25, 25) is not None
    again.close()
    assert Ledger(path, None).spent == Spent(50, 50)


def test_one_process_spends_at_a_time(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl", Budget(tokens=100))
    with pytest.raises(Failure, match="another process spends"):
        Ledger(tmp_path / "ledger.jsonl", Budget(tokens=100))
    ledger.close()
    Ledger(tmp_path / "ledger.jsonl", Budget(tokens=100)).close()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40), st.booleans()), max_size=20))
def test_it_is_never_exceeded(requests: list[tuple[int, int, bool]]) -> None:
    """Not over many runs either, of which some die with a request in flight."""
    budget = Budget(cost=0.01, price=Price(prompt=100, completion=200))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ledger.jsonl"
        ledger = Ledger(path, budget)
        for prompt, completion, lives in requests:
            number = ledger.reserve(prompt, completion)
            if number is None:
                assert budget.of(*_sum(ledger.spent, prompt, completion)) > 0.01
            elif lives:
                ledger.settle(number, Spent(prompt // 2, completion))
            else:
                before = ledger.spent
                ledger.close()
                ledger = Ledger(path, budget)
                assert ledger.spent == before
            assert ledger.said().get("cost", 0) <= 0.01


def _sum(spent: Spent, prompt: int, completion: int) -> tuple[int, int]:
    return spent.prompt + prompt, spent.completion + completion


def test_threads_share_it(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl", Budget(tokens=500))

    def spend(_: int) -> bool:
        number = ledger.reserve(3, 4)
        if number is not None:
            ledger.settle(number, Spent(3, 4))
        return number is not None

    with ThreadPoolExecutor(8) as threads:
        done = sum(threads.map(spend, range(200)))
    assert done == 500 // 7
    assert ledger.spent == Spent(3 * done, 4 * done)


@pytest.mark.parametrize(
    "said", [{}, {"cost": 3}, {"tokens": 0}, {"cost": 1, "price": {"prompt": -1, "completion": 0}}]
)
def test_a_budget_that_is_none(said: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Budget.model_validate(said)
