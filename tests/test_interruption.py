"""Stopped, killed, resumed: the losses are those of a run left alone. Real processes, real signals."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.conftest import write_rows
from tests.processes import Launched, training

pytestmark = pytest.mark.slow

MakeRecipe = Callable[..., Path]
PLAN = ["model.dropout=0.2", "train.steps=60", "evaluate.every=25 steps", "evaluate.patience=3"]


SUITE = """
schema: 1
name: alike
about: rows like those of training
sources:
  rows: {path: suite.csv, text: text, labels: {hate: hate, harassment: harassment}, licence: MIT}
"""


def losses(runs: Path, name: str) -> dict[int, float]:
    """train/loss by step; after a resume the last line for a step wins."""
    found = {}
    for path in runs.glob(f"{name}-*/metrics.jsonl"):
        for line in path.read_text().splitlines(keepends=True):
            if line.endswith("\n") and "train/loss" in (record := json.loads(line)):
                found[record["step"]] = record["train/loss"]
    return found


def logged(runs: Path) -> int:
    """Bytes of the killed run's metrics.jsonl."""
    return sum(path.stat().st_size for path in runs.glob("killed-*/metrics.jsonl"))


def read(runs: Path, name: str, file: str) -> dict[str, object]:
    (path,) = runs.glob(f"{name}-*/{file}")
    return dict(json.loads(path.read_text()))


@pytest.mark.parametrize(
    ("processes", "base", "loss"),
    [(1, "tiny_base", "bce"), (2, "tiny_decoder", "focal")],
    ids=["one-encoder", "two-decoder"],
)
def test_a_signal_saves_and_the_resume_equals_the_uninterrupted_run(
    make_recipe: MakeRecipe,
    runs: Path,
    processes: int,
    base: str,
    loss: str,
    request: pytest.FixtureRequest,
) -> None:
    """SIGTERM in mid-epoch, on one process then SIGINT of the resumed run; dropout on."""
    recipe = make_recipe()
    write_rows(recipe.parent / "suite.csv", 60, seed=5)
    (recipe.parent / "suite.yaml").write_text(SUITE)
    judged = [f"evaluate.suites.test=[{recipe.parent}/suite.yaml]", "evaluate.perturbations=[typos]"]
    plan = [*PLAN, *judged, f"model.base={request.getfixturevalue(base)}", f"loss={{kind: {loss}}}"]
    straight = training(recipe, [*plan, "name=straight"], processes)
    assert straight.wait() == 0, straight.said()
    stops = ((signal.SIGTERM, 17), (signal.SIGINT, 33)) if processes == 1 else ((signal.SIGTERM, 33),)
    for number, after in stops:
        job = training(recipe, [*plan, "name=stopped"], processes)
        while len(losses(runs, "stopped")) < after:
            assert job.wait(0.01) is None, job.said()
        job.signal(number)
        code = job.wait()
        assert code == 128 + number, job.said()
        status = read(runs, "stopped", "status.json")
        assert status["status"] == "interrupted", job.said()
        assert after <= int(str(status["step"])) < 60
    last = training(recipe, [*plan, "name=stopped"], processes)
    assert last.wait() == 0, last.said()
    assert f"resuming at step {status['step']}" in last.said()
    assert losses(runs, "stopped") == losses(runs, "straight")
    stopped, whole = (read(runs, name, "summary.json") for name in ("stopped", "straight"))
    assert stopped["processes"] == whole["processes"] == processes
    assert stopped["metrics"] == whole["metrics"]
    assert stopped["metrics"]["suite.alike/any/recall"] is not None
    assert "test/any/fpr_rise/perturbation=typos" in stopped["metrics"]
    assert stopped["reload_max_logit_difference"] == whole["reload_max_logit_difference"] == 0


def test_kill_9_at_twenty_random_moments(make_recipe: MakeRecipe, runs: Path) -> None:
    dice = random.Random(20)
    recipe = make_recipe()
    plan = ["train.steps=100000", "evaluate.every=10 steps", "model.dropout=0.2"]
    for number in range(20):
        job = training(recipe, [*plan, "name=killed"])
        lines = logged(runs)
        while number % 4 and logged(runs) == lines:  # three of four fall into training, one anywhere
            assert job.wait(0.005) is None, job.said()
        assert job.wait(dice.uniform(0, 1)) is None, f"it ended before the kill: {job.said()}"
        job.signal(signal.SIGKILL)
        assert job.wait() == -signal.SIGKILL
    killed = losses(runs, "killed")
    assert len(killed) > 10
    for name, enough in (
        ("killed", len(killed) + 30),
        ("straight", len(killed)),
    ):  # it goes on, and as if alone
        job = training(recipe, [*plan, f"name={name}"])
        while len(losses(runs, name)) < enough:
            assert job.wait(0.1) is None, job.said()
        job.signal(signal.SIGKILL)
        job.wait()
    straight = losses(runs, "straight")
    assert killed == {step: straight[step] for step in killed}


def test_accelerate_launch_is_the_same_program(make_recipe: MakeRecipe, runs: Path) -> None:
    options = [
        "--num_processes=1",
        "--num_machines=1",
        "--mixed_precision=no",
        "--dynamo_backend=no",
        "--cpu",
    ]
    launcher = [str(Path(sys.executable).with_name("accelerate")), "launch", *options]
    job = Launched(launcher, make_recipe(), ["train.steps=3"])
    assert job.wait() == 0, job.said()
    assert read(runs, "toy", "status.json")["status"] == "done"


def test_wrong_input_at_two_processes_is_one_message(make_recipe: MakeRecipe, runs: Path) -> None:
    recipe = make_recipe()
    (recipe.parent / "rows.csv").unlink()
    job = training(recipe, [], processes=2)
    assert job.wait() not in (0, None)
    assert job.said().count("rows.csv") == 1
    assert not runs.exists()


def test_a_disk_that_fills_up_loses_no_checkpoint(make_recipe: MakeRecipe, runs: Path) -> None:
    """A real full disk: a file system of 3 MB, on which the first checkpoints fit and the next does not."""
    runs.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "none", str(runs)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode != 0:
        pytest.skip("mounting a small file system needs root")
    try:
        recipe, plan = make_recipe(), ["train.steps=3000", "evaluate.every=10 steps"]
        job = training(recipe, plan)
        while not list(runs.glob("*/checkpoints/step-*")):
            assert job.wait(0.01) is None, job.said()
        ballast = (runs / "ballast").open("wb")
        with suppress(OSError):
            while True:
                ballast.write(b"x" * 4096)
                ballast.flush()
        assert job.wait() == 1, job.said()
        assert "No space left on device" in job.said()
        assert "Traceback" not in job.said()
        (last,) = runs.glob("*/checkpoints/last")
        assert last.resolve().is_dir()
        assert not list(runs.rglob("*.part"))
        with suppress(OSError):
            ballast.close()
        (runs / "ballast").unlink()
        again = training(recipe, plan)
        while "resuming" not in again.said():
            assert again.wait(0.05) is None, again.said()
        again.signal(signal.SIGKILL)
        again.wait()
    finally:
        time.sleep(0.1)
        subprocess.run(["umount", "-l", str(runs)], check=True)
