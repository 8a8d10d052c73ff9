"""`teensafe evaluate`: judge a finished run's selected checkpoint again, by what its recipe asks and more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from signal import SIGINT
from typing import Any

from train.assessment import predictions, split_logits
from train.errors import InputError, Interrupted, Problem
from train.evaluation.operating_points import OperatingPoint
from train.evaluation.operating_points import read as read_points
from train.evaluation.predictions import Predictions
from train.examination import Examiner
from train.files import write_json
from train.judgement import judgement
from train.lock import Resolved, resolve_again
from train.loop.checkpoints import open_checkpoint
from train.publishing import again
from train.recipe import Recipe, load_suite
from train.recipe import load as load_recipe
from train.report.page import write as write_report
from train.serving.predictor import POINTS, Predictor, checkpoint_of, load_for_scoring
from train.signals import StopSignals
from train.suites.suite import Suites
from train.terminal import Terminal
from train.tracking.run import find, lock, summary


def evaluate(name: str, suites: Sequence[str], gates: Sequence[str]) -> dict[str, Any]:
    """The run's summary after its test split and suites were judged again; summary, predictions and report
    are written, and W&B is told as the recipe's `track` says.

    suites, gates: files and lines that join those of the run's recipe, of which a suite of the same name is
    replaced. Raises InputError where the recipe's data are no longer what the run was trained on.
    """
    folder, checkpoint = find(name), checkpoint_of(name)
    progress = open_checkpoint(checkpoint)
    recipe = _asked(load_recipe(folder / "recipe.yaml"), suites, gates)
    resolved = resolve_again(recipe, lock(folder))
    points = read_points(checkpoint / POINTS)
    found = _scored(resolved, Predictor(load_for_scoring(checkpoint), points), points)
    for set_, part in found.items():
        part.write(folder / "predictions" / f"{set_}.parquet")
    calibration = Predictions.read(folder / "predictions" / "calibration.parquet")
    judged = judgement(resolved, {"calibration": calibration, **found})
    judged.figures.update(progress.figures)
    final = {**summary(folder), **judged.summary()}
    write_json(folder / "summary.json", final)
    write_report(folder)
    again(resolved, folder, final)
    return {"run": str(folder), **final}


def _scored(
    resolved: Resolved, predictor: Predictor, points: Mapping[str, OperatingPoint]
) -> dict[str, Predictions]:
    """Predictions of the test split and of all else the recipe asks, by name. Raises Interrupted."""
    from accelerate import Accelerator

    accelerator, terminal, corpus = Accelerator(mixed_precision="no"), Terminal(), resolved.corpus
    rows = corpus.rows("test")
    with StopSignals() as stop:

        def interrupted() -> Interrupted:
            return Interrupted(stop.received or SIGINT, "stopped before the end; nothing was changed")

        way: Any = {"accelerator": accelerator, "stopping": lambda: bool(stop)}
        with terminal.bar("test", len(rows)) as advance:
            logits = split_logits(predictor.classifier, corpus, "test", advance=advance, **way)
        if logits is None:
            raise interrupted()
        test = predictions(corpus, "test", logits, points)
        examiner = Examiner(predictor, terminal=terminal, interrupted=interrupted, **way)
        return examiner.everything(resolved.recipe, test, corpus.texts(rows))


def _asked(recipe: Recipe, suites: Sequence[str], gates: Sequence[str]) -> Recipe:
    """The recipe with what the command line adds. Raises InputError."""
    from train.evaluation.gates import Gate

    try:
        for text in gates:
            if (other := Gate.parse(text).baseline) is not None:
                find(other)  # before minutes of scoring
    except ValueError as wrong:
        raise InputError(Problem("--gate", str(wrong))) from None
    more = [load_suite(path) for path in suites]
    names = {suite.name for suite in more}
    kept = [suite for suite in recipe.evaluate.suites.test if suite.name not in names]
    judging = recipe.evaluate.model_copy(
        update={
            "suites": Suites(dev=recipe.evaluate.suites.dev, test=(*kept, *more)),
            "gates": (*recipe.evaluate.gates, *(text for text in gates if text not in recipe.evaluate.gates)),
        }
    )
    asked = recipe.model_copy(update={"evaluate": judging})
    asked._origin = recipe._origin
    return asked
