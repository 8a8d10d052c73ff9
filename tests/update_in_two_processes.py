"""Run by test_invariance under torchrun: PLANS as JSON, and the file that gets the losses."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from accelerate.utils import gather_object

from tests.updating import job_of, losses
from train.files import write_json
from train.job import end_process, take_leave
from train.loop.memory import largest


def main() -> None:
    found = []
    for recipe, *overrides in json.loads(sys.argv[1]):
        job = job_of(Path(recipe), *overrides)
        assert job.accelerator.num_processes == 2
        found.append(losses(job))

    def attempt(size: int) -> None:
        """On the second process four rows ask for more memory than any machine has."""
        torch.empty(10**15 if job.accelerator.process_index == 1 and size > 3 else 1)

    sizes = gather_object([largest(10, attempt, job.accelerator)])
    if job.accelerator.is_main_process:
        write_json(Path(sys.argv[2]), {"losses": found, "micro_batches": sizes})
    job.accelerator.wait_for_everyone()
    take_leave()


main()
end_process(0)
