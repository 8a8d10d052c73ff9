"""The run folder: found by name, locked by its process, whole after a torn line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from train.errors import Failure, InputError
from train.tracking import run as tracking
from train.tracking.run import Run


def test_a_run_is_found_by_path_and_by_name(runs: Path) -> None:
    run = Run(runs / "toy-12345678", "1")
    run.status("running", 3)
    run.close()
    assert tracking.find(str(runs / "toy-12345678")) == runs / "toy-12345678"
    assert tracking.find("toy-12345678") == runs / "toy-12345678"
    with pytest.raises(InputError, match="toy-12345678"):
        tracking.find("toy-1234567")
    assert tracking.status(runs / "toy-12345678")["step"] == 3
    assert tracking.status(runs / "never") == {}


def test_a_torn_last_line_is_removed(runs: Path) -> None:
    run = Run(runs / "toy", "1")
    run.log({"step": 1, "train/loss": 0.5})
    run.close()
    with (runs / "toy" / "metrics.jsonl").open("a") as stream:
        stream.write('{"step": 2, "train/lo')
    run = Run(runs / "toy", "1")
    run.log({"step": 2, "train/loss": 0.25})
    run.close()
    lines = (runs / "toy" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2]


def test_one_process_trains_a_run_and_its_death_frees_it(runs: Path) -> None:
    code = "from train.tracking.run import Run; from pathlib import Path; import time; "
    code += f"run = Run(Path({str(runs / 'toy')!r}), '1'); print('held', flush=True); time.sleep(60)"
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert holder.stdout and holder.stdout.readline() == "held\n"
    with pytest.raises(Failure, match="another process is training this run"):
        Run(runs / "toy", "1")
    holder.kill()
    holder.wait()
    Run(runs / "toy", "1").close()


def test_a_damaged_summary_is_named(runs: Path) -> None:
    Run(runs / "toy", "1").close()
    (runs / "toy" / "summary.json").write_text("{")
    with pytest.raises(Failure, match=r"summary\.json"):
        tracking.summary(runs / "toy")


def test_the_last_word_on_a_step_counts_and_a_torn_line_does_not(runs: Path) -> None:
    run = Run(runs / "toy", "1")
    for record in ({"step": 2, "train/loss": 0.5}, {"step": 1, "train/loss": 0.7}, {"step": 2, "dev/n": 9}):
        run.log(record)
    run.log({"step": 2, "train/loss": 0.25})  # done again after a resume
    run.close()
    path = runs / "toy" / "metrics.jsonl"
    with path.open("a") as stream:
        stream.write('{"step": 3, "train/lo')
    assert tracking.history(runs / "toy") == [
        {"step": 1, "train/loss": 0.7},
        {"step": 2, "train/loss": 0.25, "dev/n": 9},
    ]
    path.write_text("not JSON\n")
    with pytest.raises(Failure, match=r"metrics\.jsonl"):
        tracking.history(runs / "toy")
