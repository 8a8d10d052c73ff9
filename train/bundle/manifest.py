"""manifest.json: what a bundle says of itself, in one canonical form: equal bundles are equal bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError

from train.data.encoding import Encoding
from train.errors import Failure, Problem
from train.evaluation.calibration import Kind
from train.files import canonical_json, sha256_bytes, write_text
from train.spec import Spec

MANIFEST = "manifest.json"
SIGNATURE = "model.sig"
GOLDEN = "golden.jsonl"
CARD = "README.md"
MODEL = "model"
Runtime = Literal["torch", "onnx", "onnx-int8"]
GRAPHS: Mapping[Runtime, str] = {"onnx": "onnx/model.onnx", "onnx-int8": "onnx/model_int8.onnx"}
TOLERANCE: Mapping[Runtime, float] = {"torch": 1e-4, "onnx": 1e-4, "onnx-int8": 0.05}
"""Largest difference of a probability that a bundle may allow itself. Another processor adds up in another
order; 8-bit products differ more between kinds."""
GOLDEN_ROWS = 64
"""Fewer are no proof: a text of each kind has to be among them."""


class Label(Spec):
    """A column of the model's output, in order."""

    name: str
    title: str
    tier: Literal[1, 2, 3]
    """What happens to content: 1 restrict for teens, 2 remove, 3 escalate."""
    constraint: str
    """What its thresholds were fitted to keep, such as `fpr <= 0.02`."""
    calibration: Kind
    """How raw scores became probabilities; it lies in the head's weights."""
    scale: float
    bias: float


class Variant(Spec):
    """The model in one form."""

    file: str
    """Its weights, within the bundle."""
    thresholds: dict[str, float]
    """By label: flagged where sigmoid(logit) >= threshold."""
    fitted: Literal["run", "again"]
    """Where the thresholds come from: the run's, whose numbers these are; or fitted again on this variant's
    scores of the run's calibration texts."""
    tolerance: float = Field(gt=0)
    """Largest difference of a probability to golden.jsonl's that another machine may show."""
    measured: dict[str, Any] = Field(default_factory=dict)
    """Of a variant that was fitted again: figures on the run's test texts, and what it costs."""


class Data(Spec):
    """A source that the model learned from."""

    name: str
    sha256: str
    licence: str | None
    synthetic: bool


class Base(Spec):
    """The pretrained model."""

    name: str
    revision: str | None
    digest: str


class Origin(Spec):
    """The run that the bundle was made from."""

    name: str
    step: int
    precision: str
    identity: str
    """Hash of recipe, data, base model and policy."""
    recipe_sha256: str
    lock_sha256: str
    code: str
    """The package's version and a hash of its source that exported."""
    commit: str | None
    """Of the checkout that exported; None where it was installed without one."""


class Lineage(Spec):
    """What W&B is told of a bundle, at once where it is online, else by the next call that is."""

    project: str
    entity: str | None
    group: str
    uses: tuple[str, ...]
    """Artifacts it was made from: the run's classifier and its data."""
    registry: str
    """The collection it is linked to."""
    aliases: tuple[str, ...]


class Rules(Spec):
    """How texts become tokens where not this package but another server makes them, in words."""

    long_texts: str
    normalise: str
    conversations: str


class Manifest(Spec):
    schema_: Literal[1] = Field(alias="schema")
    self_sha256: str = ""
    """Of this document in canonical form without this key."""
    name: str
    policy: str
    """Name and version, such as teen-safety 1.0.0."""
    policy_sha256: str
    labels: tuple[Label, ...] = Field(min_length=1)
    activation: Literal["sigmoid"] = "sigmoid"
    encoding: Encoding
    rules: Rules
    variants: dict[Runtime, Variant]
    base: Base
    run: Origin
    data: tuple[Data, ...]
    lineage: Lineage
    evaluation: dict[str, Any]
    """Figures of the run by set and label, each with n and its 95% interval."""
    gates: tuple[dict[str, Any], ...]
    files: dict[str, str]
    """Every other file of the bundle, less the signature: path -> sha256."""

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(label.name for label in self.labels)

    def text(self) -> str:
        """As it lies on the disk."""
        return canonical_json(self._sealed()) + "\n"

    def _sealed(self) -> dict[str, Any]:
        said = self.model_dump(mode="json", by_alias=True, exclude={"self_sha256"})
        return said | {"self_sha256": seal(said)}

    def write(self, folder: Path) -> None:
        write_text(folder / MANIFEST, self.text())

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Raises Failure where it is missing, not in canonical form, or not as it was sealed."""
        path = folder / MANIFEST
        try:
            text = path.read_text(encoding="utf-8")
            said = json.loads(text)
            if text != canonical_json(said) + "\n":
                raise _broken(path, "is not in canonical form: it was edited")
            claimed = said["self_sha256"]
            if seal({key: value for key, value in said.items() if key != "self_sha256"}) != claimed:
                raise _broken(path, "is not what its self_sha256 was taken of: it was edited")
            return cls.model_validate(said)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise _broken(path, f"{where}: {first['msg']}") from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise _broken(path, f"cannot be read ({type(error).__name__})") from error


def seal(said: dict[str, Any]) -> str:
    """Hash of a manifest without its self_sha256."""
    return sha256_bytes(canonical_json(said).encode())


def _broken(path: Path, what: str) -> Failure:
    return Failure(
        Problem(str(path), what, "the manifest as `teensafe export` wrote it", "get the bundle again")
    )
