"""What is memory, speed or fate changes no loss: micro-batch, recomputation, processes, interruption.

For an encoder and a decoder, and for every loss; tests/test_interruption.py: whole runs and real signals.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import REPOSITORY, write_recipe
from tests.updating import begin, job_of, losses, optimizer_of
from train.loop import optimizer
from train.model.classifier import load

CASES = {
    "encoder-bce": ("tiny_base", "loss={kind: bce}"),
    "encoder-asl": ("tiny_base", "loss={kind: asl, pos_weight: auto}"),
    "decoder-bce": ("tiny_decoder", "loss={kind: bce, label_smoothing: 0.1}"),
    "decoder-focal": ("tiny_decoder", "loss={kind: focal, alpha: 0.6}"),
}
SHORT = ["train.steps=8", "train.lr=1e-2", "train.warmup=0"]


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str]:
    """A recipe and the override that states its loss."""
    base, loss = CASES[request.param]
    return write_recipe(tmp_path, request.getfixturevalue(base)), loss


def test_accumulation_does_not_change_the_losses(case: tuple[Path, str]) -> None:
    """Global 16 as 1x16 and as 4x4, with soft and unknown labels, dropout 0, fp32."""
    recipe, loss = case
    whole, pieces = (losses(job_of(recipe, loss, *SHORT, f"train.micro_batch={n}")) for n in (16, 4))
    assert len(set(whole)) == 8
    assert np.abs(np.array(whole) - np.array(pieces)).max() < 1e-5


def test_recomputing_activations_does_not_change_the_losses(case: tuple[Path, str]) -> None:
    recipe, loss = case
    kept, recomputed = (
        losses(job_of(recipe, loss, *SHORT, "model.dropout=0.2", f"train.gradient_checkpointing={flag}"))
        for flag in ("false", "true")
    )
    assert kept == recomputed


READ = ["adapter={kind: top, layers: 1}", "train.cache_prefix=true"]


def test_reading_what_frozen_layers_make_does_not_change_the_losses(
    case: tuple[Path, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Computed for the first run, read by the second, whose rates, loss and windows' draw are its own."""
    recipe, loss = case
    monkeypatch.setenv("TEENSAFE_CACHE", str(tmp_path / "cache"))
    windows = "model.max_length={tokens: 12, overflow: window, stride: 4}"
    for more in ([windows], [windows, "train.lr=1e-3", "data.seed=5"]):
        plan = [loss, *SHORT, "train.micro_batch=5", *more]
        computed = losses(job_of(recipe, *plan, READ[0]))
        read = losses(job_of(recipe, *plan, *READ))
        assert np.abs(np.array(computed) - np.array(read)).max() < 1e-5
        recomputed = losses(job_of(recipe, *plan, *READ, "train.gradient_checkpointing=true"))
        assert np.abs(np.array(computed) - np.array(recomputed)).max() < 1e-5
    said = re.findall(r"1 frozen layer\(s\): computed for (\d+) texts", capsys.readouterr().err)
    first, again, others, once_more = map(int, said)
    assert first > others > again == once_more == 0  # those that only the other order draws


def test_a_resume_gives_the_losses_of_the_uninterrupted_run(case: tuple[Path, str], tmp_path: Path) -> None:
    recipe, loss = case
    job = job_of(recipe, loss, *SHORT, "model.dropout=0.2", "train.micro_batch=5")
    straight = losses(job)
    classifier = begin(job)
    adam = optimizer_of(job, classifier)
    before = losses(job, classifier, adam, stop=3)
    moments = optimizer.state(adam, [pair for part in classifier.parts() for pair in part])
    classifier.save(tmp_path / "saved")
    again = load(tmp_path / "saved")
    adam = optimizer_of(job, again)
    optimizer.restore(adam, [pair for part in again.parts() for pair in part], moments)
    assert before + losses(job, again, adam, start=3) == straight


def test_the_order_of_examples_depends_on_nothing_but_seed_and_step(case: tuple[Path, str]) -> None:
    recipe, loss = case
    job, other = job_of(recipe, loss), job_of(recipe, loss, "train.lr=1e-5", "train.seed=9")
    straight = [window.batches[0].ids for window in job._windows(0, 16)]
    assert straight[5:] == [window.batches[0].ids for window in job._windows(5, 16)]
    assert straight == [window.batches[0].ids for window in other._windows(0, 16)]
    shuffled = [window.batches[0].ids for window in job_of(recipe, loss, "data.seed=1")._windows(0, 16)]
    assert shuffled != straight


@pytest.mark.slow
def test_two_processes_give_the_losses_of_one(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Two real processes: 16 as two of 8, each in pieces of 5; and how they agree on a micro-batch.

    Launched as the recipes say: `accelerate launch --cpu --num_processes 2` would start one.
    """
    plans, expected = [], []
    for name, (base, loss) in CASES.items():
        (tmp_path / name).mkdir()
        recipe = write_recipe(tmp_path / name, request.getfixturevalue(base))
        plans.append([str(recipe), loss, *SHORT, "train.micro_batch=5"])
        expected.append(losses(job_of(recipe, loss, *SHORT)))
    plans.append([*plans[-1], *READ])
    expected.append(losses(job_of(recipe, loss, *SHORT, READ[0])))
    script, out = Path(__file__).with_name("update_in_two_processes.py"), tmp_path / "out.json"
    config = REPOSITORY / "recipes" / "accelerate" / "cpu-2.yaml"
    accelerate = str(Path(sys.executable).with_name("accelerate"))
    done = subprocess.run(
        [accelerate, "launch", "--config_file", str(config), str(script), json.dumps(plans), str(out)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "TEENSAFE_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(out.read_text())
    assert found["micro_batches"] == [3, 3]  # of 10, process 1 has room for 3: 10, 5, 3
    for one, two in zip(expected, found["losses"], strict=True):
        assert len(two) == 8
        assert np.abs(np.array(one) - np.array(two)).max() < 1e-5
