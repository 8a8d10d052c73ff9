"""A sweep file: a recipe, and the values that are tried in its place."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from train import recipe
from train.document import Node, build, read
from train.errors import InputError, Problem
from train.recipe import Recipe
from train.spec import Seed, Spec
from train.stated import Env, absolute, expanded, reading_order

Choice = Mapping[str, Any]
"""A value for each key of the space: of a list, which of its items; of a range, a number."""
DIGITS = 3
"""Significant digits of a number that is drawn from a range, so that a person can write it down."""


class Range(Spec):
    """Numbers to draw from. Whole ones where low and high are."""

    low: int | float
    high: int | float
    log: bool = False
    """Draw the logarithm evenly: as much between 1e-5 and 1e-4 as between 1e-4 and 1e-3."""
    step: PositiveInt | PositiveFloat | None = None
    """Only low, low + step, low + 2 step, ..."""

    @property
    def whole(self) -> bool:
        return all(isinstance(n, int) for n in (self.low, self.high, self.step or 1))

    @model_validator(mode="after")
    def _has_numbers(self) -> Self:
        if self.low >= self.high:
            raise ValueError("low must be below high")
        if self.log and (self.low <= 0 or self.step is not None):
            raise ValueError("log takes a low above 0 and no step")
        return self


class Grid(Spec):
    """Every combination of the values."""

    kind: Literal["grid"] = "grid"


class Tpe(Spec):
    """Values drawn near those that did well: Optuna's tree-structured Parzen estimator (Bergstra et al. 2011,
    Algorithms for Hyper-Parameter Optimization)."""

    kind: Literal["tpe"] = "tpe"
    runs: PositiveInt
    """How many runs."""
    seed: Seed = 1
    """Of what is drawn."""
    startup: PositiveInt = 8
    """Runs drawn by chance before any is drawn near the better ones."""
    prune: Literal["median", "none"] = "median"
    """median: a run ends early when its best dev figure so far is below the median of what others had by
    then."""
    prune_from: PositiveInt = 1
    """The first evaluation after which a run may end early."""


class Sweep(Spec):
    """Many recipes, one budget."""

    schema_: Literal[1] = Field(alias="schema")
    """Version of the sweep format: 1."""
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=50)
    """Lower-case letters, digits, `-`, `_` and `.`. Its runs' names begin with it, and it is their group in
    W&B."""
    recipe: str
    """Path of the recipe that all runs have in common."""
    set_: dict[str, Any] = Field(default={}, alias="set")
    """Values for all runs in place of the recipe's, by key: `train.steps: 400`."""
    space: dict[str, Range | Annotated[tuple[Any, ...], Field(min_length=1)]] = Field(min_length=1)
    """Values to try, by key: a list, or for tpe a section with low and high."""
    search: Annotated[Grid | Tpe, Field(discriminator="kind")] = Grid()
    """Which combinations are trained."""
    cache_prefix: bool = True
    """Compute layers that runs leave as they are once for each text, for all of them: train.cache_prefix=auto
    where the recipe does not say otherwise."""

    @model_validator(mode="after")
    def _can_be_searched(self) -> Self:
        ranges = [key for key, values in self.space.items() if isinstance(values, Range)]
        if isinstance(self.search, Grid) and ranges:
            raise ValueError(f"a grid has no ranges; {', '.join(ranges)}: a list, or search: {{kind: tpe}}")
        if both := sorted({*self.set_} & {*self.space}):
            raise ValueError(f"{', '.join(both)}: in `set` and in `space`; keep one")
        return self


