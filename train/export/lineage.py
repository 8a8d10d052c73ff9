"""A bundle in Weights & Biases: made by a job of its own from the run's classifier and data; registered."""

from __future__ import annotations

from pathlib import Path

from train.bundle.manifest import Manifest
from train.recipe import load as load_recipe
from train.tracking.run import find
from train.tracking.wandb_log import WandbLog, mode


def publish(name: str, bundle: Path) -> str:
    """What was done, in words. Offline nothing is sent: the manifest says what a later call has to do.

    name: the run's. Raises Failure where W&B does not know the run's artifacts.
    """
    tracking, manifest = load_recipe(find(name) / "recipe.yaml").track, Manifest.read(bundle)
    if (chosen := mode(tracking)) == "disabled":
        return "W&B is disabled: the lineage stands in manifest.json"
    if chosen == "offline":
        return "W&B is offline: manifest.json has the lineage; the same command sends it once W&B is online"
    said = manifest.lineage
    about = {
        "manifest_sha256": manifest.self_sha256,
        "policy": manifest.policy,
        "identity": manifest.run.identity,
        "step": manifest.run.step,
    }
    called = f"{manifest.name}-bundle"
    log = WandbLog(tracking, bundle.parent, called, {"name": said.group}, job_type="export")
    try:
        log.bundle(bundle, called, about, said.uses, said.registry, said.aliases)
    finally:
        log.finish()
    return f"W&B: {said.project}, linked to {said.registry} as {', '.join(said.aliases)}"
