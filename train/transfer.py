"""Leave one source out: how does a recipe do on a source that it has never met?

For each real source that shares a label with another one, the recipe is trained once more with
`data.leave_out: [source]`, and both classifiers judge that source's test rows, which are the same. One run
each: a difference speaks of two checkpoints, and its interval knows nothing of training seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError
from rich import box
from rich.table import Table

from train.checks import check
from train.errors import Failure, InputError, Problem
from train.evaluation.measured import Bounds, Figures, Measured, area, counts, share, told
from train.evaluation.metrics import ENOUGH
from train.evaluation.predictions import Predictions
from train.files import write_json
from train.recipe import Recipe

FILE = "transfer.json"
METRICS = ("auroc", "recall", "fpr")


def leave_one_out(recipe: Recipe, fit: Callable[[Recipe], Path]) -> dict[str, Any]:
    """Train the recipe and its variants, and compare them; the recipe's run keeps the result as FILE.

    fit: trains a recipe, or finds it trained, and returns its run folder. Returns run, left_out (source ->
    name of the run without it), metrics and intervals; see `unseen`. Raises InputError, before anything is
    trained, where no source shares a label with another or a variant has a mistake.
    """
    variants = {source: without(recipe, source) for source in candidates(recipe)}
    if not variants:
        what = "no label is in two real sources: nothing would be left to learn it from"
        raise InputError(recipe.problem("data.sources", what, "two sources with a label in common"))
    if mistakes := [problem for variant in variants.values() for problem in check(variant)[0]]:
        raise InputError(list(dict.fromkeys(mistakes)))
    whole = fit(recipe)
    seen = Predictions.read(whole / "predictions" / "test.parquet")
    figures: Figures = {}
    bounds: Bounds = {}
    runs: dict[str, str] = {}
    for source, variant in variants.items():
        run = fit(variant)
        found, sure = unseen(seen, Predictions.read(run / "predictions" / "test.parquet"), source)
        figures, bounds, runs[source] = figures | found, bounds | sure, run.name
    intervals = {key: list(pair) for key, pair in bounds.items()}
    result = {"run": whole.name, "left_out": runs, "metrics": figures, "intervals": intervals}
    write_json(whole / FILE, result)
    return result


def candidates(recipe: Recipe) -> list[str]:
    """Real sources with rows to train on and to judge by, and a label that another such source has, too."""
    real = {
        name: set(source.labels if recipe.labels is None else {*source.labels} & {*recipe.labels})
        for name, source in recipe.data.trained.items()
        if not source.synthetic and {"any", "train"} & source.claims()
    }
    return [
        name
        for name, labels in sorted(real.items())
        if {"any", "test"} & recipe.data.sources[name].claims()
        and any(labels & others for other, others in real.items() if other != name)
    ]


def without(recipe: Recipe, source: str) -> Recipe:
    """The recipe that never meets a source before it is judged; labels that no other source has go with it.

    Raises InputError where the other sources do not make a recipe, as when their shares no longer add up.
    """
    stated = {**dict(recipe.data), "leave_out": (*recipe.data.leave_out, source)}
    try:
        data = type(recipe.data).model_validate(stated)
    except ValidationError as error:
        what = f"without {source}: {error.errors(include_url=False)[0]['msg'].removeprefix('Value error, ')}"
        raise InputError(recipe.problem("data.sources", what)) from None
    left = {label for other in data.trained.values() for label in other.labels}
    labels = None if recipe.labels is None else tuple(label for label in recipe.labels if label in left)
    name = f"{recipe.name}-without-{source.lower()}"[:100]
    return recipe.model_copy(update={"name": name, "data": data, "labels": labels})


def unseen(seen: Predictions, left_out: Predictions, source: str) -> tuple[Figures, Bounds]:
    """Figures and 95% intervals on a source's test rows, by a run that trained on it and one that did not.

    `test.<source>/<label>/<metric>` and `.../<metric>_unseen` for auroc, and recall and fpr at each run's own
    operating points; `.../<metric>_change` is the second less the first, text by text on the same draws; n,
    positives, negatives. A figure on fewer than ENOUGH positives or negatives is None. Raises Failure where
    the two did not judge the same texts.
    """
    known, other = (part.select(part.source == source) for part in (seen, left_out))
    labels = [label for label in known.labels if label in other.labels]
    targets = [part.targets[:, [part.labels.index(label) for label in labels]] for part in (known, other)]
    same = np.array_equal(targets[0], targets[1], equal_nan=True)
    if not (np.array_equal(known.ids, other.ids) and same):
        what = f"the test rows of {source} differ from those of the run that left it out"
        raise Failure(Problem("predictions/test.parquet", what, "the same data for both", "train both again"))
    figures: Figures = {}
    measured: dict[str, Measured] = {}
    for label, target in zip(labels, targets[0].T, strict=True):
        key = f"test.{source}/{label}"
        if not np.isfinite(target).any():
            continue
        figures |= {f"{key}/{metric}": count for metric, count in counts(target).items()}
        first, second = (_figures(part, label, target) for part in (known, other))
        for metric in METRICS:
            kinds = (first[metric], second[metric], second[metric] - first[metric])
            for suffix, figure in zip(("", "_unseen", "_change"), kinds, strict=True):
                figures[f"{key}/{metric}{suffix}"] = None
                if all(len(rows) >= ENOUGH for rows in figure.rows):
                    measured[f"{key}/{metric}{suffix}"] = figure
    values, bounds = told(measured, known.group)
    return figures | values, bounds


def _figures(predictions: Predictions, label: str, target: np.ndarray) -> dict[str, Measured]:
    column = predictions.labels.index(label)
    plus, minus = np.flatnonzero(target > 0.5), np.flatnonzero(target < 0.5)
    score, flag = predictions.scores[:, column], predictions.flags[:, column]
    return dict(zip(METRICS, (area(plus, minus, score), share(plus, flag), share(minus, flag)), strict=True))


def table(result: Mapping[str, Any]) -> Table:
    """A row a source and label: each figure seen and unseen, and the change of AUROC with its interval."""
    figures, intervals = result["metrics"], result["intervals"]
    caption = "unseen: trained, selected and calibrated without the source"
    drawn = Table(title="Leave one source out", caption=caption, box=box.SIMPLE_HEAD, show_edge=False)
    drawn.title_justify = drawn.caption_justify = "left"
    drawn.padding = 0
    for header in ("source", "label"):
        drawn.add_column(header, overflow="fold")
    for header in (
        "pos",
        "neg",
        "AUROC",
        "unseen",
        "recall",
        "unseen",
        "FPR",
        "unseen",
        "AUROC, change (95%)",
    ):
        drawn.add_column(header, justify="right", no_wrap=True)
    for key in (key.removesuffix("/n") for key in figures if key.endswith("/n")):
        set_, label = key.split("/")
        counted = (f"{figures[f'{key}/{metric}']:,}" for metric in ("positives", "negatives"))
        both = (_number(figures[f"{key}/{metric}{of}"]) for metric in METRICS for of in ("", "_unseen"))
        low, high = intervals.get(f"{key}/auroc_change", (None, None))
        change = _number(figures[f"{key}/auroc_change"], "+.3f")
        between = "" if low is None else f" ({low:+.2f} to {high:+.2f})"
        drawn.add_row(set_.removeprefix("test."), label, *counted, *both, change + between)
    return drawn


def _number(value: float | None, form: str = ".3f") -> str:
    return "–" if value is None else f"{value:{form}}"
