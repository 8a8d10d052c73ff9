"""A delivery of `teensafe data`, as a recipe names it: its manifest, and the sources that its parts are.

What enters: a folder `NAME@VERSION/`. What leaves: sources whose every field the manifest states, so that a
recipe cannot read a delivery otherwise than it was made. One whose files, hashes or gates do not hold is
refused.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from train.data.split import NAMES
from train.document import Node, did_you_mean
from train.errors import InputError, Problem
from train.files import canonical_json, sha256_bytes, sha256_file
from train.spec import Spec

MANIFEST = "manifest.json"
BESIDE = ("delivered", "part", "share", "rows", "max_repeats")
"""What a recipe may say of a delivered source; all else is the manifest's."""
POLICY = ("name", "version")
"""What a recipe's policy and a delivery's have in common; limits are the recipe's own."""
AGAIN = "take the delivery again from whoever made it, or build it again"
NAMED = re.compile(r"[a-z0-9][a-z0-9._-]*@\d+\.\d+\.\d+")


class File(Spec):
    path: str = Field(pattern=r"^data/[A-Za-z0-9_-]+/[a-z]+\.parquet$")
    """Relative to the delivery's folder, and inside it."""
    sha256: str
    bytes: int
    rows: int


class Part(Spec):
    """The rows of one source."""

    files: dict[Literal["train", "dev", "calibration", "test"], File] = Field(min_length=1)
    reads: Literal["text", "turns"]
    """The column with the texts, or with conversations."""
    labels: tuple[str, ...]
    """Labels that some cell is known of; columns label.<L>."""
    slices: dict[str, str]
    """Slice -> its column."""
    licence: str
    synthetic: bool


class Gate(Spec):
    gate: str
    """What has to hold, in words."""
    held: bool
    found: str
    """The figure that says so."""


class Manifest(Spec):
    schema_: Literal[1] = Field(alias="schema")
    name: str
    version: str
    previous: str | None
    """NAME@VERSION that this one follows."""
    policy: dict[str, str]
    """name, version and sha256."""
    contract: dict[str, str]
    """name, version and sha256 of the standard that it keeps."""
    parts: dict[str, Part]
    others: dict[str, str]
    """Every other file of the delivery -> its sha256."""
    counts: dict[str, Any]
    """Rows, known and positive cells by split (of synthetic rows: `train.synthetic`, ...), label, slice."""
    agreement: dict[str, Any] = Field(default_factory=dict)
    """Label -> Krippendorff's alpha of the votes behind its cells, with its interval; see train/curation."""
    stages: dict[str, Any]
    """What each stage was told, and what it counted."""
    gates: tuple[Gate, ...]
    llm: dict[str, Any]
    """What was asked of language models, and what it cost."""
    retention: dict[str, str]
    sha256: str = ""
    """Of this document without this field."""

    def sealed(self) -> Manifest:
        return self.model_copy(update={"sha256": self._digest()})

    def _digest(self) -> str:
        said = self.model_dump(mode="json", by_alias=True, exclude={"sha256"})
        return sha256_bytes(canonical_json(said).encode())

    @property
    def full_name(self) -> str:
        return f"{self.name}@{self.version}"


def read(folder: Path, gates: bool = True) -> Manifest:
    """The manifest of a delivery, proven: it is whole, its gates hold, its files have the size stated.

    What they contain is proven when they are read (`Source.sha256`). gates: false for what does not train on
    it: another delivery may follow one whose gates do not hold. Raises InputError.
    """
    path = folder / MANIFEST
    if not path.is_file():
        near = (
            sorted(p.name for p in folder.parent.glob("*@*") if p.is_dir()) if folder.parent.is_dir() else []
        )
        remedy = did_you_mean(folder.name, near) or "teensafe data build CURATION.yaml --to DIR makes one"
        raise InputError(Problem(str(folder), "is no delivery", f"a folder with {MANIFEST}", remedy))
    try:
        manifest = Manifest.model_validate(json.loads(path.read_bytes()))
    except (OSError, ValueError, ValidationError, RecursionError):
        raise InputError(
            Problem(str(path), "is not whole, or of another make", "a manifest", AGAIN)
        ) from None
    if manifest.sha256 != manifest._digest():
        raise InputError(
            Problem(str(path), "was changed since it was written: its sha256 differs", "", AGAIN)
        )
    problems = [
        Problem(
            str(folder),
            f"the gate '{gate.gate}' does not hold: {gate.found}",
            "a delivery that keeps its gates",
        )
        for gate in manifest.gates
        if gates and not gate.held
    ]
    for part in manifest.parts.values():
        for file in part.files.values():
            place = folder / file.path
            if not place.is_file() or place.stat().st_size != file.bytes:
                what = "is missing" if not place.is_file() else f"has {place.stat().st_size:,} bytes"
                problems.append(Problem(str(place), what, f"a file of {file.bytes:,} bytes", AGAIN))
    if problems:
        raise InputError(problems)
    return manifest


