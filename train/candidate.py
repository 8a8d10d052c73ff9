"""A checkpoint as a candidate: what it scores, whether it keeps the recipe's limits and is the best."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from train.assessment import judge, predictions, split_logits
from train.evaluation import operating_points
from train.evaluation.calibration import Kind, foldable
from train.evaluation.gates import Gate
from train.evaluation.operating_points import OperatingPoint
from train.examination import Examiner
from train.job import Job, main_first
from train.serving.predictor import Predictor

if TYPE_CHECKING:
    from train.loop.checkpoints import Progress
    from train.model.classifier import Classifier
    from train.recipe import Recipe

PROBE = 32
"""Dev texts whose logits a new process has to reproduce."""


def evaluate(job: Job, classifier: Classifier, progress: Progress) -> None:
    """Judge the weights on dev and note in `progress` whether they are the best yet.

    A checkpoint that keeps all limits of `select.subject_to` is better than any that does not.
    """
    corpus, select = job.resolved.corpus, job.resolved.recipe.evaluate.select
    found = score(job, classifier, "dev", progress.step)
    progress.figures = judge(predictions(corpus, "dev", found)).figures
    kept = _keeps_limits(job, classifier, progress)
    probe = corpus.rows("dev")[:PROBE]
    logits = np.asarray(Predictor(classifier, {}).logits(corpus.texts(probe)))
    progress.probe = {"ids": list(corpus.column("id", probe)), "logits": logits.tolist()}
    value = progress.figures.get(select.metric)
    measured = value is not None and (progress.best_value is None or value > progress.best_value)
    better = (
        progress.best_step is None
        or kept > progress.best_keeps
        # nothing measurable yet: the newest is the best known
        or (kept == progress.best_keeps and (measured or progress.best_value is None))
    )
    if better:
        progress.best_step, progress.best_value, progress.evaluations_since_best = progress.step, value, 0
        progress.best_keeps = kept
    else:
        progress.evaluations_since_best += 1
    progress.evaluated = True
    shown = "not measurable: too few positives or negatives in dev" if value is None else f"{value:.4f}"
    beyond = "" if kept else ", beyond the limits of select.subject_to"
    best = " (best)" if better and value is not None else ""
    job.terminal.say(f"step {progress.step}: {select.metric} {shown}{beyond}{best}")
    if job.run and job.wandb:
        record = {"step": progress.step, **progress.figures}
        job.run.log(record)
        job.wandb.log(record)


def _keeps_limits(job: Job, classifier: Classifier, progress: Progress) -> bool:
    """Whether the dev suites' figures, which join `progress.figures`, keep the recipe's limits.

    Flags are made at operating points that are fitted for these very weights, or they would mean nothing.
    """
    recipe = job.resolved.recipe
    if not recipe.evaluate.select.subject_to:
        return True
    points = fit_points(job, classifier, score(job, classifier, "calibration", progress.step))
    judged = examiner(job, classifier, points, progress.step)
    for found in judged.suites(recipe.evaluate.suites.dev, "dev").values():
        progress.figures |= judge(found).figures
    return keeps(recipe, progress.figures)


def keeps(recipe: Recipe, figures: Mapping[str, Any]) -> bool:
    """Whether a checkpoint's dev figures keep all limits of `select.subject_to`."""
    limits = [Gate.parse(text) for text in recipe.evaluate.select.subject_to]
    return all(_kept(limit, figures.get(limit.key)) for limit in limits)


def _kept(limit: Gate, value: Any) -> bool:
    if value is None:
        return False
    return bool(value <= limit.limit if limit.at_most else value >= limit.limit)


def fit_points(job: Job, classifier: Classifier, logits: np.ndarray) -> dict[str, OperatingPoint]:
    """Operating points under the policy, from the calibration split's logits [n, L]."""
    corpus, policy = job.resolved.corpus, job.resolved.recipe.policy
    rows = corpus.rows("calibration")
    others: tuple[Kind, ...] = ("isotonic",) if job.resolved.recipe.evaluate.calibration == "any" else ()
    return operating_points.fit(
        {label: policy.labels[label].constraint for label in corpus.labels},
        corpus.targets[rows],
        logits,
        corpus.labels,
        corpus.column("group", rows),
        (*foldable(classifier.head_has_bias), *others),
    )


def examiner(job: Job, classifier: Classifier, points: Mapping[str, OperatingPoint], step: int) -> Examiner:
    return Examiner(
        Predictor(classifier, points),
        job.terminal,
        job.accelerator,
        stopping=lambda: bool(job.stop),
        interrupted=lambda: job.interrupted(step),
        first=lambda work: main_first(job.accelerator, work),
    )


def score(job: Job, classifier: Classifier, split: str, step: int) -> np.ndarray:
    """Logits of a split, float32 [n, L]. Raises Interrupted where a signal cut it short."""
    corpus = job.resolved.corpus
    with job.terminal.bar(split, len(corpus.rows(split))) as advance:
        found = split_logits(
            classifier,
            corpus,
            split,
            accelerator=job.accelerator,
            stopping=lambda: bool(job.stop),
            advance=lambda rows: advance(rows * job.accelerator.num_processes),
        )
    if found is None:
        raise job.interrupted(step)
    return found
