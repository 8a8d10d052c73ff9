"""The whole line: a recipe trained, judged, resumed and scored, through the front door."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from train.__main__ import main
from train.__main__ import train as run_recipe
from train.cli import main as teensafe
from train.errors import Failure, InputError, Interrupted
from train.lock import resolve
from train.recipe import load

MakeRecipe = Callable[..., Path]


def interrupted(recipe: Path, overrides: list[str], runs: Path, updates: int) -> list[dict[str, Any]]:
    """The first `updates` records of a run that a signal stops thereafter: it costs no end of training."""
    recipe_ = load(recipe, ["train.steps=100000", "train.schedule=constant", *overrides])
    log = runs / resolve(recipe_).run_name / "metrics.jsonl"

    def watch() -> None:
        while not (log.exists() and log.read_text().count('"train/loss"') >= updates):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    with pytest.raises(Interrupted):
        run_recipe(recipe_)
    watcher.join()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return [line for line in lines if line["step"] <= updates]


TIMED = {"train/examples_per_second", "train/tokens_per_second"}


def losses(run: Path) -> dict[int, float]:
    """train/loss by step; after a resume the last line for a step wins."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return {line["step"]: line["train/loss"] for line in lines if "train/loss" in line}


def only(folder: Path) -> Path:
    (run,) = folder.iterdir()
    return run


@pytest.fixture
def trained(trained_once: Path, tmp_path: Path, runs: Path) -> dict[str, Any]:
    """The summary of a finished run of `make_recipe()`: this test's own copy, with recipe and data."""
    shutil.copytree(trained_once, tmp_path, symlinks=True, dirs_exist_ok=True)
    recipe = only(runs) / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace(str(trained_once), str(tmp_path)))
    return {"run": str(only(runs)), **json.loads((only(runs) / "summary.json").read_text())}


def test_a_run_leaves_what_the_contract_says(trained: dict[str, Any], runs: Path) -> None:
    run = only(runs)
    assert trained["run"] == str(run)
    names = {path.name for path in run.iterdir()} - {".lock"}
    assert names == {
        "recipe.yaml", "recipe.lock", "status.json", "metrics.jsonl", "summary.json", "split.parquet",
        "checkpoints", "predictions", "report.html",
    }  # fmt: skip
    lock = json.loads((run / "recipe.lock").read_text())
    assert run.name == f"toy-{lock['sha256'][:8]}"
    status = json.loads((run / "status.json").read_text())
    assert status["status"] == "done"
    assert {"run": str(run), **json.loads((run / "summary.json").read_text())} == trained
    steps = sorted(losses(run))
    assert steps == list(range(1, trained["steps"] + 1))
    best = (run / "checkpoints" / "best").resolve()
    assert (best / "operating_points.json").is_file()
    assert not [p for p in run.rglob("*") if p.suffix in {".bin", ".pt", ".pkl", ".pth"}]


def test_what_it_cost_is_said(trained: dict[str, Any], make_recipe: MakeRecipe) -> None:
    corpus = resolve(load(make_recipe())).corpus
    epochs = 2
    assert trained["cost"]["tokens"] == epochs * int(corpus.lengths[corpus.rows("train")].sum())
    assert 0 < trained["cost"]["train_seconds"] < 3600
    assert 50e6 < trained["cost"]["peak_memory_bytes"] < 50e9


def test_it_learns(make_recipe: MakeRecipe, runs: Path) -> None:
    """Words carry the labels: even a tiny model with random weights must find them."""
    plan = ["adapter={kind: full}", "train.lr=1e-3", "train.epochs=20", "evaluate.every=10 epochs"]
    figures = run_recipe(load(make_recipe(rows=600), plan))["metrics"]
    assert figures["test/hate/auroc"] > 0.7
    assert figures["test/harassment/auroc"] > 0.9


def test_every_split_is_predicted_once_and_holds_no_text(trained: dict[str, Any], runs: Path) -> None:
    run = only(runs)
    split = pq.read_table(run / "split.parquet").to_pylist()
    assert len({row["id"] for row in split}) == 400
    for name in ("dev", "calibration", "test"):
        found = pq.read_table(run / "predictions" / f"{name}.parquet")
        assert sorted(found.column("id").to_pylist()) == sorted(r["id"] for r in split if r["split"] == name)
        assert "text" not in found.column_names


def test_reload_in_a_new_process_gives_the_same_scores(trained: dict[str, Any]) -> None:
    assert trained["reload_max_logit_difference"] == 0


