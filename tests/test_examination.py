"""What is asked of the selected checkpoint after training: suites, gates, and exit code 3."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import write_rows
from train.__main__ import main as train
from train.cli import main as teensafe
from train.evaluation.predictions import Predictions
from train.loop.checkpoints import open_checkpoint
from train.recipe import load

SUITE = """
schema: 1
name: {name}
about: rows like those of training
sources:
  rows:
    path: {path}
    text: text
    labels: {{hate: hate, harassment: harassment}}
    slices: {{lang: en}}
    licence: MIT
    {more}
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    write_rows(tmp_path / "suite.csv", 200, seed=5)
    path = tmp_path / "suite.yaml"
    path.write_text(SUITE.format(name="alike", path="suite.csv", more=""))
    return path


@pytest.fixture
def run(trained_once: Path, tmp_path: Path, runs: Path) -> Path:
    shutil.copytree(trained_once / "runs", runs)
    (folder,) = runs.iterdir()
    return folder


def test_evaluate_adds_suites_and_answers_gates(
    run: Path, suite: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = json.loads((run / "summary.json").read_text())
    held, broken = "suite.alike/any/fpr <= 0.9", "suite.alike/hate/recall/lang=* >= 0.99999"
    asked = ["evaluate", str(run), "--suite", str(suite), "--gate", held]
    assert teensafe([*asked, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    after = json.loads((run / "summary.json").read_text())
    assert told == {"run": str(run), **after}
    figures = after["metrics"]
    for key, value in before["metrics"].items():
        assert figures[key] == pytest.approx(value, abs=1e-6), key
    rows = Predictions.read(run / "predictions" / "suite.alike.parquet")
    flagged = rows.flags[:, 0] & (rows.targets[:, 0] > 0.5)
    positives = int((rows.targets[:, 0] > 0.5).sum())
    assert figures["suite.alike/harassment/recall"] == pytest.approx(flagged.sum() / positives)
    assert figures["suite.alike/any/n"] + figures["suite.alike/any/positives"] <= len(rows) == 200
    assert after["suites"]["suite.alike"]["rows"] == 200
    assert [gate["outcome"] for gate in after["gates"]] == ["held"]

    assert teensafe([*asked, "--gate", broken]) == 3
    said = capsys.readouterr()
    assert f"gate {broken}: NOT HELD" in said.err and "suite.alike/hate/recall/lang=en is" in said.err
    assert "suite.alike" in said.out and "test" in said.out


def test_mistakes_leave_the_run_as_it_was(
    run: Path, suite: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (run / "summary.json").read_bytes()
    (tmp_path / "odd.yaml").write_text(SUITE.format(name="odd", path="none.csv", more=""))
    for arguments, complaint in (
        (["--suite", str(tmp_path / "none.yaml")], "does not exist"),
        (["--suite", str(tmp_path / "odd.yaml")], "none.csv"),
        (["--gate", "harm < 3"], "is no gate"),
        (["--gate", "test/macro/auprc >= no-such-run - 0.01"], "is no run"),
    ):
        assert teensafe(["evaluate", str(run), *arguments]) == 2
        assert complaint in capsys.readouterr().err
    assert (run / "summary.json").read_bytes() == before


def test_a_recipe_with_suites_and_gates(
    make_recipe: Callable[..., Path], suite: Path, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = str(make_recipe())
    plan = ["train.steps=6", "evaluate.every=3 steps", f"evaluate.suites.test=[{suite}]"]
    broken = 'evaluate.gates=["suite.alike/any/recall >= 0.99999"]'
    assert teensafe(["check", recipe, *plan, broken]) == 0
    assert train([recipe, *plan, broken, "--json"]) == 3
    told = json.loads(capsys.readouterr().out)
    assert told["status"] == "done" and told["gates"][0]["outcome"] != "held"
    assert train([recipe, *plan, broken]) == 3  # done already, and still not held
    # neither suites nor gates are part of what the run is
    kept = 'evaluate.gates=["suite.alike/any/fpr <= 0.99999"]'
    assert train([recipe, "train.steps=6", "evaluate.every=3 steps", "--json"]) == 3
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["run"] == told["run"]
    assert load(recipe, [*plan, kept]).identity() == load(recipe, plan[:2]).identity()


def test_selection_under_a_limit(
    make_recipe: Callable[..., Path], suite: Path, tmp_path: Path, runs: Path
) -> None:
    write_rows(tmp_path / "dev.csv", 200, seed=6)
    dev = tmp_path / "dev.yaml"
    dev.write_text(SUITE.format(name="alike", path="{dev: dev.csv}", more=""))
    plan = ["train.steps=12", "evaluate.every=3 steps", f"evaluate.suites.dev=[{dev}]"]
    limits = ("suite.alike-dev/any/recall >= 0", "suite.alike-dev/any/recall >= 1")
    recipe = str(make_recipe())
    best = []
    for limit in limits:
        assert train([recipe, *plan, f'evaluate.select.subject_to=["{limit}"]']) == 0
        (run,) = set(runs.iterdir()) - set(best)
        best.append(run)
        lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        judged = [line for line in lines if "dev/macro/auprc" in line]
        assert all("suite.alike-dev/any/recall" in line for line in judged)
        progress = open_checkpoint((run / "checkpoints" / "best").resolve())
        kept = [line for line in judged if limit == limits[0] or line["suite.alike-dev/any/recall"] >= 1]
        chosen = max(kept or judged, key=lambda line: line["dev/macro/auprc"])
        assert progress.best_step == progress.step == chosen["step"]
        assert progress.best_keeps is bool(kept)


def test_check_says_what_gates_and_suites_lack(
    make_recipe: Callable[..., Path], suite: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = str(make_recipe())
    judged = f"evaluate.suites.test=[{suite}]"
    for plan, complaint in (
        (['evaluate.gates=["suite.alike/any/fpr <= 0.1"]'], "suite.alike is not judged"),
        ([judged, 'evaluate.gates=["suite.alik/any/fpr <= 0.1"]'], "did you mean suite.alike?"),
        (['evaluate.gates=["fpr <= 0.1"]'], "is no gate"),
        (['evaluate.select.subject_to=["test/any/fpr <= 0.1"]'], "expected a figure of a dev suite"),
        ([f"evaluate.suites.test=[{suite}, {suite}]"], "two suites are called alike"),
        ([f"evaluate.suites.test=[{tmp_path}/none.yaml]"], "does not exist"),
        (
            [judged, f"data.sources.toy.path={tmp_path}/suite.csv"],
            "is kept for judging: it is of the suite alike",
        ),
        (
            [judged, f"data.sources.toy.path=file://{tmp_path}/suite.csv"],
            "is kept for judging: it is of the suite alike",
        ),
    ):
        assert teensafe(["check", recipe, *plan]) == 2, plan
        assert complaint in capsys.readouterr().err


def test_public_sources_kept_for_evaluation_are_no_training_data(
    make_recipe: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("TEENSAFE_DATA", str(tmp_path))
    (tmp_path / "surge-toxicity").mkdir()
    write_rows(tmp_path / "surge-toxicity" / "toxicity_en.csv", 50)
    place = f"data.sources.toy.path={tmp_path}/surge-toxicity/toxicity_en.csv"
    assert teensafe(["check", str(make_recipe()), place]) == 2
    assert "surge-toxicity is only to evaluate with" in capsys.readouterr().err


def test_isotonic_calibration_is_another_run_and_only_where_asked(
    make_recipe: Callable[..., Path], runs: Path
) -> None:
    recipe = str(make_recipe())
    asked = ["train.steps=4", "evaluate.every=4 steps", "evaluate.calibration=any"]
    assert load(recipe, asked).identity() != load(recipe, asked[:2]).identity()
    assert "calibration" not in load(recipe).identity()["evaluate"]
    assert train([recipe, *asked]) == 0
    (run,) = runs.iterdir()
    points = json.loads((run / "summary.json").read_text())["operating_points"]
    assert {point["calibration"] for point in points.values()} <= {
        "identity",
        "temperature",
        "platt",
        "isotonic",
    }
