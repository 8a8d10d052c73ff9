"""A baseline's folder is read like a run's, and its figures are those of its own run's rows."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import CRUEL
from train.__main__ import train
from train.cli import main
from train.evaluation.operating_points import OperatingPoint
from train.evaluation.predictions import Predictions
from train.recipe import load
from train.report.page import write as write_report


@pytest.fixture
def run(trained_once: Path, tmp_path: Path) -> Path:
    """A finished run of two labels, this test's own."""
    (folder,) = (trained_once / "runs").iterdir()
    return Path(shutil.copytree(folder, tmp_path / folder.name, symlinks=True))


def summary(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "summary.json").read_text()))


@pytest.fixture
def words(tmp_path: Path) -> Path:
    file = tmp_path / "words.yaml"
    listed = ", ".join(CRUEL.split())
    file.write_text(
        f"schema: 1\nname: toy\nlabels:\n  harassment: {{en: [{listed}]}}\n  hate: {{en: [tribe]}}\n"
    )
    return file


@pytest.mark.parametrize("kind", ["tfidf", "keywords"])
def test_a_baseline_is_laid_out_like_a_run_and_finds_the_words(run: Path, words: Path, kind: str) -> None:
    options = ["--keywords", str(words)] if kind == "keywords" else []
    assert main(["baseline", str(run), kind, *options]) == 0
    folder = run / "baselines" / kind
    final, of_run = summary(folder), summary(run)
    assert final["metrics"]["test/harassment/auroc"] > 0.9  # a score that came back to another row: a coin's
    assert final["metrics"]["dev/harassment/auroc"] > 0.9
    assert final["selected_by"] == {"dev/macro/auprc": final["metrics"]["dev/macro/auprc"]}
    assert final["labels"] == of_run["labels"]
    assert final["metrics"].keys() == of_run["metrics"].keys()
    assert json.loads((folder / "status.json").read_text())["status"] == "done"
    for split in ("dev", "calibration", "test"):
        mine, its = (Predictions.read(f / "predictions" / f"{split}.parquet") for f in (folder, run))
        assert mine.ids.tolist() == its.ids.tolist()
        assert np.array_equal(mine.targets, its.targets, equal_nan=True)
        for column, label in enumerate(mine.labels):
            point = OperatingPoint(**final["operating_points"][label])
            assert (mine.flags[:, column] == (mine.scores[:, column] >= point.threshold)).all()
    locked, of_run_locked = (json.loads((f / "recipe.lock").read_text()) for f in (folder, run))
    assert locked["recipe"].pop("baseline")["kind"] == kind
    assert locked["sha256"] != of_run_locked["sha256"]
    assert locked["recipe"] == of_run_locked["recipe"]
    assert f"<dd>{kind}</dd>" in write_report(folder).read_text()


def test_the_same_again_is_the_same(run: Path, words: Path) -> None:
    found = []
    for _ in range(2):
        assert main(["baseline", str(run), "keywords", "--keywords", str(words)]) == 0
        found.append(summary(run / "baselines" / "keywords"))
        found[-1].pop("baseline")
    assert found[0] == found[1]


def test_nothing_is_written_for_wrong_input(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["baseline", str(run), "keywords", "--keywords", str(run / "none.yaml")]) == 2
    recipe = run / "recipe.yaml"
    rows = run.parent / "rows.csv"
    rows.write_text("text,hate,harassment\n" + "fine,0,1\n" * 40)
    recipe.write_text(recipe.read_text().replace(str(load(recipe).data.sources["toy"].path), str(rows)))
    capsys.readouterr()
    assert main(["baseline", str(run), "tfidf"]) == 2
    assert main(["baseline", str(run), "prompted"]) == 2
    assert "--endpoint and --model" in capsys.readouterr().err
    (run / "status.json").write_text('{"status": "interrupted", "step": 3}')
    assert main(["baseline", str(run), "tfidf"]) == 2
    assert "is not finished" in capsys.readouterr().err
    assert not (run / "baselines").exists()


def test_a_gate_asks_the_baseline_not_its_run(run: Path, words: Path, tmp_path: Path) -> None:
    """A list without a word finds nothing, however well the run does against the run that the gate names."""
    words.write_text("schema: 1\nname: toy\nlabels:\n  hate: {en: [no such word]}\n")
    other = shutil.copytree(run, tmp_path / "other", symlinks=True)
    recipe = run / "recipe.yaml"
    gate = f"test/harassment/auprc >= {other} - 0.01"
    recipe.write_text(recipe.read_text().replace("gates: []\n  suites", f"gates: ['{gate}']\n  suites"))
    assert main(["baseline", str(run), "keywords", "--keywords", str(words)]) == 0
    final, of_run = summary(run / "baselines" / "keywords"), summary(run)
    (told,) = final["gates"]
    key = "test/harassment/auprc"
    assert told["gate"] == f"{key} >= other - 0.01"  # by its name, not by its place
    assert told["value"] == pytest.approx(final["metrics"][key] - of_run["metrics"][key]) != 0


@pytest.mark.slow
def test_transformers_own_trainer_finds_the_words(make_recipe: Callable[..., Path], runs: Path) -> None:
    recipe = make_recipe(rows=600)
    rows = recipe.parent / "rows.csv"
    known = [line for line in rows.read_text().splitlines() if ",," not in line and not line.endswith(",")]
    rows.write_text("\n".join(known) + "\n")
    plan = ["adapter={kind: full}", "train.lr=1e-3", "train.epochs=20", "evaluate.every=20 epochs"]
    run = Path(train(load(recipe, plan))["run"])
    assert main(["baseline", str(run), "trainer"]) == 0
    assert summary(run / "baselines" / "trainer")["metrics"]["test/harassment/auroc"] > 0.9
