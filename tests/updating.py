"""A recipe's updates without a run folder: what train/__main__.py does between loading and judging."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import torch
from accelerate import Accelerator, DistributedDataParallelKwargs

from train.job import Job
from train.lock import resolve
from train.loop import optimizer
from train.model.classifier import Classifier, create
from train.recipe import load
from train.signals import StopSignals
from train.terminal import Terminal


def job_of(recipe: Path, *overrides: str) -> Job:
    accelerator = Accelerator(
        cpu=True,
        mixed_precision="no",
        kwargs_handlers=[DistributedDataParallelKwargs(gradient_as_bucket_view=True)],
    )
    resolved = resolve(load(recipe, overrides))
    return Job(resolved, accelerator, "fp32", StopSignals(), Terminal(), None, None)


def begin(job: Job) -> Classifier:
    recipe = job.resolved.recipe
    encoding = {"max_length": recipe.model.max_length.model_dump(mode="json")}
    labels, tokenizer = job.resolved.corpus.labels, job.resolved.tokenizer
    return create(recipe.model, recipe.adapter, encoding, labels, tokenizer, "fp32", recipe.train.seed)


def optimizer_of(job: Job, classifier: Classifier) -> torch.optim.AdamW:
    return optimizer.build(job.resolved.recipe.train, *classifier.parts())


def losses(
    job: Job,
    classifier: Classifier | None = None,
    adam: torch.optim.AdamW | None = None,
    start: int = 0,
    stop: int | None = None,
) -> list[float]:
    """Of the updates from `start` to before `stop`; by default of a new classifier, from first to last."""
    classifier = classifier or begin(job)
    if job.resolved.recipe.train.gradient_checkpointing:
        classifier.recompute_activations()
    updates = job.updates(classifier, adam or optimizer_of(job, classifier), start)
    return [update.loss for update in islice(updates, None if stop is None else stop - start)]