def test_training_gives_its_memory_back_before_the_best_checkpoint_is_judged_and_reloaded(
    make_recipe: MakeRecipe, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a GPU that a model fills half, another one beside it would end the run after its last update."""
    from train.model import classifier
    from train.serving import reload

    made: list[weakref.ref[Any]] = []
    alive: list[int] = []

    def noted(work: Callable[..., Any]) -> Callable[..., Any]:
        def make(*given: Any, **named: Any) -> Any:
            alive.append(sum(model() is not None for model in made))
            found = work(*given, **named)
            if isinstance(found, classifier.Classifier):
                made.append(weakref.ref(found.model))
            return found

        return make

    for place, name in ((classifier, "create"), (classifier, "load"), (reload, "largest_difference")):
        monkeypatch.setattr(place, name, noted(getattr(place, name)))
    run_recipe(load(make_recipe(), ["train.steps=2"]))
    assert len(made) == 2
    assert alive == [0, 0, 0]


def test_running_again_says_it_is_done(
    trained: dict[str, Any], make_recipe: MakeRecipe, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = make_recipe()
    before = {p: p.stat().st_mtime_ns for p in Path(trained["run"]).rglob("*") if p.is_file()}
    assert main([str(recipe), "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == trained
    assert "done already" in err
    assert {p: p.stat().st_mtime_ns for p in Path(trained["run"]).rglob("*") if p.is_file()} == before


@pytest.mark.parametrize("override", ["train.micro_batch=4", "track.group=other", "track.artifacts=none"])
def test_what_does_not_change_the_result_does_not_change_the_run(
    trained: dict[str, Any], make_recipe: MakeRecipe, override: str
) -> None:
    assert run_recipe(load(make_recipe(), [override])) == trained


def test_what_changes_the_result_is_another_run(make_recipe: MakeRecipe) -> None:
    names = [resolve(load(make_recipe())).run_name, resolve(load(make_recipe(), ["train.lr=1e-4"])).run_name]
    names.append(resolve(load(make_recipe(rows=300))).run_name)
    assert len(set(names)) == 3


def test_the_order_in_which_files_list_labels_and_sources_is_no_part_of_a_run(
    make_recipe: MakeRecipe,
) -> None:
    recipe = make_recipe()
    first = resolve(load(recipe))
    policy = recipe.parent / "policy.yaml"
    *head, hate, harassment = policy.read_text().rstrip("\n").splitlines()
    policy.write_text("\n".join([*head, harassment, hate]) + "\n")
    again = resolve(load(recipe))
    assert first.identity == again.identity
    assert first.corpus.labels == again.corpus.labels
    entry = f"{{path: {recipe.parent}/rows.csv, text: text, labels: {{hate: hate}}, licence: MIT}}"
    there, back = ([f"data.sources.{name}={entry}" for name in order] for order in ("xz", "zx"))
    one, two = resolve(load(recipe, there)), resolve(load(recipe, back))
    assert one.identity == two.identity
    assert (
        one.corpus.column("id", one.corpus.rows("dev")).tolist()
        == two.corpus.column("id", two.corpus.rows("dev")).tolist()
    )


def test_evaluate_gives_the_figures_of_the_run(
    trained: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert teensafe(["evaluate", trained["run"], "--json"]) == 0
    again = json.loads(capsys.readouterr().out)
    assert again["metrics"]["test/harassment/auprc"] > 0
    for key, value in again["metrics"].items():
        assert trained["metrics"][key] == value
    assert again["intervals"] == trained["intervals"]


def test_evaluate_refuses_changed_data(
    trained: dict[str, Any], make_recipe: MakeRecipe, capsys: pytest.CaptureFixture[str]
) -> None:
    make_recipe(rows=401)
    assert teensafe(["evaluate", trained["run"]]) == 2
    assert "source toy is not the file the run was trained on" in capsys.readouterr().err


def test_an_unknown_cell_changes_no_gradient_and_no_metric(make_recipe: MakeRecipe, runs: Path) -> None:
    """Rows whose only known cell is `hate` are given another, unknown, `harassment`: nothing may move."""
    recipe = make_recipe()
    rows = recipe.parent / "rows.csv"
    map_ = '{"0.0": 0, "1.0": 1, secret: null}'
    mapped = f"data.sources.toy.labels={{hate: hate, harassment: {{column: harassment, map: {map_}}}}}"
    plan = [mapped, "evaluate.every=4 steps"]
    first = interrupted(recipe, plan, runs, 9)
    text = rows.read_text().splitlines()
    changed = [line + "secret" if line.endswith(",") else line for line in text]
    assert changed != text
    rows.write_text("\n".join(changed) + "\n")
    second = interrupted(recipe, plan, runs, 9)
    assert len(list(runs.iterdir())) == 2  # other bytes, another identity
    for one, two in zip(first, second, strict=True):
        assert {k: v for k, v in one.items() if k not in TIMED} == {
            k: v for k, v in two.items() if k not in TIMED
        }
    assert sum("dev/hate/auprc" in line for line in first) == 2


def test_full_training_and_early_stop(
    make_recipe: MakeRecipe, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = load(
        make_recipe(),
        [
            "adapter={kind: full}",
            "train.steps=60",
            "evaluate.every=2 steps",
            "evaluate.patience=2",
            "train.lr=1e-7",
            "train.head_lr=1e-7",
        ],
    )
    summary = run_recipe(recipe)
    assert max(losses(Path(summary["run"]))) < 60
    assert "stopping early" in capsys.readouterr().err
    assert summary["reload_max_logit_difference"] == 0


def test_a_loss_that_is_not_finite_stops_and_names_the_examples(make_recipe: MakeRecipe, runs: Path) -> None:
    recipe = load(
        make_recipe(), ["train.lr=1e30", "train.clip=null", "train.warmup=0", "evaluate.every=5 steps"]
    )
    with pytest.raises(Failure, match=r"not finite; examples of the batch: toy:\d+"):
        run_recipe(recipe)
    status = json.loads((only(runs) / "status.json").read_text())
    assert status["status"] == "failed"
    assert "not finite" in status["error"]


def test_a_named_label_without_positives_is_wrong_input(
    make_recipe: MakeRecipe, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mapped = "data.sources.toy.labels.harassment={column: harassment, map: {'0.0': 0, '1.0': 0}}"
    assert main([str(make_recipe()), mapped, "labels=[hate, harassment]"]) == 2
    assert "harassment" in capsys.readouterr().err
    assert resolve(load(make_recipe(), [mapped])).corpus.labels == ("hate",)


def test_two_at_once_is_refused(make_recipe: MakeRecipe, runs: Path) -> None:
    from train.tracking.run import Run

    recipe = load(make_recipe())
    run = Run(runs / resolve(recipe).run_name, "test")
    with pytest.raises(Failure, match="another process is training this run"):
        run_recipe(recipe)
    run.close()


def test_tied_and_few_positives_do_not_stop_a_run(
    make_recipe: MakeRecipe, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = run_recipe(load(make_recipe(rows=60), ["train.steps=4", "evaluate.every=2 steps"]))
    assert summary["selected_by"] == {"dev/macro/auprc": None}
    assert summary["selected_step"] == 4
    assert "not measurable" in capsys.readouterr().err


def test_score_gives_a_line_an_input_in_order(trained: dict[str, Any], tmp_path: Path) -> None:
    texts = [
        "",
        "x" * 20_000,
        "word " * 4_000,
        "🙂🔥💀",
        "아이들을 지켜 주세요",
        "Hör auf damit",
        "plain",
        "\u200b",
        "a\nb",
    ]
    source = tmp_path / "in.jsonl"
    source.write_text("".join(json.dumps({"id": f"t{n}", "text": t}) + "\n" for n, t in enumerate(texts)))
    assert (
        teensafe(["score", trained["run"], "--input", str(source), "--output", str(tmp_path / "out.jsonl")])
        == 0
    )
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [line["id"] for line in lines] == [f"t{n}" for n in range(len(texts))]
    for line in lines:
        assert list(line["scores"]) == trained["labels"] == list(line["flags"])
        for label, score in line["scores"].items():
            assert 0 <= score <= 1
            assert line["flags"][label] == (score >= trained["operating_points"][label]["threshold"])


def test_score_equals_the_predictions_of_the_run(trained: dict[str, Any], runs: Path, tmp_path: Path) -> None:
    run, out = only(runs), tmp_path / "out.jsonl"
    assert teensafe(["score", str(run), "--input", str(tmp_path / "rows.csv"), "--output", str(out)]) == 0
    scored = [json.loads(line) for line in out.read_text().splitlines()]
    for row in pq.read_table(run / "predictions" / "test.parquet").to_pylist():
        found = scored[int(row["id"].removeprefix("toy:"))]
        for label in trained["labels"]:
            assert abs(found["scores"][label] - row[f"score.{label}"]) < 1e-5
            assert found["flags"][label] == row[f"flag.{label}"]


def test_scoring_errors_leave_no_output(
    trained: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.jsonl"
    (tmp_path / "null.jsonl").write_text('{"text": "fine"}\n{"text": null}\n')
    assert (
        teensafe(["score", trained["run"], "--input", str(tmp_path / "null.jsonl"), "--output", str(out)])
        == 2
    )
    assert "null.jsonl:2" in capsys.readouterr().err
    assert teensafe(["score", "toi", "--input", str(tmp_path / "null.jsonl"), "--output", str(out)]) == 2
    assert trained["run"].split("/")[-1] in capsys.readouterr().err
    weights = Path(trained["run"]) / "checkpoints" / "best" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    assert (
        teensafe(["score", trained["run"], "--input", str(tmp_path / "rows.csv"), "--output", str(out)]) == 1
    )
    assert "adapter_model.safetensors is not as it was written" in capsys.readouterr().err
    assert not out.exists()


def test_qlora_without_a_gpu_is_wrong_input_and_writes_nothing(make_recipe: MakeRecipe, runs: Path) -> None:
    with pytest.raises(InputError, match="'qlora', but this machine has no CUDA GPU"):
        run_recipe(load(make_recipe(), ["adapter={kind: qlora}"]))
    assert not runs.exists()


def test_wrong_inputs_write_nothing(make_recipe: MakeRecipe, runs: Path) -> None:
    recipe = make_recipe()
    (recipe.parent / "rows.csv").write_text("text,hate,harassment\nfine,0,0\nalso fine,2,0\n")
    with pytest.raises(InputError, match=r"rows\.csv:3"):
        run_recipe(load(recipe))
    assert not runs.exists()


def test_one_key_has_one_meaning(trained: dict[str, Any], runs: Path) -> None:
    """The dev figures of the summary are those logged at the selected step; each source is a set."""
    lines = [json.loads(line) for line in (only(runs) / "metrics.jsonl").read_text().splitlines()]
    logged = next(
        line for line in lines if line["step"] == trained["selected_step"] and "dev/hate/f1" in line
    )
    for key, value in logged.items():
        assert key == "step" or trained["metrics"][key] == value
    assert "test.toy/hate/auprc" in trained["metrics"]
    assert not [key for key in trained["metrics"] if key.startswith("calibration")]


def test_operating_points_are_part_of_the_checkpoint(
    trained: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    points = Path(trained["run"]) / "checkpoints" / "best" / "operating_points.json"
    points.write_text(points.read_text().replace('"threshold": 0', '"threshold": 1'))
    arguments = [
        "score",
        trained["run"],
        "--input",
        str(tmp_path / "rows.csv"),
        "--output",
        str(tmp_path / "o"),
    ]
    assert teensafe(arguments) == 1
    assert "operating_points.json is not as it was written" in capsys.readouterr().err


def test_scoring_works_on_what_is_handed_over_and_reads_odd_rows(
    trained: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    best = (Path(trained["run"]) / "checkpoints" / "best").resolve()
    (best / "trainer.safetensors").unlink()
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"id": 1, "text": "one"}\n{"id": 0, "text": "cut \\ud83d"}\n{"text": "no id"}\n')
    assert teensafe(["score", str(best), "--input", str(source), "--output", str(out)]) == 0
    assert [json.loads(line)["id"] for line in out.read_text().splitlines()] == ["1", "0", "2"]
    for wrong in (source, tmp_path):
        assert teensafe(["score", str(best), "--input", str(source), "--output", str(wrong)]) == 2
        assert "--output is" in capsys.readouterr().err
    assert len(source.read_text().splitlines()) == 3


def test_rows_left_out_are_counted(make_recipe: MakeRecipe, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = make_recipe()
    with (recipe.parent / "rows.csv").open("a") as stream:
        stream.write(",1,1\n" * 3)
    assert teensafe(["plan", str(recipe)]) == 2
    assert "bad_rows: drop" in capsys.readouterr().err
    assert teensafe(["plan", str(recipe), "data.sources.toy.bad_rows=drop"]) == 0
    assert "toy: left out 3 empty" in capsys.readouterr().out


def test_a_label_that_is_not_trained_is_told_of_first(
    make_recipe: MakeRecipe, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = make_recipe()
    rows = (recipe.parent / "rows.csv").read_text().splitlines()
    halved = [f"{line.rpartition(',')[0]},0.5" for line in rows[1:]]
    (recipe.parent / "rows.csv").write_text("\n".join([rows[0], *halved]) + "\n")
    assert teensafe(["train", str(recipe), "train.steps=1", "evaluate.every=1 steps"]) == 0
    first = capsys.readouterr().err.splitlines()[0]
    assert first.startswith("warning: harassment: declared, and not trained: no example of the train split")
    assert "positive cells: toy train 0 of " in first
    assert teensafe(["plan", str(recipe), "--json"]) == 0
    assert [f"warning: {line}" for line in json.loads(capsys.readouterr().out)["warnings"]] == [first]
