"""`teensafe verify`: is a folder the bundle that its manifest speaks of, and does it answer as it says?

Without a key this proves integrity: that nothing was changed by accident or by somebody who did not mend the
manifest, too. Who made it is proven by a signature alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from train.bundle import golden
from train.bundle.manifest import (
    GOLDEN,
    GOLDEN_ROWS,
    MANIFEST,
    MODEL,
    SIGNATURE,
    TOLERANCE,
    Manifest,
    Runtime,
)
from train.bundle.runtime import load
from train.bundle.signature import problem
from train.errors import Failure, InputError, Problem
from train.files import sha256_file

REFUSED = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".msgpack", ".h5", ".py", ".pyc", ".so", ".npy")
"""Files that run code when they are loaded, or may."""
EXPECTED = (f"{MODEL}/config.json", f"{MODEL}/model.safetensors", f"{MODEL}/tokenizer.json", GOLDEN)
ALONE = 1e-4
"""Largest difference of a probability between a text scored alone and in a padded batch."""


class Wrong(Failure):
    """A bundle that is not what it should be: all that is wrong with it."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = tuple(problems)
        Exception.__init__(self, "\n".join(map(str, problems)))


def prove(folder: Path, key: Path | None = None, only: Runtime | None = None) -> list[str]:
    """What was proven, a line each. key: the public key of who should have made the bundle. only: the one
    variant to hold against the golden answers.

    Raises Wrong with everything that is not so, and where; Failure for a manifest that was edited; InputError
    where there is no bundle, or no key.
    """
    if not (folder / MANIFEST).is_file():
        what = f"is no bundle: it has no {MANIFEST}"
        raise InputError(Problem(str(folder), what, "a folder that `teensafe export` wrote"))
    if problems := [*_dangerous(folder)]:
        raise Wrong(problems)
    manifest = Manifest.read(folder)
    problems = [*_files(folder, manifest), *_model(folder, manifest)]
    if key is not None and (unsigned := problem(folder, key)):
        problems.append(unsigned)
    if problems:
        raise Wrong(problems)
    told = [f"{len(manifest.files)} files have the hashes of {MANIFEST}, and none is beside them"]
    told.append(
        f"authentic: signed by the owner of {key}"
        if key is not None
        else "integrity only, not authenticity: whoever edits a file can edit the manifest, too; "
        "--key proves who made it"
    )
    rows = golden.read(folder / GOLDEN, len(manifest.labels))
    if len(rows) < GOLDEN_ROWS:
        raise Wrong(
            [Problem(GOLDEN, f"has {len(rows)} rows", f"at least {GOLDEN_ROWS}", "get the bundle again")]
        )
    for runtime, variant in manifest.variants.items():
        if only not in (None, runtime):
            continue
        predictor = load(folder, manifest, runtime)
        found = golden.compare(rows, predictor, variant.tolerance, int8=runtime == "onnx-int8")
        problems += _apart(folder, runtime, found, variant.tolerance)
        told.append(
            f"{runtime}: {len(rows)} golden rows agree; probabilities differ by {found.difference:.1e} at "
            f"most ({variant.tolerance:g} allowed), alone and in a batch by {found.alone:.1e}"
        )
    if problems:
        raise Wrong(problems)
    return told


def listed(folder: Path) -> dict[str, str]:
    """path -> sha256 of every file but the manifest and its signature."""
    return {name: sha256_file(folder / name) for name in _names(folder) if name not in (MANIFEST, SIGNATURE)}


def _names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


def _dangerous(folder: Path) -> Iterator[Problem]:
    """What nobody should even open. Symbolic links may lead out of the folder."""
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            yield Problem(name, "is a symbolic link", "plain files")
        elif path.suffix.lower() in REFUSED:
            yield Problem(name, "may run code when it is loaded", "safetensors, ONNX, JSON and Markdown")
        elif not (path.is_dir() or path.is_file()):
            yield Problem(name, "is neither a file nor a folder", "plain files")


def _files(folder: Path, manifest: Manifest) -> Iterator[Problem]:
    present = {*_names(folder)} - {MANIFEST, SIGNATURE}
    for name in sorted(manifest.files.keys() - present):
        yield Problem(name, "is missing", f"a file that {MANIFEST} lists", "get the bundle again")
    for name in sorted(present - manifest.files.keys()):
        yield Problem(name, f"is not in {MANIFEST}", "no other file", "remove it, or get the bundle again")
    for name in sorted(present & manifest.files.keys()):
        if sha256_file(folder / name) != manifest.files[name]:
            yield Problem(name, "is not as it was written", f"sha256 {manifest.files[name][:12]}…")
    for name in (*EXPECTED, *(variant.file for variant in manifest.variants.values())):
        if name not in manifest.files:
            yield Problem(MANIFEST, f"does not list {name}", "every part of a bundle")


def _model(folder: Path, manifest: Manifest) -> Iterator[Problem]:
    """What config.json says against what the manifest says."""
    path = folder / MODEL / "config.json"
    where = f"{MODEL}/config.json"
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        labels = [config["id2label"][str(index)] for index in range(len(config["id2label"]))]
        ids = {label: index for index, label in enumerate(labels)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        yield Problem(where, f"cannot be read ({type(error).__name__})", "a transformers configuration")
        return
    if tuple(labels) != manifest.names or config.get("label2id") != ids:
        yield Problem(where, "its labels are not the manifest's, in order", ", ".join(manifest.names))
    if config.get("problem_type") != "multi_label_classification":
        yield Problem(where, f"problem_type is {config.get('problem_type')!r}", "multi_label_classification")
    for name in (where, f"{MODEL}/tokenizer_config.json"):
        said = (folder / name).read_bytes() if (folder / name).is_file() else b""
        if b"auto_map" in said:
            yield Problem(name, "auto_map: it would have code loaded", "no auto_map")
    if absent := [runtime for runtime in ("torch", "onnx") if runtime not in manifest.variants]:
        yield Problem(
            MANIFEST, f"has no variant {' and '.join(absent)}", "torch and onnx, which prove each other"
        )
    for runtime, variant in manifest.variants.items():
        if variant.tolerance > TOLERANCE[runtime]:
            what = f"{runtime} allows itself a difference of {variant.tolerance:g}"
            yield Problem(MANIFEST, what, f"at most {TOLERANCE[runtime]:g}")
    thresholds = [set(variant.thresholds) for variant in manifest.variants.values()]
    if any(names != set(manifest.names) for names in thresholds):
        yield Problem(MANIFEST, "a variant's thresholds are not of the labels", ", ".join(manifest.names))


def _apart(folder: Path, runtime: str, found: golden.Parity, tolerance: float) -> Iterator[Problem]:
    where = str(folder / GOLDEN)
    if not found.difference <= tolerance:
        what = f"{runtime}: row {found.worst} is off by {found.difference:.3g}"
        yield Problem(where, what, f"at most {tolerance:g}", "check the runtime's version and processor")
    if found.flags:
        yield Problem(where, f"{runtime}: other flags in rows {', '.join(found.flags)}", "the same flags")
    if found.tokens:
        yield Problem(where, f"{runtime}: other tokens in rows {', '.join(found.tokens)}", "the same tokens")
    if not found.alone <= ALONE:
        what = f"{runtime}: a text alone and in a batch differ by {found.alone:.3g}"
        yield Problem(where, what, f"at most {ALONE:g}")
