"""What is compared: names of runs from the command line go in, sides of one recipe each come out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from train.comparison.estimate import ENOUGH_SEEDS
from train.comparison.shared import predicted
from train.errors import InputError, Problem
from train.evaluation.predictions import Predictions
from train.files import canonical_json
from train.tracking.run import find, lock, status, summary


@dataclass(frozen=True, eq=False)
class Finished:
    """A finished run's folder, and what its own files say."""

    folder: Path
    locked: dict[str, Any]
    final: dict[str, Any]
    state: dict[str, Any]

    @property
    def name(self) -> str:
        """The folder's name; of a baseline in it, RUN/KIND."""
        parent = self.folder.parent
        return f"{parent.parent.name}/{self.folder.name}" if parent.name == "baselines" else self.folder.name

    @property
    def seed(self) -> int | None:
        seed: int | None = self.locked["recipe"].get("train", {}).get("seed")
        return seed

    @cached_property
    def recipe(self) -> dict[str, Any]:
        """What runs of one recipe have in common: all it says but its name and the training seed."""
        said: dict[str, Any] = self.locked["recipe"]
        trained = {key: value for key, value in said.get("train", {}).items() if key != "seed"}
        return {key: value for key, value in said.items() if key != "name"} | {"train": trained}

    @cached_property
    def of_one_kind(self) -> str:
        """Equal for runs that differ in nothing but name and seed: recipe, data and base model."""
        return canonical_json([self.recipe, self.locked.get("sources"), self.locked.get("base")])

    @cached_property
    def sets(self) -> dict[str, Predictions]:
        return predicted(self.folder)


@dataclass(frozen=True, eq=False)
class Side:
    """Runs of one recipe. letter: A for the side the others are held against."""

    letter: str
    runs: Sequence[Finished]

    @property
    def of_recipe(self) -> bool:
        """Whether there are runs enough to speak of the recipe."""
        return len(self.runs) >= ENOUGH_SEEDS

    @property
    def name(self) -> str:
        if len(self.runs) == 1:
            return self.runs[0].name
        seeds = ", ".join(str(run.seed) for run in self.runs)
        return f"{self.runs[0].locked['recipe']['name']}, seeds {seeds}"


def sides(
    names: Sequence[str], against: Sequence[Sequence[str]] = (), baseline: str | None = None
) -> list[Side]:
    """The sides that runs form, the one that holds `baseline` first, else in the order given.

    Without `against`, runs of one recipe form a side; two runs of one recipe are a side each. With it,
    `names` are one side and each of `against` another. Raises InputError with every mistake found.
    """
    given = [list(names), *map(list, against)]
    problems: list[Problem] = []
    opened = [[run for name in side if (run := _open(name, problems))] for side in given]
    first = _open(baseline, problems) if baseline is not None else None
    everyone = [run for side in opened for run in side]
    if first and not any(_same(first, run) for run in everyone):
        opened[0].insert(0, first)
        everyone.insert(0, first)
    problems += _twice(everyone)
    if problems:
        raise InputError(problems)
    parts = opened if against else _by_recipe(everyone)
    if first:
        parts.sort(key=lambda side: not any(_same(first, run) for run in side))
    found = [Side(chr(ord("A") + number), sorted(runs, key=_seed)) for number, runs in enumerate(parts)]
    if problems := [problem for side in found for problem in _mixed(side)]:
        raise InputError(problems)
    return found


def _open(name: str, problems: list[Problem]) -> Finished | None:
    try:
        folder = find(name)
    except InputError as error:
        problems += error.problems
        return None
    state = status(folder)
    if state.get("status") != "done" or not (folder / "summary.json").is_file():
        remedy = "run its `teensafe train` command again: it resumes"
        what = f"is not finished: {state.get('status', 'unknown')}, step {state.get('step', 0)}"
        problems.append(Problem(name, what, "a finished run", remedy))
        return None
    return Finished(folder, lock(folder), summary(folder), state)


def _seed(run: Finished) -> int:
    return -1 if run.seed is None else run.seed


def _same(one: Finished, other: Finished) -> bool:
    return one.folder.resolve() == other.folder.resolve()


def _twice(runs: Sequence[Finished]) -> list[Problem]:
    found = {}
    for number, run in enumerate(runs):
        if any(_same(run, other) for other in runs[:number]):
            found[run.name] = Problem(run.name, "the same run is named twice", "each run once")
    return list(found.values())


def _by_recipe(runs: Sequence[Finished]) -> list[list[Finished]]:
    """Raises InputError where there is nothing to hold against one another."""
    if len(runs) < 2:
        expected = "two runs or more"
        raise InputError(
            Problem("command line", "there is nothing to compare", expected, "teensafe compare A B")
        )
    found: dict[str, list[Finished]] = {}
    for run in runs:
        found.setdefault(run.of_one_kind, []).append(run)
    if len(found) > 1:
        return list(found.values())
    if len(runs) == 2:
        return [[run] for run in runs]
    names = [run.name for run in runs]
    half = len(names) // 2
    what = f"all {len(names)} runs are of one recipe: which form a side?"
    remedy = f"teensafe compare {' '.join(names[:half])} --against {' '.join(names[half:])}"
    raise InputError(Problem("command line", what, "runs of two recipes, or --against", remedy))


def _mixed(side: Side) -> list[Problem]:
    """What keeps the runs of a side from being seeds of one recipe."""
    where = f"side {side.letter}"
    names = ", ".join(run.name for run in side.runs)
    if len({run.of_one_kind for run in side.runs}) > 1:
        expected = "runs that differ in nothing but train.seed"
        return [Problem(where, f"is of several recipes: {names}", expected, "a side for each, by --against")]
    seeds = [run.seed for run in side.runs]
    if len(set(seeds)) < len(seeds):
        expected = "another train.seed for each run of a side: an equal one is no evidence of its own"
        return [Problem(where, f"has a seed twice ({names}: {seeds})", expected, "name one run of each seed")]
    return []
