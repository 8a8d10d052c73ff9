"""The command line: instant where it should be, plain where something is wrong."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

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
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
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
    assert "TFLOP; no less than 1 min on one" in shown
    assert plan["training"]["trained_parameters"] < plan["training"]["parameters"]
    assert plan["training"]["seconds_at_least"] > 0


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
