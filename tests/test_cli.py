"""The command line: instant where it should be, plain where something is wrong."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import write_rows
from train.cli import main

MakeRecipe = Callable[..., Path]
ROOT = Path(__file__).parent.parent


def seconds_and_modules(*arguments: str) -> tuple[float, set[str], int]:
    """Wall time of a fresh `teensafe`, the modules it loaded, its exit code."""
    code = (
        "import sys, json, atexit\n"
        "atexit.register(lambda: print(json.dumps(sorted(sys.modules)), file=sys.stderr))\n"
        "from train.cli import main\n"
        f"sys.exit(main({list(arguments)!r}))"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    # compiled once, as Python does unless it is told not to: each call would compile all it imports
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=env, check=False
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # of the processor: another test may hold it for a while, which no user would have to wait for
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, set(json.loads(done.stderr.splitlines()[-1])), done.returncode


def quickest_of(limit: float, *arguments: str) -> list[tuple[float, set[str], int]]:
    """Runs until one is under the limit, eight at most: another test may share the core for a while."""
    runs: list[tuple[float, set[str], int]] = []
    while len(runs) < 8 and not (runs and min(run[0] for run in runs) < limit):
        runs.append(seconds_and_modules(*arguments))
    return runs


HEAVY = {"torch", "transformers", "peft", "accelerate", "wandb", "datasets", "daft", "requests"}


def test_help_is_instant_and_loads_nothing_heavy() -> None:
    runs = quickest_of(0.3, "--help")
    assert min(seconds for seconds, _, _ in runs) < 0.3
    assert not HEAVY & runs[0][1]
    assert runs[0][2] == 0


def test_check_takes_less_than_a_second_and_loads_nothing_heavy() -> None:
    runs = quickest_of(1.0, "check", "recipes/quickstart.yaml")
    assert min(seconds for seconds, _, _ in runs) < 1
    assert not HEAVY & runs[0][1]
    assert runs[0][2] == 0


def test_check_names_every_mistake_at_once(
    make_recipe: MakeRecipe, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = make_recipe()
    recipe.write_text(recipe.read_text().replace("lr: 3e-3", "lr: fast").replace("licence", "license"))
    assert main(["check", str(recipe)]) == 2
    err = capsys.readouterr().err
    assert "train.lr" in err
    assert "did you mean licence" in err
    assert err.count(f"{recipe.name}:") >= 2
    assert "Traceback" not in err


def test_plan_counts_what_the_data_hold(make_recipe: MakeRecipe, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = make_recipe(rows=210)
    assert main(["plan", str(recipe), "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    of = {(cell["label"], cell["split"]): cell for cell in plan["counts"]}
    splits = ("train", "dev", "calibration", "test")
    assert sum(of["hate", split]["rows"] for split in splits) == 210
    assert sum(of["hate", split]["known"] for split in splits) == 180  # every seventh is unknown
    assert sum(of["harassment", split]["known"] for split in splits) == 168
    train = of["hate", "train"]["rows"]
    assert plan["steps"] == 2 * -(-train // 16)
    assert main(["plan", str(recipe)]) == 0
    shown = capsys.readouterr().out
    assert "positive/known cells" in shown
    assert "TFLOP; possibly under a minute on one" in shown
    assert plan["training"]["trained_parameters"] < plan["training"]["parameters"]
    assert plan["training"]["seconds_at_least"] > 0
    assert plan["source_alone"] == {"harassment": 0.5, "hate": 0.5}
    assert "AUROC of the source alone (0.5: none; warned of from 0.9): 0.500" in shown
    assert "unknown tokens by source: 0.00%\nunknown tokens by lang: 0.00%\n" in shown
    assert "unknown emoji: 0.0% of 0" in shown
    (mixed,) = plan["mixture"]
    assert (mixed["source"], mixed["rows"], mixed["in_epoch"], mixed["share"]) == ("toy", train, train, 1)
    assert mixed["seen"] == pytest.approx(2)
    assert f"toy {train} {train} 100.0% 1.00x 2.00x" in " ".join(shown.split())


def test_plan_tells_what_max_repeats_holds_back(
    make_recipe: MakeRecipe, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = make_recipe(rows=210)
    other = recipe.parent / "other.csv"
    write_rows(other, 100, seed=7)
    labels = "labels: {hate: hate, harassment: harassment}, licence: MIT"
    entry = f"{{path: {other}, text: text, {labels}, share: 0.8, max_repeats: 2}}"
    assert main(["plan", str(recipe), f"data.sources.other={entry}", "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)["mixture"]
    assert (first["in_epoch"], first["repeats"], first["asked_share"]) == (2 * first["rows"], 2, 0.8)
    assert main(["plan", str(recipe), f"data.sources.other={entry}"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    share = first["in_epoch"] / (first["in_epoch"] + second["in_epoch"])
    assert f"other: max_repeats holds it at {share:.1%} of an epoch; asked for were " in shown
    assert f"{first['asked']:,} rows, 80.0%" in shown
    assert "toy: max_repeats" not in shown


def test_what_no_row_can_fill_is_told_where_it_is_stated(
    make_recipe: MakeRecipe, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = make_recipe(rows=60)
    lines = recipe.read_text().splitlines()
    at = {key: next(n for n, line in enumerate(lines, 1) if f"{key}:" in line) for key in ("split", "labels")}
    recipe.write_text(recipe.read_text().replace("dev: 0.2", "dev: 0.00001"))
    assert main(["plan", str(recipe)]) == 2
    assert f"{recipe.name}:{at['split']}: data.split: leaves no row for dev (" in capsys.readouterr().err
    recipe.write_text(recipe.read_text().replace("dev: 0.00001", "dev: 0.2"))
    rows = recipe.parent / "rows.csv"
    rows.write_text("text,hate,harassment\n" + "".join(f"text {n},0.5,0.2\n" for n in range(60)))
    assert main(["plan", str(recipe)]) == 2
    err = capsys.readouterr().err
    for label in ("hate", "harassment"):
        place = (
            f"{recipe.name}:{at['labels']}: data.sources.toy.labels.{label}: no example of the train split"
        )
        assert place in err
    assert "positive cells: toy train 0 of " in err
    assert "see `teensafe plan`" not in err
    recipe.write_text(recipe.read_text() + "labels: [harassment]\n")
    assert main(["plan", str(recipe)]) == 2
    assert f"{recipe.name}:{len(lines) + 1}: labels.harassment: no example" in capsys.readouterr().err


def test_schema_accepts_what_is_shipped(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["$schema"].endswith("2020-12/schema")
    assert "data" in schema["properties"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["check", "nowhere.yaml"], "nowhere.yaml"),
        (["evaluate", "no-such-run"], "is no run"),
        (["score", "no-such-run", "--input", "a.csv", "--output", "b.jsonl"], "is no run"),
        (["train", "nowhere.yaml"], "nowhere.yaml"),
    ],
)
def test_a_wrong_name_is_exit_2_and_no_traceback(
    arguments: list[str], said: str, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert said in err
    assert "Traceback" not in err


def test_every_verb_has_help_that_teaches() -> None:
    for verb in ("check", "plan", "schema", "train", "evaluate", "report", "score", "data", "data fetch"):
        with pytest.raises(SystemExit) as done:
            main([*verb.split(), "--help"])
        assert done.value.code == 0
