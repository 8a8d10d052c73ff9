"""What a bundle's manifest says of the run it was made from."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import train
from train.bundle.manifest import Base, Data, Label, Lineage, Manifest, Origin, Rules
from train.data.encoding import Encoding
from train.evaluation.records import is_whole
from train.export.merged import Merged
from train.files import canonical_json, sha256_bytes, sha256_file
from train.lock import code_version
from train.model.backbone import placeless
from train.recipe import Recipe


class RunSaid(NamedTuple):
    """What a finished run's folder says: recipe.yaml, recipe.lock and summary.json."""

    folder: Path
    recipe: Recipe
    locked: dict[str, Any]
    final: dict[str, Any]


def described(run: RunSaid, merged: Merged) -> Manifest:
    """All but variants and files, which come from what is made."""
    recipe, policy, encoding = run.recipe, run.recipe.policy, Encoding.model_validate(merged.trained.encoding)
    said = policy.model_dump(mode="json", by_alias=True)
    return Manifest(
        schema=1,
        name=run.folder.resolve().name,
        policy=f"{policy.name} {policy.version}",
        policy_sha256=sha256_bytes(canonical_json(said).encode()),
        labels=tuple(
            Label(
                name=label,
                title=policy.labels[label].title,
                tier=policy.labels[label].tier,
                constraint=point.constraint,
                calibration=point.calibration,
                scale=point.scale,
                bias=point.bias,
            )
            for label in merged.trained.labels
            for point in [merged.points[label]]
        ),
        encoding=encoding,
        rules=_rules(encoding),
        variants={},
        base=Base(
            name=placeless(recipe.model.base), revision=recipe.model.revision, digest=run.locked["base"]
        ),
        run=Origin(
            name=run.folder.resolve().name,
            step=run.final["selected_step"],
            precision=run.final["precision"],
            identity=run.locked["sha256"],
            recipe_sha256=sha256_bytes(recipe.to_yaml(places=False).encode()),
            lock_sha256=sha256_file(run.folder / "recipe.lock"),
            code=code_version(),
            commit=_commit(),
        ),
        data=tuple(
            Data(
                name=name,
                sha256=run.locked["sources"][name],
                licence=source.licence,
                synthetic=source.synthetic,
            )
            for name, source in recipe.data.sources.items()
        ),
        lineage=_lineage(recipe, run.final["name"]),
        evaluation=evaluation(run.final),
        gates=tuple(run.final.get("gates", ())),
        files={},
    )


def _lineage(recipe: Recipe, name: str) -> Lineage:
    return Lineage(
        project=recipe.track.project,
        entity=recipe.track.entity,
        group=recipe.track.group or recipe.name,
        uses=(f"{name}-classifier:best", f"{recipe.name}-data:latest"),
        registry=f"wandb-registry-model/{recipe.name}",
        aliases=(f"policy-{recipe.policy.version}", "candidate"),
    )


def evaluation(final: Mapping[str, Any]) -> dict[str, Any]:
    """Figures of whole sets and labels, none of dev, which chose the checkpoint."""
    keys = [
        key
        for key in final["metrics"]
        if key.count("/") == 2 and is_whole(key.split("/")[0]) and not key.startswith("dev")
    ]
    return {
        "metrics": {key: final["metrics"][key] for key in keys},
        "intervals": {key: final["intervals"][key] for key in keys if key in final["intervals"]},
    }


def _rules(encoding: Encoding) -> Rules:
    length = encoding.max_length
    if length.overflow == "window":
        long_texts = (
            f"windows of {length.tokens} tokens that share {length.stride}, the {length.reduce} of whose "
            "logits counts; a server that truncates sees the first window only"
        )
    else:
        long_texts = (
            f"the first {length.tokens} tokens, special ones included; tokenizer.json truncates there, and "
            "transformers.pipeline with truncation=True"
        )
    steps = ", ".join(encoding.normalise)
    return Rules(
        long_texts=long_texts,
        normalise=f"{steps}: before the tokenizer, by train.data.normalise; other servers do not"
        if steps
        else "none",
        conversations="a line a turn, as `speaker: text`, the last that fit; other servers keep the first",
    )


def _commit() -> str | None:
    asked = ["git", "-C", str(Path(train.__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
