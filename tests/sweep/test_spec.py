"""Sweep files: what they make of a recipe, and what is said of their mistakes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from train.errors import InputError
from train.sweep.spec import Plan, load

Write = Callable[[str], Path]


@pytest.fixture
def write(make_recipe: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a sweep of a recipe that trains in seconds, in the working directory."""
    make_recipe()
    monkeypatch.chdir(tmp_path)

    def write(text: str) -> Path:
        path = tmp_path / "sweep.yaml"
        path.write_text(f"schema: 1\nname: rates\nrecipe: toy.yaml\n{text}")
        return path

    return write


def refused(path: Path) -> list[str]:
    with pytest.raises(InputError) as caught:
        load(path)
    return [str(problem) for problem in caught.value.problems]


def test_every_combination_the_last_key_first(write: Write) -> None:
    plan = load(write("space:\n  train.lr: [1e-3, 3e-3]\n  loss: [{kind: bce}, {kind: focal, gamma: 1.5}]\n"))
    said = [plan.shown(choice) for choice in plan.grid()]
    assert [tuple(values.values()) for values in said] == [
        ("0.001", "bce"), ("0.001", "focal gamma=1.5"), ("0.003", "bce"), ("0.003", "focal gamma=1.5"),
    ]  # fmt: skip
    recipes = [plan.recipe(choice) for choice in plan.grid()]
    assert [recipe.train.lr for recipe in recipes] == [1e-3, 1e-3, 3e-3, 3e-3]
    assert [recipe.loss.kind for recipe in recipes] == ["bce", "focal", "bce", "focal"]
    assert recipes[1].name == "rates-lr-0.001-loss-focal-gamma-1.5"
    assert {recipe.track.group for recipe in recipes} == {"rates"}
    assert len({str(recipe.identity()) for recipe in recipes}) == 4


def test_a_run_keeps_its_name_when_the_space_grows(write: Write) -> None:
    def names(space: str) -> list[str]:
        plan = load(write(space))
        return [plan.recipe(choice).name for choice in plan.grid()]

    few = names("space: {train.lr: [3e-3]}")
    more = names("space: {train.lr: [1e-3, 3e-3, 1e-2]}")
    assert few == ["rates-lr-0.003"] == more[1:2]


def test_what_is_set_holds_for_all_and_paths_start_from_the_file(write: Write, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "policy.yaml").write_text((tmp_path / "policy.yaml").read_text())
    path = write("set: {train.epochs: 1, policy: elsewhere/policy.yaml}\nspace: {train.steps: [5, 6]}")
    plan = load(path)
    recipe = plan.recipe({"train.steps": 1})
    assert (recipe.train.steps, recipe.train.epochs) == (6, None)
    assert recipe.policy == plan.recipe({"train.steps": 0}).policy


def test_frozen_layers_are_shared_where_there_are_any(write: Write) -> None:
    plan = load(write("space: {adapter: [{kind: lora}, {kind: top, layers: 1}, {kind: head}]}"))
    assert [plan.recipe(choice).train.cache_prefix for choice in plan.grid()] == [False, "auto", "auto"]
    plan = load(write("cache_prefix: false\nspace: {adapter: [{kind: lora}, {kind: head}]}"))
    assert not any(plan.recipe(choice).train.cache_prefix for choice in plan.grid())
    plan = load(write("set: {train.cache_prefix: false}\nspace: {adapter: [{kind: top}, {kind: head}]}"))
    assert not any(plan.recipe(choice).train.cache_prefix for choice in plan.grid())


