"""Run by test_predict under torchrun: 45 rows over two processes, in odd batches."""

import sys

import numpy as np
import torch
from accelerate import Accelerator

from train.data.order import scoring_batches
from train.evaluation.predict import logits
from train.example import Batch

ROWS = 45


def main() -> None:
    accelerator = Accelerator()
    assert accelerator.num_processes == 2
    lengths = np.arange(ROWS) % 11 + 1
    mine = scoring_batches(lengths, tokens=40, rows=7)[accelerator.process_index :: 2]
    batches = [Batch(rows, (), {"x": torch.tensor(rows)}, torch.empty(0)) for rows in mine]
    found = logits(
        lambda inputs: torch.stack([inputs["x"] + 0.5, -inputs["x"] - 0.5], dim=1),
        batches,
        ROWS,
        2,
        accelerator=accelerator,
        stopping=lambda: False,
    )
    assert found is not None
    expected = np.arange(ROWS) + 0.5
    assert np.array_equal(found, np.stack([expected, -expected], axis=1))
    cut = logits(
        lambda inputs: torch.zeros(len(inputs["x"]), 2),
        batches,
        ROWS,
        2,
        accelerator=accelerator,
        stopping=lambda: accelerator.process_index == 1,
    )
    assert cut is None, "a signal on one process must end the evaluation on both"
    accelerator.wait_for_everyone()
    sys.stdout.write(f"process {accelerator.process_index}: {len(found)} predictions\n")


main()
