"""Leave one source out: whom it asks, what it compares, and a whole run of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import write_rows
from tests.evaluation.conftest import build, random_predictions
from train.cli import main
from train.errors import Failure, InputError
from train.evaluation.predictions import Predictions
from train.recipe import Recipe, load
from train.transfer import FILE, candidates, leave_one_out, unseen, without

__all__ = ["build", "random_predictions"]


@pytest.fixture
def recipe(make_recipe: Callable[..., Path]) -> Path:
    """Sources toy and other share both labels, third has one, made is synthetic; their test splits hash."""
    path = make_recipe(rows=600)
    for seed, name in enumerate(("other", "third", "made"), 1):
        write_rows(path.parent / f"{name}.csv", 600, seed)
    both, one = "{hate: hate, harassment: harassment}", "{harassment: harassment}"
    more = "".join(
        f"    {name}: {{path: {name}.csv, text: text, labels: {labels}, licence: MIT, synthetic: {made}}}\n"
        for name, labels, made in (
            ("other", both, "false"),
            ("third", one, "false"),
            ("made", both, "true"),
        )
    )
    path.write_text(path.read_text().replace("train: {", f"{more}train: {{"))
    return path


def test_real_sources_that_share_a_label_are_asked(recipe: Path) -> None:
    assert candidates(load(recipe)) == ["other", "third", "toy"]
    assert candidates(load(recipe, ["labels=[hate]"])) == ["other", "toy"]
    assert candidates(load(recipe, ["data.sources.other.path={train: other.csv}"])) == ["third", "toy"]
    assert candidates(load(recipe, ["data.leave_out=[other]"])) == ["third", "toy"]


def test_a_variant_is_the_recipe_but_for_the_source(recipe: Path) -> None:
    whole = load(recipe, ["labels=[harassment, hate]", "data.leave_out=[other]"])
    variant = without(whole, "toy")
    assert variant.name == "toy-without-toy" and variant.data.leave_out == ("other", "toy")
    assert variant.labels == ("harassment", "hate")  # made knows hate, too
    assert variant.model_copy(update={"name": whole.name, "data": whole.data}) == whole
    alone = load(recipe, ["labels=[harassment, hate]", "data.leave_out=[other, made]"])
    assert without(alone, "toy").labels == ("harassment",)


def test_every_mistake_comes_before_any_training(recipe: Path) -> None:
    def never(recipe: Recipe) -> Path:
        raise AssertionError

    with pytest.raises(InputError, match="no label is in two real sources"):
        leave_one_out(load(recipe, ["data.leave_out=[other, third]"]), never)
    shares = [f"data.sources.{name}.share=0.25" for name in ("toy", "other", "third", "made")]
    with pytest.raises(InputError, match=r"without other: the shares are 0\.75 of an epoch"):
        leave_one_out(load(recipe, shares), never)
    with pytest.raises(InputError, match=r"evaluate.select.metric.*dev.toy"):
        leave_one_out(load(recipe, ["evaluate.select.metric=dev.toy/hate/auprc"]), never)


def test_the_same_texts_are_compared_pair_by_pair(random_predictions: Callable[..., Predictions]) -> None:
    seen = random_predictions(1200, width=2)
    figures, bounds = unseen(seen, seen, "a")
    assert figures["test.a/label0/auroc_change"] == 0 and figures["test.a/label1/recall_change"] == 0
    assert not any(key.endswith("_change") for key in bounds)  # no resample differs
    worse = replace(seen, scores=seen.scores * 0.5 + np.random.default_rng(0).random(seen.scores.shape) * 0.5)
    figures, bounds = unseen(seen, worse, "a")
    key = "test.a/label0/auroc"
    assert figures[f"{key}_change"] == pytest.approx(figures[f"{key}_unseen"] - figures[key])
    assert bounds[f"{key}_change"][1] < 0
    known = seen.targets[seen.source == "a", 0]
    assert figures["test.a/label0/n"] == np.isfinite(known).sum()
    with pytest.raises(Failure, match="test rows of a differ"):
        unseen(seen, seen.select(np.arange(1100)), "a")


@pytest.mark.slow
def test_two_sources_are_left_out_in_turn(
    recipe: Path, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = ["labels=[hate]", "train={steps: 10, global_batch: 16, lr: 1e-2}", "evaluate.every=10 steps"]
    assert main(["transfer", str(recipe), *plan, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found.keys() == {"run", "left_out", "metrics", "intervals"}
    assert found["left_out"].keys() == {"other", "toy"}
    assert json.loads((runs / found["run"] / FILE).read_text()) == found

    def figures(run: str) -> dict[str, float]:
        return dict(json.loads((runs / run / "summary.json").read_text())["metrics"])

    whole = figures(found["run"])
    for source, run in found["left_out"].items():
        own, key = figures(run), f"test.{source}/hate"
        assert found["metrics"][f"{key}/auroc"] == pytest.approx(whole[f"{key}/auroc"])
        assert found["metrics"][f"{key}/auroc_unseen"] == pytest.approx(own[f"{key}/auroc"])
        assert found["metrics"][f"{key}/n"] == own[f"{key}/n"] == whole[f"{key}/n"]
        assert f"dev.{source}/hate/n" in whole and f"dev.{source}/hate/n" not in own
        low, high = found["intervals"][f"{key}/auroc_change"]
        assert low < found["metrics"][f"{key}/auroc_change"] < high
    assert main(["transfer", str(recipe), *plan]) == 0  # all is trained already: the table alone
    assert "Leave one source out" in capsys.readouterr().out
