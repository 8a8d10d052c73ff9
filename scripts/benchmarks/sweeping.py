"""Eight recipes that learn in the last two layers: a sweep, which computes the layers below once for each
text, beside as many runs of transformers' Trainer on the same layers."""

from __future__ import annotations

import gc
import logging
import os
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from benchmarks.measure import Goal
from benchmarks.training import TUNED, apart, fresh, job_of, macro, trainer
from train.lock import resolve
from train.loop import optimizer
from train.model.precision import resolve as precision_of
from train.sweep.spec import load

SWEEP = Path(__file__).parents[2] / "recipes/sweeps/minilm-top2.yaml"


def goals() -> list[Goal]:
    """One: the ratio is that of the whole, what is computed once included; spread: of the recipes, each with
    its eighth of that. Scored is the test split after the last update."""
    logging.getLogger("transformers").setLevel(logging.ERROR)
    accelerator = Accelerator(cpu=not torch.cuda.is_available(), mixed_precision="no")
    precision = precision_of("auto", accelerator.device)
    plan = load(SWEEP)
    once, ours, theirs = 0.0, [], []
    scores: dict[str, list[float]] = {"ours": [], "theirs": []}
    with tempfile.TemporaryDirectory(prefix="bench.") as cache:
        os.environ["TEENSAFE_CACHE"] = cache
        recipes = [plan.recipe(choice) for choice in plan.grid()]
        texts = recipes[0].train.steps * recipes[0].train.global_batch  # type: ignore[operator]
        for number, recipe in enumerate(recipes):
            resolved = resolve(recipe)

            def sweep(resolved: Any = resolved) -> None:
                nonlocal once
                job, classifier = job_of(resolved, accelerator, resolved.recipe.data.seed)
                adam = optimizer.build(resolved.recipe.train, *classifier.parts())
                start = perf_counter()
                updates = job.updates(classifier, adam, 0)
                begun = perf_counter()
                for _ in updates:
                    pass
                once += begun - start
                ours.append(perf_counter() - begun)
                scores["ours"].append(macro(resolved, classifier, accelerator))

            def other(resolved: Any = resolved, number: int = number) -> None:
                rows = resolved.corpus.rows("train")
                chosen = np.random.default_rng(number).permutation(rows)[:texts]
                classifier = fresh(resolved, precision)
                its = trainer(resolved, classifier, chosen, True, 1, 1)
                theirs.append(its.train().metrics["train_runtime"])
                scores["theirs"].append(macro(resolved, classifier, accelerator))

            for way in (sweep, other) if number % 2 == 0 else (other, sweep):
                way()
                gc.collect()
    share = once / len(recipes)
    ratios = [b / (a + share) for a, b in zip(ours, theirs, strict=True)]
    total = texts * len(recipes)
    return [
        Goal(
            "sweep of 8 recipes on top-2 layers",
            f"8 times {TUNED}, same layers",
            sum(theirs) / (sum(ours) + once),
            3.0,
            6.0,
            (min(ratios), max(ratios)),
            len(recipes),
            (total / (sum(ours) + once), total / sum(theirs)),
            texts,
            {**scores, **apart(scores["ours"], scores["theirs"]), "once_seconds": once},
        )
    ]
