"""Scoring over processes: every row once, with all of its windows."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch

from tests.processes import Group
from train.data.order import scoring_batches
from train.evaluation.predict import logits

ROWS = 45


def windows(rows: np.ndarray) -> tuple[np.ndarray, dict[str, torch.Tensor]]:
    """Row r has r % 4 + 1 windows, of the values r, r + 1, ..."""
    parts = [(row, row + part) for row in rows for part in range(row % 4 + 1)]
    return np.array([row for row, _ in parts]), {"x": torch.tensor([float(value) for _, value in parts])}


def forward(inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
    return torch.stack([inputs["x"] + 0.5, -inputs["x"] - 0.5], dim=1)


def expected(reduce: str) -> np.ndarray:
    """[ROWS, 2]: the reduction of r + 0.5, r + 1.5, ... and of their negatives."""
    rows, last = np.arange(ROWS), np.arange(ROWS) % 4
    values = (
        (rows + last + 0.5, -rows - 0.5)
        if reduce == "max"
        else (rows + last / 2 + 0.5, -rows - last / 2 - 0.5)
    )
    return np.stack(values, axis=1).astype(np.float32)


def scored(
    reduce: Literal["max", "mean"], batches: list[np.ndarray], told: list[int] | None = None
) -> np.ndarray:
    advance = (lambda rows: None) if told is None else told.append
    found = logits(forward, map(windows, batches), (ROWS, 2), reduce=reduce, advance=advance)
    assert found is not None
    return found


@pytest.mark.parametrize("reduce", ["max", "mean"])
def test_a_row_is_its_windows_reduced(reduce: Literal["max", "mean"]) -> None:
    told: list[int] = []
    found = scored(reduce, scoring_batches(np.arange(ROWS) % 11 + 1, tokens=40, rows=7), told)
    assert found.dtype == np.float32
    assert np.allclose(found, expected(reduce), atol=1e-5)
    assert sum(told) == ROWS, "progress counts rows, not windows"


@pytest.mark.parametrize("reduce", ["max", "mean"])
def test_windows_of_a_row_may_come_in_several_batches(reduce: Literal["max", "mean"]) -> None:
    rows, inputs = windows(np.arange(ROWS))
    cuts = [(rows[i : i + 3], {"x": inputs["x"][i : i + 3]}) for i in range(0, len(rows), 3)]
    told: list[int] = []
    found = logits(forward, cuts, (ROWS, 2), reduce=reduce, advance=told.append)
    assert np.allclose(found, expected(reduce), atol=1e-5)
    assert sum(told) == ROWS


@pytest.mark.parametrize("reduce", ["max", "mean"])
def test_what_two_processes_compute_adds_up(reduce: Literal["max", "mean"]) -> None:
    """The sum that accelerate forms over processes: each row in one of them, 0 in the other."""
    batches = scoring_batches(np.arange(ROWS) % 11 + 1, tokens=40, rows=7)
    assert np.array_equal(
        scored(reduce, batches[0::2]) + scored(reduce, batches[1::2]), scored(reduce, batches)
    )


def test_nothing_to_score_is_an_empty_table() -> None:
    assert logits(forward, [], (0, 2), reduce="max").shape == (0, 2)  # type: ignore[union-attr]


@pytest.mark.slow
def test_45_examples_over_two_processes_give_45_predictions(tmp_path: Path) -> None:
    group = Group(tmp_path / "log.txt", 2, _score)
    assert group.wait() == 0, group.said()
    said = [line for line in group.said().splitlines() if line.startswith("process")]
    assert sorted(said) == ["process 0: 45 predictions", "process 1: 45 predictions"]


def _score() -> int:
    """45 rows over two processes, in odd batches."""
    from accelerate import Accelerator

    accelerator = Accelerator()
    assert accelerator.num_processes == 2
    lengths = np.arange(ROWS) % 11 + 1
    mine = scoring_batches(lengths, tokens=40, rows=7)[accelerator.process_index :: 2]
    reductions: tuple[Literal["max", "mean"], ...] = ("max", "mean")
    for reduce in reductions:
        found = logits(forward, map(windows, mine), (ROWS, 2), reduce=reduce, accelerator=accelerator)
        assert found is not None
        assert np.allclose(found, expected(reduce), atol=1e-5)
    cut = logits(
        lambda inputs: torch.zeros(len(inputs["x"]), 2),
        map(windows, mine),
        (ROWS, 2),
        reduce="max",
        accelerator=accelerator,
        stopping=lambda: accelerator.process_index == 1,
    )
    assert cut is None, "a signal on one process must end the evaluation on both"
    accelerator.wait_for_everyone()
    sys.stdout.write(f"process {accelerator.process_index}: {len(found)} predictions\n")
    sys.stdout.flush()
    torch.distributed.destroy_process_group()
    return 0
