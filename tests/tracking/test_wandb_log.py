"""A real offline W&B run, read back with W&B's own reader."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from train.__main__ import train as run_recipe
from train.recipe import load
from train.tracking.wandb_log import Tracking, mode


def test_the_mode_is_what_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert mode(Tracking()) == "offline"
    assert mode(Tracking(wandb="disabled")) == "disabled"
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", "/nonexistent")
    assert mode(Tracking()) == "offline"


@pytest.mark.slow
def test_what_wandb_gets_is_what_the_run_folder_holds_and_no_text(
    make_recipe: Callable[..., Path], runs: Path
) -> None:
    recipe = load(make_recipe(), ["track.wandb=offline", "train.steps=4", "evaluate.every=2 steps"])
    summary = run_recipe(recipe)
    (folder,) = (Path(summary["run"]) / "wandb").glob("offline-run-*")
    reader = Path(sys.executable).with_name("wandb")
    told = subprocess.run(
        [str(reader), "leet", "inspect", "--json", str(folder)], capture_output=True, text=True, check=True
    ).stdout
    mirrored = [
        json.loads(line) for line in (Path(summary["run"]) / "metrics.jsonl").read_text().splitlines()
    ]
    assert '"train/loss"' in told
    for record in mirrored:
        if "train/loss" in record:
            assert str(record["train/loss"]) in told
    assert "toy-classifier" in told
    stored = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert b"tribe" not in stored  # a word of the texts
    assert summary["name"].encode() in stored
