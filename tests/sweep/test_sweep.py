"""A sweep from its first recipe to its last, trained for real, and ranked."""

from __future__ import annotations

import io
import json
import os
import re
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from train.__main__ import train
from train.cli import main as teensafe
from train.errors import Diverged, Failure, Interrupted, Problem, Pruned
from train.evaluation.metrics import measure
from train.evaluation.predictions import Predictions
from train.signals import StopSignals
from train.sweep.__main__ import run
from train.sweep.page import write
from train.sweep.spec import Plan, load
from train.sweep.sweep import groups, sweep
from train.sweep.table import UNLIKE, table, title
from train.tracking.run import evaluations, history, status

METRIC = "dev/macro/auprc"


@pytest.fixture
def plan(make_recipe: Callable[..., Path], tmp_path: Path, runs: Path) -> Callable[[str], Plan]:
    make_recipe()

    def plan(text: str) -> Plan:
        path = tmp_path / "sweep.yaml"
        path.write_text(f"schema: 1\nname: rates\nrecipe: toy.yaml\n{text}")
        return load(path)

    return plan


def told(curves: Mapping[str, list[float | None] | Exception]) -> Any:
    """Stands for training: tells of these evaluations, by the run's rate."""

    def fit(recipe: Any, watch: Any) -> dict[str, Any]:
        curve = curves[f"{recipe.train.lr:g}"]
        if isinstance(curve, Exception):
            raise curve
        for step, value in enumerate(curve, start=1):
            if not watch(step, {METRIC: value}):
                raise Pruned("ended")
        return {}

    return fit


def test_ranked_by_the_best_dev_figure_and_failed_runs_last(
    plan: Callable[[str], Plan],
) -> None:
    found = sweep(
        plan("space: {train.lr: [1, 2, 3, 4]}"),
        told(
            {
                "1": [0.5, 0.7, 0.6],
                "2": Failure(Problem("update 3", "loss nan is not finite")),
                "3": [None, None],
                "4": [0.8, 0.75],
            }
        ),
    )
    assert [row["values"]["train.lr"] for row in found["runs"]] == ["4", "1", "3", "2"]
    best = [(row["figure"], row["at"]) for row in found["runs"]]
    assert best == [(0.8, 1), (0.7, 2), (None, None), (None, None)]
    assert found["runs"][3]["error"] == "update 3: loss nan is not finite"
    assert title(found) == "4 of 4 runs, 3 finished, 1 failed"
    assert json.loads(json.dumps(found, allow_nan=False)) == json.loads(json.dumps(found))


def test_figures_beyond_the_limits_do_not_count(plan: Callable[[str], Plan], tmp_path: Path) -> None:
    (tmp_path / "dev.csv").write_text("text,hate\nyou are kind,0\n")
    (tmp_path / "suite.yaml").write_text(
        "schema: 1\nname: alike\nabout: kind texts\nsources:\n"
        "  rows: {path: {dev: dev.csv}, text: text, labels: {hate: hate}, licence: MIT}\n"
    )
    rate = "suite.alike-dev/any/fpr"
    made = plan(
        f'set: {{evaluate.select.subject_to: ["{rate} <= 0.1"], evaluate.suites.dev: [suite.yaml]}}\n'
        "space: {train.lr: [1]}"
    )

    def fit(recipe: Any, watch: Any) -> dict[str, Any]:
        watch(1, {METRIC: 0.9, rate: 0.2})
        watch(2, {METRIC: 0.6, rate: 0.1})
        watch(2, {METRIC: 0.6, rate: 0.1})  # evaluated again after a break
        return {}

    found = sweep(made, fit)
    (row,) = found["runs"]
    assert (row["figure"], row["at"], row["curve"]) == (0.6, 2, [(1, None), (2, 0.6)])
    assert found["limits"] == [f"{rate} <= 0.1"]


def test_after_every_run_the_ranking_is_told_and_a_signal_ends_the_sweep(plan: Callable[[str], Plan]) -> None:
    documents: list[Any] = []
    stop = Interrupted(15, "stopped")
    with pytest.raises(Interrupted):
        sweep(plan("space: {train.lr: [1, 2, 3]}"), told({"1": [0.5], "2": stop}), documents.append)
    assert [len(document["runs"]) for document in documents] == [1]
    assert title(documents[0]) == "1 of 3 runs, 1 finished"


