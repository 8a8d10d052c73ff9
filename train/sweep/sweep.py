"""A sweep from its first recipe to its last: each trained, or found trained, and ranked by dev figures."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from train.candidate import keeps
from train.errors import Diverged, Failure, Pruned
from train.evaluation.intervals import intervals
from train.evaluation.metrics import measure
from train.evaluation.predictions import Predictions, sets
from train.files import canonical_json, sha256_bytes
from train.job import Watch
from train.recipe import Recipe
from train.sweep.search import Trial, trials
from train.sweep.spec import Choice, Plan

Document = dict[str, Any]
State = Literal["done", "pruned", "failed"]
SAME = 1e-3
"""Two computations of one figure differ by less: calibrated scores may tie where logits did not."""


@dataclass
class Row:
    """A run as the sweep tells of it. figure: the greatest of its dev figures that keep the limits; at: the
    step it is of, interval: its 95% one, of finished runs; curve: (step, figure) of every evaluation; judged:
    a hash of the dev texts and cells behind the figure, of finished runs."""

    name: str
    values: dict[str, str]
    numbers: dict[str, float | None]
    """The values that are numbers, for a plot."""
    status: State = "done"
    figure: float | None = None
    interval: tuple[float, float] | None = None
    at: int | None = None
    steps: int = 0
    curve: list[tuple[int, float | None]] = field(default_factory=list)
    run: str | None = None
    """Its folder's name; None where it never came to its end."""
    seconds: float | None = None
    judged: str | None = None
    error: str = ""


def sweep(
    plan: Plan,
    fit: Callable[[Recipe, Watch], Mapping[str, Any]],
    told: Callable[[Document], None] = lambda document: None,
    say: Callable[[str], None] = lambda line: None,
) -> Document:
    """Train what the plan asks for. told: gets the document after every run.

    fit: trains a recipe, or finds it trained, and returns its summary; as train.__main__.train. A run that
    fails is kept as such and the next one begins. A choice that is drawn again is one run still. Raises what
    `fit` raises where the sweep cannot go on: Interrupted (the same call goes on), InputError.
    """
    rows: dict[tuple[str, ...], Row] = {}
    most = how_many(plan)
    for number, trial in enumerate(trials(plan), start=1):
        recipe = plan.recipe(trial.choice)
        row = Row(recipe.name, plan.shown(trial.choice), _numbers(plan, trial.choice))
        shown = ", ".join(f"{key} {value}" for key, value in row.values.items())
        say(f"run {number} of {most}: {shown}")
        _trained(recipe, trial, row, fit, say)
        rows[(*row.values.values(),)] = row
        found = document(plan, recipe, [*rows.values()], most - number + len(rows))
        told(found)
    return found


def how_many(plan: Plan) -> int:
    search = plan.sweep.search
    return search.runs if search.kind == "tpe" else sum(1 for _ in plan.grid())


def _trained(
    recipe: Recipe,
    trial: Trial,
    row: Row,
    fit: Callable[[Recipe, Watch], Mapping[str, Any]],
    say: Callable[[str], None],
) -> None:
    metric = recipe.evaluate.select.metric

    def watch(step: int, figures: Mapping[str, Any]) -> bool:
        if row.curve and step <= row.curve[-1][0]:  # after a break it is evaluated again, and the same
            return True
        figure = figures.get(metric) if keeps(recipe, figures) else None
        row.curve.append((step, figure))
        row.steps = step
        if figure is not None and (row.figure is None or figure > row.figure):
            row.figure, row.at = figure, step
        return trial.evaluated(figure)

    try:
        summary = fit(recipe, watch)
        if summary:
            row.run, row.steps = Path(summary["run"]).name, summary["steps"]
            row.seconds = summary["cost"]["train_seconds"]
            row.interval, row.judged = _behind(Path(summary["run"]), metric, row.figure)
    except Pruned as ended:
        row.status = "pruned"
        say(str(ended))
    except Failure as error:
        alone = int(os.environ.get("WORLD_SIZE", "1")) == 1
        if not (alone or isinstance(error, Diverged)):  # the other processes are gone
            raise
        row.status, row.error, row.figure = "failed", str(error), None
        say(f"failed: {error}")
    trial.ended(row.figure, row.status == "pruned")


def _behind(run: Path, metric: str, figure: float | None) -> tuple[tuple[float, float] | None, str | None]:
    """Of a finished run's dev figure: its 95% interval over groups of texts, and a hash of these and of the
    cells that it is about.

    No interval where the run's predictions give another figure: their flags are those of operating points,
    and checkpoints are ranked by flags at .5.
    """
    name, label, _ = metric.split("/")
    part = sets(Predictions.read(run / "predictions" / "dev.parquet")).get(name)
    if part is None:
        return None, None
    labels = [n for n, own in enumerate(part.labels) if label in ("macro", own)]
    cells = [[*part.ids], [part.labels[n] for n in labels], part.targets[:, labels].astype(str).tolist()]
    again = measure(part, name).get(metric)
    alike = figure is not None and isinstance(again, float) and abs(again - figure) < SAME
    return intervals(part, name).get(metric) if alike else None, sha256_bytes(canonical_json(cells).encode())


def _numbers(plan: Plan, choice: Choice) -> dict[str, float | None]:
    values = {key: plan.value(key, chosen).value for key, chosen in choice.items()}
    return {
        key: float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
        for key, value in values.items()
    }


def document(plan: Plan, recipe: Recipe, rows: Sequence[Row], most: int) -> Document:
    """All a sweep has to say, JSON-safe: schema, name, search, metric, limits, keys, runs of how many (`of`),
    whether finished runs were judged by the same dev texts and cells (`alike`), and `runs` by rank: finished
    before ended early before failed, each the greatest figure first."""
    sweep, select = plan.sweep, recipe.evaluate.select
    return {
        "schema": 1,
        "name": sweep.name,
        "recipe": plan.path.name,
        "search": sweep.search.model_dump(mode="json"),
        "metric": select.metric,
        "limits": list(select.subject_to),
        "keys": list(sweep.space),
        "of": most,
        "alike": len({row.judged for row in rows if row.judged}) < 2,
        "runs": [asdict(row) for row in sorted(rows, key=_rank)],
    }


def _rank(row: Row) -> tuple[int, bool, float]:
    order = ("done", "pruned", "failed")
    return order.index(row.status), row.figure is None, -(row.figure or 0.0)


def groups(document: Mapping[str, Any], most: int) -> list[list[str]]:
    """Folder names of finished runs that differ in nothing but train.seed, the greatest mean figure first, at
    most so many groups."""
    found: dict[tuple[str, ...], list[Mapping[str, Any]]] = {}
    for row in document["runs"]:
        if row["status"] == "done" and row["figure"] is not None:
            key = tuple(value for key, value in row["values"].items() if key != "train.seed")
            found.setdefault(key, []).append(row)
    ranked = sorted(found.values(), key=lambda rows: -sum(row["figure"] for row in rows) / len(rows))
    return [[row["run"] for row in rows] for rows in ranked[:most]]