def test_ranges(write: Write) -> None:
    plan = load(
        write(
            "search: {runs: 5}\nspace:\n  train.lr: {low: 1e-4, high: 1e-2, log: true}\n"
            "  adapter.r: {low: 2, high: 8, step: 2}\n"
        )
    )
    assert plan.sweep.search.kind == "tpe"
    assert [values.whole for values in plan.sweep.space.values()] == [False, True]  # type: ignore[union-attr]
    assert [dict(choice) for choice in plan.tried_first()] == [
        {"train.lr": 1e-4, "adapter.r": 2},
        {"train.lr": 1e-2, "adapter.r": 2},
        {"train.lr": 1e-4, "adapter.r": 8},
    ]
    assert plan.recipe({"train.lr": 0.00123, "adapter.r": 4}).name == "rates-lr-0.00123-r-4"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("space: {}", ["sweep.yaml:4: space", "1 or more entries"]),
        ("", ["sweep.yaml:1: space is missing"]),
        ("space: {train.lr: []}", ["sweep.yaml:4: space.train.lr"]),
        ("space: {train.lr: 3}", ["sweep.yaml:4: space.train.lr: 3"]),
        ("space: {train.lr: [1e-3, 1e-3]}", ["sweep.yaml:4: space.train.lr: 0.001 stands there twice"]),
        ("space: {train.lr: {low: 1, high: 2}}", ["a grid has no ranges; train.lr"]),
        ("search: {runs: 3}\nspace: {train.lr: {low: 2, high: 1}}", ["low must be below high"]),
        ("search: {runs: 3}\nspace: {train.lr: {low: 0, high: 1, log: true}}", ["log takes a low above 0"]),
        ("search: {kind: tpe}\nspace: {train.lr: [1]}", ["search.runs is missing"]),
        ("search: {runs: 2, prun: median}\nspace: {train.lr: [1]}", ["unknown key", "did you mean prune"]),
        ("set: {train.lr: 1}\nspace: {train.lr: [1]}", ["train.lr: in `set` and in `space`"]),
        (
            "space: {evaluate.select.metric: [dev/macro/auprc, dev/macro/auroc]}",
            ["sweep.yaml:4: space.evaluate.select.metric: its values change by what runs are ranked"],
        ),
        # two values that do not go together, each of which goes with the first of the other
        (
            "space: {model.max_length.overflow: [truncate, window], model.max_length.stride: [8, 100]}",
            ["stride must be at most half of tokens"],
        ),
        # of the recipes it makes, at the sweep's own lines
        ("space:\n  train.lr: [1e-3, -1]", ["sweep.yaml:5: train.lr: -1", "a number above 0"]),
        ("set:\n  train.lrr: 2\nspace: {train.lr: [1e-3]}", ["sweep.yaml:5: train.lrr: unknown key"]),
        ("space:\n  train.lr.of: [1e-3]", ["sweep.yaml:5: train.lr.of: train.lr is"]),
        ("space: {labels: [[hate], [hat]]}", ["sweep.yaml:4: labels: the policy has no label 'hat'"]),
        ("recipe: other.yaml\nspace: {train.lr: [1]}", ["sweep.yaml:4: recipe: stated twice"]),
    ],
)
def test_mistakes(write: Write, text: str, said: list[str]) -> None:
    problems = "\n".join(refused(write(text)))
    for words in said:
        assert words in problems


def test_a_recipe_that_is_not_there(write: Write, tmp_path: Path) -> None:
    path = write("space: {train.lr: [1]}")
    path.write_text(path.read_text().replace("toy.yaml", "toi.yaml"))
    (problem,) = refused(path)
    assert problem == "sweep.yaml:3: recipe: toi.yaml does not exist\n    expected: a YAML file\n" + (
        "    try: did you mean toy.yaml?"
    )


def test_every_mistake_at_once(write: Write) -> None:
    problems = refused(write("space:\n  train.lr: [-1, 1e-3, -2]\n  adapter.r: [4, 0]\n"))
    assert [problem.split("\n")[0] for problem in problems] == [
        "sweep.yaml:5: train.lr: -1", "sweep.yaml:5: train.lr: -2", "sweep.yaml:6: adapter.r: 0",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["minilm-top2", "minilm-search"])
def test_the_sweeps_of_recipes(name: str, real_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.conftest import REPOSITORY

    monkeypatch.setenv("TEENSAFE_DATA", str(real_data))
    plan: Plan = load(REPOSITORY / "recipes" / "sweeps" / f"{name}.yaml")
    assert plan.sweep.name == name
    assert all(plan.recipe(choice).train.cache_prefix for choice in plan.tried_first())