def test_seeds_of_one_recipe_are_compared_as_one(plan: Callable[[str], Plan]) -> None:
    said = [("1", "1", 0.9), ("2", "1", 0.8), ("2", "2", 0.8), ("1", "2", 0.5), ("3", "1", 0.1)]
    found = [
        {
            "run": f"run{n}",
            "status": "done",
            "figure": figure,
            "values": {"train.lr": rate, "train.seed": seed},
        }
        for n, (rate, seed, figure) in enumerate(said)
    ]
    assert groups({"runs": found}, 2) == [["run1", "run2"], ["run0", "run3"]]


def test_a_choice_that_is_drawn_again_is_one_run(plan: Callable[[str], Plan]) -> None:
    """Or it would stand in the ranking twice, and be compared with itself."""
    made = plan("search: {runs: 12, startup: 3, prune: none}\nspace: {train.lr: [1, 2, 3]}")
    begun: list[str] = []

    def fit(recipe: Any, watch: Any) -> dict[str, Any]:
        begun.append(recipe.name)
        watch(1, {METRIC: recipe.train.lr / 4})
        return {}

    found = sweep(made, fit)
    assert len(begun) == 12
    assert [row["figure"] for row in found["runs"]] == [0.75, 0.5, 0.25]
    assert title(found) == "3 of 3 runs, 3 finished"


