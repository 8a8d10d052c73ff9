"""Scoring over processes: every row once."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from tests.processes import Group

ROWS = 45


@pytest.mark.slow
def test_45_examples_over_two_processes_give_45_predictions(tmp_path: Path) -> None:
    group = Group(tmp_path / "log.txt", 2, _score)
    assert group.wait() == 0, group.said()
    said = [line for line in group.said().splitlines() if line.startswith("process")]
    assert sorted(said) == ["process 0: 45 predictions", "process 1: 45 predictions"]


def _score() -> int:
    """45 rows over two processes, in odd batches."""
    import torch
    from accelerate import Accelerator

    from train.data.order import scoring_batches
    from train.evaluation.predict import logits

    accelerator = Accelerator()
    assert accelerator.num_processes == 2
    lengths = np.arange(ROWS) % 11 + 1
    mine = scoring_batches(lengths, tokens=40, rows=7)[accelerator.process_index :: 2]
    batches = [(rows, {"x": torch.tensor(rows)}) for rows in mine]
    found = logits(
        lambda inputs: torch.stack([inputs["x"] + 0.5, -inputs["x"] - 0.5], dim=1),
        batches,
        (ROWS, 2),
        reduce="max",
        accelerator=accelerator,
        stopping=lambda: False,
    )
    assert found is not None
    expected = np.arange(ROWS) + 0.5
    assert np.array_equal(found, np.stack([expected, -expected], axis=1))
    cut = logits(
        lambda inputs: torch.zeros(len(inputs["x"]), 2),
        batches,
        (ROWS, 2),
        reduce="max",
        accelerator=accelerator,
        stopping=lambda: accelerator.process_index == 1,
    )
    assert cut is None, "a signal on one process must end the evaluation on both"
    accelerator.wait_for_everyone()
    sys.stdout.write(f"process {accelerator.process_index}: {len(found)} predictions\n")
    sys.stdout.flush()
    return 0
