"""What a run tells Weights & Biases: what goes in as it begins, what came out as it ends or is judged again.

Never a text.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from train.data.location import name_of
from train.evaluation.records import is_whole
from train.files import json_text
from train.loop.checkpoints import MANIFEST, TRAINER, restated
from train.model.classifier import without_places
from train.report.tables import tables
from train.suites.suite import PREFIX
from train.tracking.wandb_log import WandbLog

if TYPE_CHECKING:
    from train.lock import Resolved


def begin(
    resolved: Resolved, folder: Path, precision: str, processes: int, resumed_from: int | None
) -> WandbLog:
    """Open a W&B run whose config is the resolved recipe, less what is long (label texts, columns, suites).

    The recipe without the places of data and base model, the lock of the run `folder`, and references to the
    data, go along as artifacts.
    """
    recipe = resolved.recipe
    config = _config(resolved) | {
        "precision": precision,
        "processes": processes,
        "resumed_from": resumed_from,
    }
    wandb = WandbLog(recipe.track, folder, _name(resolved), config, tags=resolved.corpus.labels)
    lock = (folder / "recipe.lock").read_text(encoding="utf-8")
    wandb.recipe(recipe.name, {"recipe.yaml": recipe.to_yaml(places=False), "recipe.lock": lock})
    wandb.data(
        recipe.name,
        {
            name: {
                "sha256": resolved.sources[name],
                "file": ", ".join(name_of(path) for path in source.paths().values()),
                "licence": source.licence,
                "synthetic": source.synthetic,
            }
            for name, source in recipe.data.sources.items()
        },
    )
    return wandb


def end(wandb: WandbLog, folder: Path, summary: Mapping[str, Any]) -> None:
    """The summary's figures, tables by label and slice, curves, and the checkpoints of a finished run."""
    _judged(wandb, folder, summary)
    wandb.checkpoints(folder / "checkpoints", summary["name"], TRAINER, _handed_over)


def again(resolved: Resolved, folder: Path, summary: Mapping[str, Any]) -> None:
    """A run that was judged again: what `end` tells but the checkpoints, as a W&B run of its own.

    It joins the training's group as a job of type evaluate: a W&B run cannot rewrite its past.
    """
    track, config, labels = resolved.recipe.track, _config(resolved), resolved.corpus.labels
    wandb = WandbLog(track, folder, _name(resolved), config, tags=labels, job_type="evaluate")
    _judged(wandb, folder, summary)
    wandb.finish()


def _config(resolved: Resolved) -> dict[str, Any]:
    config = resolved.recipe.placeless()
    del config["policy"]["labels"], config["data"]["sources"]
    asked = resolved.recipe.evaluate.suites
    config["evaluate"]["suites"] = {
        "dev": [suite.name for suite in asked.dev],
        "test": [suite.name for suite in asked.test],
    }
    return config | {"identity": resolved.identity, "sources": resolved.sources, "base": resolved.base}


def _name(resolved: Resolved) -> str:
    return f"{resolved.recipe.name}-{resolved.recipe.train.seed}"


def _judged(wandb: WandbLog, folder: Path, summary: Mapping[str, Any]) -> None:
    whole = {key: value for key, value in summary["metrics"].items() if _summed_up(key)}
    told = ("selected_step", "reload_max_logit_difference")
    wandb.summarise({**whole, **{key: summary[key] for key in told}})
    wandb.tables(summary["selected_step"], tables(folder))


def _summed_up(key: str) -> bool:
    """A figure that runs are compared by: of a whole label, and of a suite as a whole."""
    name = key.split("/")[0]
    return key.count("/") == 2 and (not name.startswith(PREFIX) or is_whole(name))


def _handed_over(checkpoint: Path) -> dict[str, str]:
    """The files of a checkpoint that name places on this machine, and its manifest, as they leave it."""
    texts = {name: json_text(said) for name, said in without_places(checkpoint).items()}
    return {**texts, MANIFEST: restated(checkpoint, texts)}