def test_with_several_processes_a_run_that_diverges_is_kept_as_failed(
    plan: Callable[[str], Plan], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All meet it at one update and go on together; of another failure they know nothing."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    made, flaw = plan("space: {train.lr: [1, 2]}"), Problem("update 3", "loss nan is not finite")
    assert title(sweep(made, told({"1": Diverged(flaw), "2": [0.5]}))).endswith("1 finished, 1 failed")
    with pytest.raises(Failure):
        sweep(made, told({"1": Failure(flaw), "2": [0.5]}))


def predicted(folder: Path, *, flags_from: float, cells: int = 400) -> dict[str, Any]:
    """A finished run's folder with predictions on dev, and its summary."""
    dice = np.random.default_rng(1)
    targets = np.zeros((cells, 1), dtype=np.float32)
    targets[::3] = 1
    scores = np.clip(0.3 * targets + dice.uniform(0, 0.7, (cells, 1)), 0, 1)
    rows = np.array([str(n) for n in range(cells)], dtype=object)
    split = np.full(cells, "dev", dtype=object)
    found = Predictions(
        rows, split, rows, split, np.zeros(cells, dtype=bool), {}, ("hate",), targets, scores,
        scores >= flags_from,
    )  # fmt: skip
    found.write(folder / "predictions" / "dev.parquet")
    return {"run": str(folder), "steps": 1, "cost": {"train_seconds": 1.0}}


def test_an_interval_is_of_the_figure_beside_it(plan: Callable[[str], Plan], tmp_path: Path) -> None:
    """Checkpoints are ranked by flags at .5; those of a finished run are of its operating points."""
    made = plan("set: {evaluate.select.metric: dev/hate/f1}\nspace: {train.lr: [1, 2]}")

    def fit(recipe: Any, watch: Any) -> dict[str, Any]:
        at = 0.5 if recipe.train.lr == 1 else 0.9
        summary = predicted(tmp_path / f"run{at}", flags_from=at)
        plain = predicted(tmp_path / "plain", flags_from=0.5)
        part = Predictions.read(Path(plain["run"]) / "predictions" / "dev.parquet")
        watch(1, {"dev/hate/f1": measure(part, "dev")["dev/hate/f1"]})
        return summary

    one, other = sorted(sweep(made, fit)["runs"], key=lambda row: row["values"]["train.lr"])
    assert one["interval"][0] < one["figure"] < one["interval"][1]
    assert other["figure"] == one["figure"] and other["interval"] is None


def test_runs_judged_by_other_texts_are_said_to_be(
    plan: Callable[[str], Plan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = plan("space: {train.lr: [1, 2]}")

    def document(*cells: int) -> Any:
        def fit(recipe: Any, watch: Any) -> dict[str, Any]:
            watch(1, {METRIC: 0.5})
            size = cells[int(recipe.train.lr) - 1]
            return predicted(tmp_path / str(size), flags_from=0.5, cells=size)

        return sweep(made, fit)

    def shown(found: Any) -> tuple[bool, bool]:
        page = write(found, tmp_path / "sweep.html", None).read_text()
        return UNLIKE in page, table(found).caption == UNLIKE

    assert shown(document(400, 400)) == (False, False)
    assert shown(document(400, 500)) == (True, True)


def test_a_list_is_no_markup(plan: Callable[[str], Plan]) -> None:
    found = sweep(
        plan("set: {train.lr: 1}\nspace: {adapter.targets: [[query], [query, value]]}"), told({"1": [0.5]})
    )
    console = Console(width=200)
    with console.capture() as said:
        console.print(table(found))
    assert "[query, value]" in said.get()


def test_a_signal_at_the_end_of_a_run_ends_the_sweep(
    plan: Callable[[str], Plan], tmp_path: Path, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []

    def train(recipe: Any, watch: Any) -> dict[str, Any]:
        begun.append(recipe.name)
        with StopSignals():  # its own, as a training has
            os.kill(os.getpid(), signal.SIGTERM)
        return predicted(tmp_path / "run", flags_from=0.5)

    monkeypatch.setattr("train.__main__.train", train)
    with pytest.raises(Interrupted, match="SIGTERM between two runs"):
        run(plan("space: {train.lr: [1, 2, 3]}"))
    assert len(begun) == 1


@pytest.mark.slow
def test_what_a_killed_process_judged_after_its_last_checkpoint_is_told_once_it_is_judged_again(
    plan: Callable[[str], Plan], runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU the second judgement may differ, and it is the one that stays."""
    recipe = plan("set: {train.steps: 20, evaluate.every: 5 steps}\nspace: {train.lr: [1e-2]}").recipe(
        {"train.lr": 0}
    )
    seen: list[tuple[int, Any]] = []

    def watch(step: int, figures: Any) -> bool:
        seen.append((step, figures[METRIC]))
        return True

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("train.loop.checkpoints.save", killed)
        train(recipe, watch)
    (metrics,) = runs.glob("*/metrics.jsonl")
    metrics.write_text(re.sub(f'"{METRIC}": [0-9.]+', f'"{METRIC}": 0.123', metrics.read_text()))
    assert [figures[METRIC] for _, figures in evaluations(metrics.parent)] == [0.123]
    train(recipe, watch)
    assert [step for step, _ in seen] == [5, 10, 15, 20]
    assert seen == [(step, figures[METRIC]) for step, figures in evaluations(metrics.parent)]


@pytest.mark.slow
def test_a_run_killed_after_its_last_update_is_finished_whatever_it_scored(
    plan: Callable[[str], Plan], runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = plan("set: {train.steps: 4, evaluate.every: 2 steps}\nspace: {train.lr: [1e-2]}").recipe(
        {"train.lr": 0}
    )

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    def watch(step: int, figures: Any) -> bool:
        return step < 4

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("train.__main__._finish", killed)
        train(recipe, watch)
    assert train(recipe, watch)["steps"] == 4


@pytest.mark.slow
def test_a_real_grid(
    plan: Callable[[str], Plan], tmp_path: Path, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Frozen layers computed once, a failing run kept as such, the pages, and nothing trained twice."""
    plan(
        "set: {adapter: {kind: top, layers: 1}, train.steps: 20}\n"
        "space: {train.lr: [3e-3, 1e-2, 1e+30], loss: [{kind: bce}]}\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEENSAFE_CACHE", str(tmp_path / "cache"))
        assert teensafe(["sweep", str(tmp_path / "sweep.yaml"), "--json"]) == 0
        said = capsys.readouterr()
        document = json.loads(said.out[said.out.index("{") :])
        assert [row["status"] for row in document["runs"]] == ["done", "done", "failed"]
        computed = re.findall(r"frozen layer\(s\): computed for (\d+) texts", said.err)
        assert int(computed[0]) > 100 and {*computed[1:]} == {"0"}
        best = document["runs"][0]
        values = [record[METRIC] for record in history(runs / best["run"]) if METRIC in record]
        assert best["figure"] == max(values) and best["interval"][0] <= best["figure"] <= best["interval"][1]
        folder = runs / "sweeps" / "rates"
        assert {path.name for path in folder.iterdir()} == {
            "sweep.yaml", "sweep.json", "sweep.html", "compare.html",
        }  # fmt: skip
        assert json.loads((folder / "sweep.json").read_text()) == document
        page = (folder / "sweep.html").read_text()
        assert 'href="compare.html"' in page and best["run"] in page and "not finite" in page
        times = {path: path.stat().st_mtime_ns for path in runs.glob("*/summary.json")}
        assert teensafe(["sweep", str(tmp_path / "sweep.yaml")]) == 0
        assert {path: path.stat().st_mtime_ns for path in runs.glob("*/summary.json")} == times
        assert capsys.readouterr().err.count("done already") == 2


@pytest.mark.slow
def test_a_real_search_ends_runs_early_and_goes_on_after_a_break(
    plan: Callable[[str], Plan], tmp_path: Path, runs: Path
) -> None:
    made = plan(
        "search: {runs: 4, seed: 5, startup: 2}\nset: {train.steps: 20, evaluate.every: 5 steps}\n"
        "space: {train.lr: {low: 1e-6, high: 1e-1, log: true}}\n"
    )
    begun: list[str] = []

    def until(third: bool) -> Callable[..., Any]:
        def fit(recipe: Any, watch: Any) -> Any:
            begun.append(recipe.name)
            if third and len(begun) == 3:
                raise Interrupted(15, "stopped")
            return train(recipe, watch)

        return fit

    with pytest.raises(Interrupted):
        sweep(made, until(third=True))
    before = begun[:]
    begun.clear()
    found = sweep(made, until(third=False))
    assert begun[:3] == before
    early = [row for row in found["runs"] if row["status"] == "pruned"]
    assert early and all(row["steps"] < 20 for row in early)
    state = status(next(runs.glob(f"{early[0]['name']}-*")))
    assert state["status"] == "interrupted" and "ended at step" in state["error"]
    begun.clear()
    assert sweep(made, until(third=False))["runs"] == found["runs"]  # all found as they were left


def test_the_page_draws_what_there_is(tmp_path: Path) -> None:
    def row(n: int, status: str = "done", **more: Any) -> dict[str, Any]:
        return {
            "name": f"run-{n}", "run": f"run-{n}-12ab", "status": status, "figure": 0.9 - n / 10, "at": 10,
            "interval": (0.4, 0.95), "curve": [[10, 0.9 - n / 10], [20, 0.3]], "steps": 20, "seconds": 2.0,
            "error": "", "values": {"train.lr": f"{10**-n:g}", "loss": "<b>" if n else "bce"},
            "numbers": {"train.lr": 10.0**-n, "loss": None}, **more,
        }  # fmt: skip

    gone: dict[str, Any] = {"run": None, "figure": None, "interval": None, "at": None, "curve": []}
    document: dict[str, Any] = {
        "schema": 1, "name": "rates", "recipe": "toy.yaml", "search": {"kind": "grid"}, "metric": METRIC,
        "limits": [], "keys": ["train.lr", "loss"], "of": 6,
        "alike": True,
        "runs": [*map(row, range(3)), row(3, "pruned", run=None), row(4, "failed", **gone, error="<script>")],
    }  # fmt: skip
    page = write(document, tmp_path / "sweep.html", None).read_text()
    assert page.count("<svg") == 2  # the curves, and rates by their logarithm: a loss is no number
    assert ">0.01</text>" in page and "0.800 (0.40 to 0.95)" in page
    assert "<script>" not in page and "<b>" not in page and "&lt;b&gt;" in page
    assert "5 of 6 runs, 3 finished, 1 ended early, 1 failed" in page
    printed = Console(width=120, record=True, file=io.StringIO())
    printed.print(table(document))
    said = printed.export_text()
    assert "12ab" in said and "ended early" in said and "run-0" not in said
    nothing = {**document, "runs": [document["runs"][4]]}
    assert "<svg" not in write(nothing, tmp_path / "sweep.html", None).read_text()


def test_the_command_lists_and_refuses(
    make_recipe: Callable[..., Path], tmp_path: Path, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_recipe()
    path = tmp_path / "sweep.yaml"
    path.write_text(
        "schema: 1\nname: rates\nrecipe: toy.yaml\nspace: {train.lr: [1e-3, 1e-2], adapter.r: [2]}\n"
    )
    assert teensafe(["sweep", str(path), "--list"]) == 0
    assert capsys.readouterr().err.splitlines() == [
        "  1  train.lr 0.001, adapter.r 2", "  2  train.lr 0.01, adapter.r 2", "2 runs",
    ]  # fmt: skip
    assert not runs.exists()
    path.write_text(path.read_text().replace("1e-2", "-1"))
    assert teensafe(["sweep", str(path)]) == 2
    assert "train.lr: -1" in capsys.readouterr().err
    assert not runs.exists()
