"""Stopped, killed, resumed: the losses are those of a run left alone. Real processes, real signals."""

from __future__ import annotations

import json
import multiprocessing
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

pytestmark = pytest.mark.slow

MakeRecipe = Callable[..., Path]
LONG = ["model.dropout=0.2", "train.steps=60", "evaluate.every=25 steps"]
TWO = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "train"]


def launch(command: list[str], recipe: Path, overrides: list[str]) -> subprocess.Popen[str]:
    """In a process group of its own, as a scheduler starts a job."""
    return subprocess.Popen(
        [*command, str(recipe), *overrides],
        env={**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def run_of(runs: Path, name: str) -> Path | None:
    return next(iter(runs.glob(f"{name}-*")), None)


def steps_done(runs: Path, name: str) -> int:
    run = run_of(runs, name)
    return len(losses(run)) if run and (run / "metrics.jsonl").exists() else 0


def losses(run: Path | None) -> dict[int, float]:
    assert run
    found = {}
    for line in (run / "metrics.jsonl").read_text().splitlines(keepends=True):
        if line.endswith("\n") and "train/loss" in (record := json.loads(line)):
            found[record["step"]] = record["train/loss"]
    return found


@pytest.mark.parametrize(
    ("processes", "number"), [(1, signal.SIGTERM), (1, signal.SIGINT), (2, signal.SIGTERM)]
)
def test_a_signal_saves_and_the_resume_equals_the_uninterrupted_run(
    make_recipe: MakeRecipe, runs: Path, processes: int, number: signal.Signals
) -> None:
    command = [sys.executable, "-m", "train"] if processes == 1 else TWO
    recipe = make_recipe()
    straight = launch(command, recipe, [*LONG, "name=straight"])
    assert straight.wait(240) == 0, straight.stdout and straight.stdout.read()

    stopped = launch(command, recipe, [*LONG, "name=stopped"])
    while steps_done(runs, "stopped") < 33:  # in mid-epoch, between two evaluations
        assert stopped.poll() is None, stopped.stdout and stopped.stdout.read()
        time.sleep(0.01)
    os.killpg(stopped.pid, number)
    code = stopped.wait(120)
    run = run_of(runs, "stopped")
    assert run
    status = json.loads((run / "status.json").read_text())
    assert status["status"] == "interrupted"
    assert 33 <= status["step"] < 60
    if processes == 1:
        assert code == 128 + number
    again = launch(command, recipe, [*LONG, "name=stopped"])
    out, _ = again.communicate(timeout=240)
    assert again.returncode == 0, out
    assert f"resuming at step {status['step']}" in out
    assert losses(run) == losses(run_of(runs, "straight"))
    summaries = [json.loads((folder / "summary.json").read_text()) for folder in runs.iterdir()]
    assert {summary["processes"] for summary in summaries} == {processes}
    assert summaries[0]["metrics"] == summaries[1]["metrics"]


def _train_in_child(recipe: str, overrides: list[str]) -> None:
    os.setsid()
    import torch

    from train.__main__ import main

    torch.set_num_threads(1)
    sys.exit(main([recipe, *overrides]))


def test_kill_9_at_twenty_random_moments(make_recipe: MakeRecipe, runs: Path) -> None:
    """Children of a server that has the libraries loaded: real processes, without 6 s of imports each."""
    dice = random.Random(20)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["train.__main__", "train.assessment", "train.model.classifier", "peft"])
    recipe = make_recipe()
    plan = ["train.steps=700", "evaluate.every=10 steps", "model.dropout=0.2"]

    def start(name: str) -> multiprocessing.process.BaseProcess:
        child = context.Process(target=_train_in_child, args=(str(recipe), [*plan, f"name={name}"]))
        child.start()
        return child

    kills = 0
    moments: list[int] = []
    while kills < 20:
        child = start("killed")
        child.join(dice.uniform(0.5, 4.0))
        assert child.exitcode is None, "the run ended before it was killed 20 times"
        assert child.pid
        os.kill(child.pid, signal.SIGKILL)
        child.join()
        kills += 1
        moments.append(steps_done(runs, "killed"))
    assert moments[-1] > 10, "it was never killed while training"
    for name in ("killed", "straight"):
        child = start(name)
        child.join(200)
        assert child.exitcode == 0
    killed, straight = run_of(runs, "killed"), run_of(runs, "straight")
    assert losses(killed) == losses(straight)
    assert killed
    assert not list(killed.rglob("*.part"))


def test_two_processes_give_the_losses_of_one(make_recipe: MakeRecipe, runs: Path) -> None:
    """Global 16 on one process and as two of 8: soft and unknown labels, dropout 0, fp32."""
    recipe = make_recipe()
    plan = ["train.steps=10", "train.schedule=constant"]
    for name, command in (("one", [sys.executable, "-m", "train"]), ("two", TWO)):
        out, _ = (process := launch(command, recipe, [*plan, f"name={name}"])).communicate(timeout=240)
        assert process.returncode == 0, out
    one, two = losses(run_of(runs, "one")), losses(run_of(runs, "two"))
    assert len(one) == len(two) == 10
    assert max(abs(one[step] - two[step]) for step in one) < 1e-5
    summary = json.loads((next(runs.glob("two-*")) / "summary.json").read_text())
    assert summary["processes"] == 2


def test_accelerate_launch_is_the_same_program(make_recipe: MakeRecipe, runs: Path) -> None:
    options = [
        "--num_processes=1",
        "--num_machines=1",
        "--mixed_precision=no",
        "--dynamo_backend=no",
        "--cpu",
    ]
    command = [str(Path(sys.executable).with_name("accelerate")), "launch", *options, "-m", "train"]
    out, _ = (process := launch(command, make_recipe(), ["train.steps=3"])).communicate(timeout=240)
    assert process.returncode == 0, out
    status = json.loads((next(runs.glob("toy-*")) / "status.json").read_text())
    assert status["status"] == "done"


def test_wrong_input_at_two_processes_is_one_message(make_recipe: MakeRecipe, runs: Path) -> None:
    recipe = make_recipe()
    (recipe.parent / "rows.csv").unlink()
    process = launch(TWO, recipe, [])
    out, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert out.count("rows.csv") == 1
    assert not runs.exists()


def test_a_disk_that_fills_up_loses_no_checkpoint(
    make_recipe: MakeRecipe, runs: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A real full disk: a file system of 3 MB, on which the first checkpoints fit and the next does not."""
    runs.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "none", str(runs)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode != 0:
        pytest.skip("mounting a small file system needs root")
    try:
        recipe = make_recipe()
        first = launch(
            [sys.executable, "-m", "train"], recipe, ["train.steps=3000", "evaluate.every=10 steps"]
        )
        while not list(runs.glob("*/checkpoints/step-*")):
            assert first.poll() is None, first.stdout and first.stdout.read()
            time.sleep(0.01)
        ballast = (runs / "ballast").open("wb")
        with suppress(OSError):
            while True:
                ballast.write(b"x" * 4096)
                ballast.flush()
        out, _ = first.communicate(timeout=120)
        assert first.returncode == 1, out
        assert "No space left on device" in out
        assert "Traceback" not in out
        run = run_of(runs, "toy")
        assert run
        assert (run / "checkpoints" / "last").resolve().is_dir()
        assert not list(run.rglob("*.part"))
        with suppress(OSError):
            ballast.close()
        (runs / "ballast").unlink()
        done = launch(
            [sys.executable, "-m", "train"], recipe, ["train.steps=3000", "evaluate.every=10 steps"]
        )
        while "resuming" not in (line := done.stdout.readline() if done.stdout else "resuming"):
            assert line, "it ended without resuming"
        done.kill()
        done.communicate()
    finally:
        subprocess.run(["umount", "-l", str(runs)], check=True)
