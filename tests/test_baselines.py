"""The yardsticks of scripts/baselines.py measure what they say."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from train.__main__ import train
from train.recipe import load


@pytest.mark.slow
def test_both_baselines_find_the_words_that_carry_the_labels(
    make_recipe: Callable[..., Path], runs: Path
) -> None:
    """A score that came back to another row would be a coin's."""
    recipe = make_recipe(rows=600)
    rows = recipe.parent / "rows.csv"
    known = [line for line in rows.read_text().splitlines() if ",," not in line and not line.endswith(",")]
    rows.write_text("\n".join(known) + "\n")
    plan = ["adapter={kind: full}", "train.lr=1e-3", "train.epochs=20", "evaluate.every=20 epochs"]
    run = Path(train(load(recipe, plan))["run"])
    assert runpy.run_path(str(REPOSITORY / "scripts" / "baselines.py"))["main"]([str(run), "--trainer"]) == 0
    for name in ("tfidf-logistic-regression", "transformers-trainer"):
        figures = json.loads((run / "baselines" / f"{name}.json").read_text())["metrics"]
        assert figures["test/harassment/auroc"] > 0.9, name