def proven(folder: Path) -> Manifest:
    """The manifest of a delivery of which every file is what it says, byte for byte: for whoever vouches for
    the files anew, as another delivery or as the same one. Raises InputError."""
    manifest = read(folder, gates=False)
    files = {file.path: file.sha256 for part in manifest.parts.values() for file in part.files.values()}
    problems = [
        Problem(str(folder / path), "its content is not what the delivery's manifest says", "", AGAIN)
        for path, digest in (files | manifest.others).items()
        if not (folder / path).is_file() or sha256_file(folder / path) != digest
    ]
    if problems:
        raise InputError(problems)
    return manifest


def place(name: str, folder: Path) -> Path:
    """Where a delivery is: NAME@VERSION under $TEENSAFE_DELIVERIES (default ./deliveries), or a path,
    relative to `folder`."""
    if NAMED.fullmatch(name):
        return Path(os.environ.get("TEENSAFE_DELIVERIES") or "deliveries").absolute() / name
    return Path(os.path.normpath(folder / Path(name).expanduser()))


def in_place(tree: Node, problems: list[Problem]) -> Node:
    """The tree of a recipe with every source that names a delivery said in full."""
    for name, source in tree.section("data", "sources").items():
        section = source.section()
        if "delivered" in section and "path" not in section:
            policy = {key: said.value for key in POLICY if (said := tree.get("policy", key))}
            resolved = _resolved(name, source, policy, problems)
            sources = {**tree.section("data", "sources"), name: resolved}
            data = {
                **tree.section("data"),
                "sources": replace(tree.section("data")["sources"], value=sources),
            }
            tree = replace(
                tree, value={**tree.section(), "data": replace(tree.section()["data"], value=data)}
            )
    return tree


def _resolved(name: str, source: Node, policy: Mapping[str, Any], problems: list[Problem]) -> Node:
    section = source.section()
    named = section["delivered"]
    broken = replace(source, broken=True)
    if not isinstance(named.value, str) or (not NAMED.fullmatch(named.value) and _is_no_path(named.value)):
        what = f"data.sources.{name}.delivered: names no delivery"
        problems.append(Problem(named.where, what, "NAME@MAJOR.MINOR.PATCH, such as public@1.0.0, or a path"))
        return broken
    for key in [key for key in section if key not in BESIDE]:
        what = f"data.sources.{name}.{key}: the delivery says it"
        problems.append(Problem(section[key].where, what, f"nothing beside {', '.join(BESIDE)}"))
    try:
        folder = place(named.value, named.folder)
        manifest = read(folder)
    except InputError as error:
        problems += [
            replace(found, where=named.where, what=f"{found.where} {found.what}") for found in error.problems
        ]
        return broken
    if date.today().isoformat() > (until := manifest.retention.get("until", "")):
        what = f"data.sources.{name}: {manifest.full_name} was to be deleted, or looked at again, by {until}"
        who = manifest.retention.get("contact", "whoever made it")
        problems.append(Problem(named.where, what, "a delivery within its retention", f"ask {who}"))
        return broken
    part = str(section["part"].value) if "part" in section else name
    if part not in manifest.parts:
        what = f"data.sources.{name}: {manifest.full_name} has no part '{part}'"
        expected = f"one of {', '.join(manifest.parts)}"
        problems.append(Problem(named.where, what, f"part: {expected}", did_you_mean(part, manifest.parts)))
        return broken
    under, ours = (" ".join(str(of.get(key)) for key in POLICY) for of in (manifest.policy, policy))
    if under != ours:
        what = f"data.sources.{name}: {manifest.full_name} was labelled under policy {under}"
        problems.append(
            Problem(named.where, what, f"{ours}, the recipe's", "a version built under this policy")
        )
        return broken
    return _node(stated(folder, manifest, part) | {k: section[k] for k in BESIDE[2:] if k in section}, named)


def _is_no_path(name: str) -> bool:
    """Whether somebody meant NAME@VERSION and wrote half of it: nothing in it tells of folders."""
    return not name or ("/" not in name and not name.startswith(("~", ".")))


def stated(folder: Path, manifest: Manifest, part: str) -> dict[str, Any]:
    """The fields of the source that a part is."""
    said = manifest.parts[part]
    return {
        "delivered": manifest.full_name,
        "path": {split: str(folder / said.files[split].path) for split in NAMES if split in said.files},
        "sha256": {split: said.files[split].sha256 for split in NAMES if split in said.files},
        "format": "parquet",
        said.reads: said.reads,
        "id": "id",
        "group": "group",
        "labels": {label: f"label.{label}" for label in said.labels},
        "slices": {name: {"column": column} for name, column in said.slices.items()},
        "licence": said.licence,
        "synthetic": said.synthetic,
    }


def _node(value: Any, beside: Node) -> Node:
    """Plain values as a tree, all of it stated where `beside` is."""
    if isinstance(value, Node):
        return value
    if isinstance(value, Mapping):
        return replace(beside, value={key: _node(inner, beside) for key, inner in value.items()})
    return replace(beside, value=value)
