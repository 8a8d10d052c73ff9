"""`teensafe evaluate`: judge a finished run's selected checkpoint again, on the data it was trained for."""

from __future__ import annotations

import json

from train.assessment import Verdict, judge, split_logits
from train.errors import InputError, Problem
from train.evaluation.operating_points import read as read_points
from train.lock import Resolved, resolve
from train.loop.checkpoints import open_checkpoint
from train.loop.signals import StopSignals
from train.recipe import load as load_recipe
from train.serving.predictor import POINTS, checkpoint_of, load_for_scoring
from train.terminal import Terminal
from train.tracking.run import find


def evaluate(name: str, split: str) -> Verdict:
    """Predictions, figures and intervals of a split, at the run's operating points; predictions are written.

    Raises InputError where the recipe's data are no longer what the run was trained on.
    """
    from accelerate import Accelerator

    folder, checkpoint = find(name), checkpoint_of(name)
    open_checkpoint(checkpoint)
    resolved = resolve(load_recipe(folder / "recipe.yaml"))
    lock = json.loads((folder / "recipe.lock").read_text(encoding="utf-8"))
    if resolved.identity != lock["sha256"]:
        raise InputError(_moved(resolved, lock))
    accelerator = Accelerator(mixed_precision="no")
    classifier = load_for_scoring(checkpoint)
    with StopSignals() as stop, Terminal().bar(split, len(resolved.corpus.rows(split))) as advance:
        found = split_logits(
            classifier,
            resolved.corpus,
            split,
            accelerator=accelerator,
            stopping=lambda: bool(stop),
            advance=advance,
        )
    if found is None:
        raise KeyboardInterrupt
    verdict = judge(resolved.corpus, split, found, read_points(checkpoint / POINTS), with_intervals=True)
    verdict.predictions.write(folder / "predictions" / f"{split}.parquet")
    return verdict


def _moved(resolved: Resolved, lock: dict[str, object]) -> list[Problem]:
    was = dict(lock["sources"])  # type: ignore[call-overload]
    changed = [source for source, digest in resolved.sources.items() if was.get(source) != digest]
    return [
        Problem(
            resolved.recipe.where("data", "sources", source, "path"),
            f"source {source} is not the file the run was trained on",
            f"content {str(was.get(source))[:12]}, found {resolved.sources[source][:12]}",
            "restore the file, or train again on this one",
        )
        for source in changed
    ] or [
        Problem("recipe.yaml", "the base model or the policy changed since the run", "those of recipe.lock")
    ]
