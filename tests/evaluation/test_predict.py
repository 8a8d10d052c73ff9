"""Scoring over processes: every row once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_45_examples_over_two_processes_give_45_predictions() -> None:
    script = Path(__file__).with_name("score_in_two_processes.py")
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", str(script)],
        env={**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == ["process 0: 45 predictions", "process 1: 45 predictions"]
