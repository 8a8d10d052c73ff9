"""Checkpoints: folders that are whole, checked by hash, and pointed to by `best` and `last`.

    checkpoints/step-000500/   weights, classifier.json, checkpoint.json, trainer.safetensors (resume only)
    checkpoints/best ->        the selected one
    checkpoints/last ->        the newest one

A checkpoint appears by one rename after all its files reached the disk, so a process killed at any moment
leaves the earlier ones usable. No file is a pickle.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from train.errors import Failure, Problem
from train.files import (
    json_text,
    point_link,
    sha256_bytes,
    sha256_file,
    sweep_parts,
    whole_folder,
    write_json,
)

if TYPE_CHECKING:
    from torch import Tensor

MANIFEST = "checkpoint.json"
TRAINER = "trainer.safetensors"


@dataclass
class Progress:
    """Where training stands; with the weights and the optimizer's moments all that a resume needs."""

    step: int = 0
    evaluated: bool = False
    """The dev figures of this step are known; if not, a resume evaluates first."""
    best_step: int | None = None
    best_value: float | None = None
    best_keeps: bool = True
    """The best one keeps the limits that selection is subject to, if there are any."""
    evaluations_since_best: int = 0
    seconds: float = 0.0
    """In updates, so far: evaluations apart."""
    tokens: int = 0
    """Trained on so far, without padding."""
    figures: dict[str, Any] = field(default_factory=dict)
    """The dev figures of this step, by metric key."""
    probe: dict[str, Any] = field(default_factory=dict)
    """Ids and logits of a few texts, which a reload has to reproduce."""


def save(
    root: Path, progress: Progress, write: Callable[[Path], None], trainer: Mapping[str, Tensor]
) -> Path:
    """Write a checkpoint; `write` fills the folder with the classifier. Points `last` at it.

    A whole checkpoint of this step keeps its files and learns the new progress (it was evaluated since).
    """
    from safetensors.torch import save_file

    folder = root / f"step-{progress.step:06d}"
    if folder.exists():
        try:
            open_checkpoint(folder, resume=True)
        except Failure:
            shutil.rmtree(folder)
        else:
            manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            write_json(folder / MANIFEST, {**manifest, "progress": asdict(progress)})
            point_link(root / "last", folder.name)
            return folder
    with whole_folder(folder) as part:
        write(part)
        save_file(dict(trainer), part / TRAINER)
        files = {str(p.relative_to(part)): sha256_file(p) for p in sorted(part.rglob("*")) if p.is_file()}
        write_json(part / MANIFEST, {"schema": 1, "progress": asdict(progress), "files": files})
    point_link(root / "last", folder.name)
    return folder


def add(folder: Path, name: str) -> None:
    """Take a file that was written into a finished checkpoint into its manifest."""
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    manifest["files"][name] = sha256_file(folder / name)
    write_json(folder / MANIFEST, manifest)


def restated(folder: Path, changed: Mapping[str, str]) -> str:
    """A checkpoint's manifest, as text, where the files `changed` say something else: their texts by name."""
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    manifest["files"] |= {name: sha256_bytes(text.encode()) for name, text in changed.items()}
    return json_text(manifest)


def select(root: Path, folder: Path) -> None:
    point_link(root / "best", folder.name)


def prune(root: Path) -> None:
    """Remove the checkpoints that neither `best` nor `last` points to."""
    kept = {(root / link).resolve() for link in ("best", "last")}
    for folder in root.glob("step-*"):
        if folder.resolve() not in kept:
            shutil.rmtree(folder)


def open_checkpoint(folder: Path, resume: bool = False) -> Progress:
    """Check every file of a checkpoint against its hash. Raises Failure for a missing or damaged one.

    Only a resume needs the trainer's state; what is handed over goes without it.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        progress = Progress(**manifest["progress"])
        files: dict[str, str] = manifest["files"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(folder, f"{MANIFEST} cannot be read ({type(error).__name__})") from error
    for name, digest in files.items():
        if name == TRAINER and not resume:
            continue
        if not (folder / name).is_file():
            raise _damaged(folder, f"{name} is missing")
        if sha256_file(folder / name) != digest:
            raise _damaged(folder, f"{name} is not as it was written (truncated or changed)")
    return progress


def newest(root: Path, warn: Callable[[str], None]) -> tuple[Path, Progress] | None:
    """The newest whole checkpoint to resume from; damaged ones are named to `warn` and passed over.

    Raises Failure where checkpoints exist and none is whole: silence would throw the work away.
    """
    sweep_parts(root)
    folders = sorted(root.glob("step-*"), reverse=True)
    for folder in folders:
        try:
            return folder, open_checkpoint(folder, resume=True)
        except Failure as damage:
            warn(f"passing over a damaged checkpoint\n{damage}")
    if folders:
        raise Failure(
            Problem(
                str(root),
                f"none of {len(folders)} checkpoints is whole",
                "at least one to resume from",
                "restore one from a backup, or remove the run's folder to train from the start",
            )
        )
    return None


def judged_up_to(root: Path) -> int:
    """The last step that a resume will not evaluate again; 0 where there is no checkpoint. Hashes are not
    looked at."""
    for folder in sorted(root.glob("step-*"), reverse=True):
        try:
            progress = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["progress"]
            return int(progress["step"]) - (not progress["evaluated"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return 0


def trainer_state(folder: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    return dict(load_file(folder / TRAINER))


def _damaged(folder: Path, what: str) -> Failure:
    return Failure(
        Problem(
            str(folder),
            what,
            "a whole checkpoint",
            "use another checkpoint of the run, or restore it from W&B or a backup",
        )
    )