@dataclass(frozen=True)
class Plan:
    """A sweep as its file states it, ready to make recipes of choices."""

    sweep: Sweep
    tree: Node
    file: Path
    path: Path
    """Of the recipe that its runs have in common."""
    env: Env

    def recipe(self, choice: Choice) -> Recipe:
        """Raises InputError with every problem found."""
        values = dict(self.tree.section("set"))
        values |= {key: self.value(key, chosen) for key, chosen in choice.items()}
        given = recipe.load(self.path, (), self.env, values)
        updates: dict[str, Any] = {"name": self.name(choice)}
        if given.track.group is None:
            updates["track"] = given.track.model_copy(update={"group": self.sweep.name})
        stated = "cache_prefix" in given.train.model_fields_set
        if self.sweep.cache_prefix and given.freezes and not stated:
            updates["train"] = given.train.model_copy(update={"cache_prefix": "auto"})
        return given.model_copy(update=updates)

    def value(self, key: str, chosen: Any) -> Node:
        space = self.tree.section("space")[key]
        if isinstance(self.sweep.space[key], Range):
            return Node(chosen, space.where, space.folder)
        return space.items()[chosen]

    def shown(self, choice: Choice) -> dict[str, str]:
        """The values of a choice in words, by key."""
        found = {key: self.value(key, chosen) for key, chosen in choice.items()}
        return {key: _words(node) for key, node in found.items()}

    def name(self, choice: Choice) -> str:
        """The same for the same values, whatever else the space holds: a space may grow, and its finished
        runs stay its own."""
        parts = [f"{_last(key)}-{value}" for key, value in self.shown(choice).items()]
        name = re.sub("[^a-z0-9._-]+", "-", "-".join([self.sweep.name, *parts]).lower())
        return name[:100].rstrip("-")

    def tried_first(self) -> Iterator[Choice]:
        """Choices that together hold every value of every list and the ends of every range; each after the
        first differs from it in one key."""
        ends = {
            key: [values.low, values.high] if isinstance(values, Range) else [*range(len(values))]
            for key, values in self.sweep.space.items()
        }
        first = {key: values[0] for key, values in ends.items()}
        yield first
        for key, values in ends.items():
            yield from ({**first, key: value} for value in values[1:])

    def grid(self) -> Iterator[Choice]:
        """Every combination; the last key changes first."""
        lists = {k: range(len(v)) for k, v in self.sweep.space.items() if not isinstance(v, Range)}
        for chosen in product(*lists.values()):
            yield dict(zip(lists, chosen, strict=True))


def load(path: str | Path, env: Env | None = None) -> Plan:
    """The sweep in a file. Its values are tried on its recipe, one by one.

    Raises InputError with every problem found, of the file and of the recipes it makes.
    """
    from train.checks import check

    env, sweep = os.environ if env is None else env, None
    problems: list[Problem] = []
    if tree := read(Path(path), problems):
        tree = expanded(tree, env, problems)
        sweep = build(Sweep, _with_kind(tree), problems)
        stated = tree.get("recipe")
    if sweep is None or problems or tree is None or stated is None:
        raise InputError(sorted(problems, key=reading_order))
    plan = Plan(sweep, tree, Path(path), Path(str(absolute(stated).value)), env)
    if read(plan.path, problems, stated, "recipe") is None:
        raise InputError(problems)
    # of a grid all combinations: that two values do not go together must not be said after a night
    for choice in plan.grid() if plan.sweep.search.kind == "grid" else plan.tried_first():
        try:
            problems += check(plan.recipe(choice))[0]
        except InputError as error:
            problems += error.problems
    problems += _twice(plan)
    problems += [] if problems else _ranked_by_several(plan)
    if problems:
        raise InputError(sorted(dict.fromkeys(problems), key=reading_order))
    return plan


def _with_kind(tree: Node) -> Node:
    """`search` without a kind is a grid, but for its other keys, which only tpe has."""
    search = tree.get("search")
    if search is None or not isinstance(search.value, dict) or "kind" in search.value:
        return tree
    kind = replace(search, value="tpe" if search.value else "grid")
    return replace(
        tree, value={**tree.section(), "search": replace(search, value={"kind": kind, **search.value})}
    )


def _twice(plan: Plan) -> Iterator[Problem]:
    """Values that stand twice in a list: the second would find its run finished."""
    for key in plan.sweep.space:
        said = [_words(node) for node in plan.tree.section("space")[key].items()]
        if twice := sorted({value for value in said if said.count(value) > 1}):
            what = f"space.{key}: {', '.join(twice)} stands there twice"
            yield Problem(plan.tree.section("space")[key].where, what, "each value once")


def _ranked_by_several(plan: Plan) -> Iterator[Problem]:
    """Keys whose values change by what runs are ranked."""
    first, *others = [(choice, plan.recipe(choice).evaluate.select) for choice in plan.tried_first()]
    for key, node in plan.tree.section("space").items():
        if any(select != first[1] for choice, select in others if choice[key] != first[0][key]):
            what = f"space.{key}: its values change by what runs are ranked"
            yield Problem(node.where, what, "one evaluate.select for all runs", "put it into `set`")


def rounded(number: float) -> float:
    return float(f"{number:.{DIGITS}g}")


def _last(key: str) -> str:
    return key.rpartition(".")[2].replace("_", "-")


def _words(node: Node) -> str:
    """A value on one line: of a section its kind and what else it says."""
    value = node.value
    if isinstance(value, dict):
        kind = value.get("kind")
        said = [] if kind is None else [_words(kind)]
        return " ".join([*said, *(f"{k}={_words(n)}" for k, n in value.items() if k != "kind")])
    if isinstance(value, list):
        return f"[{', '.join(map(_words, value))}]"
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:g}"
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
