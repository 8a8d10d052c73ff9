"""A recipe: YAML files, overrides and environment in; one frozen object, or every problem at once, out."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from io import StringIO
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PrivateAttr
from pydantic.json_schema import GenerateJsonSchema
from ruamel.yaml import YAML

from train.data import delivered
from train.data.corpus import Data
from train.data.encoding import Encoding
from train.document import (
    Node,
    build,
    change,
    did_you_mean,
    read,
)
from train.errors import InputError, Problem
from train.evaluation import gates
from train.evaluation.selection import Evaluation
from train.loop.loss import Bce, Loss
from train.loop.training import Training
from train.model.adapter import Adapter, Lora
from train.model.backbone import Backbone, placeless
from train.policy import Policy
from train.spec import Spec
from train.stated import (
    Env,
    absolute,
    expanded,
    is_folder,
    overridden,
    placed,
    policy_in_place,
    reading_order,
    source_in_place,
    with_parents,
)
from train.suites.suite import Perturbed, Suite, Suites
from train.tracking.wandb_log import Tracking


class Model(Backbone, Encoding):
    """The pretrained model, and how a text is encoded for it."""


class Judging(Evaluation):
    """The evaluation, and the suites that it judges by."""

    suites: Suites = Suites()
    """Texts made or gathered to judge with, never to train on; files of recipes/suites, or your own."""
    perturbations: Literal["all"] | tuple[Perturbed, ...] = ()
    """Disguises that test texts and functional suites are judged in, too: `all`, or some of leetspeak,
    spacing, zero_width, homoglyphs, repeated, typos, emoji, algospeak, algospeak_held_out and case; several
    joined by `+` are done one after another."""


@dataclass(frozen=True)
class Origin:
    """Where each value of a recipe was stated. Equal to any other: it is no part of what a recipe says."""

    tree: Node | None = field(default=None, compare=False)


class Recipe(Spec):
    """One training run, said in full."""

    schema_: Literal[1] = Field(alias="schema")
    """Version of the recipe format: 1."""
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=100)
    """Lower-case letters, digits, `-`, `_` and `.`; the run folder's name begins with it."""
    policy: Policy
    """Path of the policy file, or the policy itself."""
    labels: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Labels to train; default: the policy's labels that have positives."""
    model: Model
    """The pretrained model, and how a text becomes its tokens."""
    adapter: Adapter = Lora()
    """What is trained beside the head."""
    data: Data
    """The sources, what they say of the labels, and how they are split."""
    loss: Loss = Bce()
    """What training makes small."""
    train: Training
    """How long, how fast and in which precision."""
    evaluate: Judging = Judging()
    """When checkpoints are evaluated, by what, and which one is kept."""
    track: Tracking = Tracking()
    """What is sent to Weights & Biases."""

    _origin: Origin = PrivateAttr(default=Origin())

    @property
    def freezes(self) -> bool:
        """Are there layers that every update computes alike, below all that learns?"""
        return self.model.dropout == 0 and self.adapter.freezes

    def where(self, *path: str) -> str:
        """The file:line that stated the value at `path`, or the section around it."""
        tree = self._origin.tree
        nodes = [tree.get(*path[:n]) for n in range(len(path), -1, -1)] if tree else []
        return next((node.where for node in nodes if node), f"recipe {self.name}")

    def problem(self, path: str, what: str, expected: str = "", remedy: str = "") -> Problem:
        """A problem of the value at `path`, such as data.seed."""
        return Problem(self.where(*path.split(".")), f"{path}: {what}", expected, remedy)

    def identity(self) -> dict[str, Any]:
        """What defines the run, as JSON: not tracking, memory or paths; contents are hashed elsewhere.

        What is asked of the selected checkpoint after training is no part of it, so that a suite or a gate
        may be added to a finished run; dev suites are where they take part in the selection.
        """
        content = self.placeless()
        del content["track"]
        for of_the_machine in ("micro_batch", "gradient_checkpointing", "cache_prefix"):
            del content["train"][of_the_machine]
        judging = content["evaluate"]
        for asked_later in ("gates", "prevalence", "suites", "perturbations"):
            del judging[asked_later]
        del content["policy"]["gates"]
        if self.evaluate.calibration == "exportable":
            del judging["calibration"]
        if self.evaluate.select.subject_to:
            judging["suites"] = [suite.digest() for suite in self.evaluate.suites.dev]
        else:
            del judging["select"]["subject_to"]
        if content["adapter"].get("top", 0) is None:
            del content["adapter"]["top"]
        if is_folder(self.model.base):
            del content["model"]["base"]
        return content

    def placeless(self) -> dict[str, Any]:
        """All it says, as JSON, but where data, base model and the baselines of gates lie: addresses may be
        signed."""
        sources = {"sources": {"__all__": {"path"}}}
        suites = {part: {"__all__": {**sources, "functionalities": True}} for part in ("dev", "test")}
        hidden: Any = {"data": sources, "evaluate": {"suites": suites}}
        content = self.model_dump(mode="json", by_alias=True, exclude=hidden)
        content["model"]["base"] = placeless(self.model.base)
        for section in (content["evaluate"], content["policy"]):
            section["gates"] = [gates.placeless(text) for text in section["gates"]]
        return content

    def to_yaml(self, places: bool = True) -> str:
        """Everything resolved and every default stated; `load` reads it back to an equal recipe.

        places: also where things lie on this machine; see `placeless`.
        """
        yaml = YAML()
        yaml.width = 110
        text = StringIO()
        yaml.dump(self.model_dump(mode="json", by_alias=True) if places else self.placeless(), text)
        return text.getvalue()


# ---- loading -------------------------------------------------------------------------------------------


def load(
    path: str | Path,
    overrides: Sequence[str] = (),
    env: Env | None = None,
    values: Mapping[str, Node] | None = None,
) -> Recipe:
    """The recipe in a file, with all it extends, `key.path=value` overrides and `${env:...}` applied.

    values: what another file puts in place of the recipe's, by key.path. Relative paths start from the file
    that states them; those that begin with a variable or come from the command line, from the working
    directory. Raises InputError with every problem found.
    """
    env = os.environ if env is None else env
    problems: list[Problem] = []
    recipe = None  # after a file that could not be read, nothing can be said of what the recipe lacks
    if tree := with_parents(Path(path), env, problems):
        for key, value in (values or {}).items():
            tree = placed(tree, key, value, problems)
        for override in overrides:
            tree = overridden(tree, override, problems)
        tree = expanded(tree, env, problems)
        tree = change(tree, ("policy",), lambda node: policy_in_place(node, problems))
        tree = delivered.in_place(tree, problems)
        for part in ("dev", "test"):
            tree = change(
                tree, ("evaluate", "suites", part, "*"), lambda node: suite_in_place(node, env, problems)
            )
        for section in (("data",), ("evaluate", "suites", "*", "*")):
            tree = change(tree, (*section, "sources", "*", "path"), source_in_place)
            tree = change(
                tree, (*section, "sources", "*", "path", "*"), source_in_place
            )  # one for each split
        tree = change(tree, ("evaluate", "suites", "*", "*", "functionalities"), absolute)
        tree = change(
            tree, ("model", "base"), lambda node: absolute(node) if is_folder(str(node.value)) else node
        )
        recipe = build(Recipe, _with_kinds(tree), problems)
        problems += _wrong_names(tree)
    if recipe is None or problems:
        raise InputError(sorted(problems, key=reading_order))
    recipe._origin = Origin(tree)
    return recipe


def suite_in_place(node: Node, env: Env, problems: list[Problem]) -> Node:
    """The suite's own tree in place of its path."""
    tree = read(Path(str(absolute(node).value)), problems, node, "evaluate.suites")
    return expanded(tree, env, problems) if tree else replace(node, broken=True)


def load_suite(path: str | Path, env: Env | None = None) -> Suite:
    """The suite in a file. Raises InputError with every problem found."""
    problems: list[Problem] = []
    suite = None
    if tree := read(Path(path), problems):
        tree = expanded(tree, os.environ if env is None else env, problems)
        tree = change(tree, ("sources", "*", "path"), source_in_place)
        tree = change(tree, ("sources", "*", "path", "*"), source_in_place)
        tree = change(tree, ("functionalities",), absolute)
        suite = build(Suite, tree, problems)
    if suite is None or problems:
        raise InputError(sorted(problems, key=reading_order))
    return suite


def _with_kinds(tree: Node) -> Node:
    """A section that leaves out its `kind` is of the kind it has by default, if that one has all its keys."""
    sections = dict(tree.section())
    for name in ("adapter", "loss"):
        default = Recipe.model_fields[name].default
        stated = tree.section(name)
        if stated and stated.keys() <= type(default).model_fields.keys() - {"kind"}:
            kind = replace(sections[name], value=default.kind)
            sections[name] = replace(sections[name], value={"kind": kind, **stated})
    return replace(tree, value=sections)


def _wrong_names(tree: Node) -> Iterator[Problem]:
    """Names of labels and sources that refer to nothing, or that could not be told apart in a metric's key.

    Asked of the tree, not of the recipe: a wrong name is reported beside a wrong rate, not after it.
    """
    known = tree.section("policy", "labels")

    def wrong(where: str, what: str, label: str) -> Iterator[Problem]:
        if known and label not in known:
            yield Problem(where, f"{what}: the policy has no label '{label}'", "", did_you_mean(label, known))

    for name, described in known.items():
        if not re.fullmatch("[a-z][a-z0-9_]*", name) or name in ("macro", "any", "all"):
            what = f"policy.labels.{name}: the name is part of metric keys, as in test/{name}/auprc"
            expected = "lower-case letters, digits and `_`, a letter first; not macro, any or all"
            yield Problem(described.where, what, expected)

    declared: set[str] = set()
    for name, source in tree.section("data", "sources").items():
        if not re.fullmatch(r"[A-Za-z0-9_-]+", name) or name == "synthetic":
            what = f"data.sources.{name}: the name is part of metric keys, as in test.{name}/macro/auprc"
            yield Problem(source.where, what, "letters, digits, `-` and `_`; not `synthetic`")
        for part, value in source.section("slices").items():
            if not part.strip() or {"/", "="} & {*part}:
                what = f"data.sources.{name}.slices: '{part}' is part of metric keys, as in lang=en"
                yield Problem(value.where, what, "a name without `/` and `=`")
        for label, cell in source.section("labels").items():
            declared.add(label)
            yield from wrong(cell.where, f"data.sources.{name}.labels", label)

    chosen: set[str] = set()
    for item in tree.items("labels"):
        label = str(item.value)
        yield from wrong(item.where, "labels", label)
        if label in chosen:
            yield Problem(item.where, f"labels: '{label}' is named twice", "each label once")
        elif declared and label not in declared and label in known:
            yield Problem(item.where, f"labels: no source declares '{label}'", "a source with this label")
        chosen.add(label)

    metric = tree.get("evaluate", "select", "metric")
    parts = str(metric.value).split("/") if metric else []
    choices = {"macro", *(chosen or declared)}
    if metric and len(parts) == 3 and parts[1] not in choices:
        what = f"evaluate.select.metric: {metric.shown()} is about '{parts[1]}'"
        yield Problem(
            metric.where, what, "macro, or a label that is trained", did_you_mean(parts[1], choices)
        )


# ---- describing ----------------------------------------------------------------------------------------


class _Schema(GenerateJsonSchema):
    def tagged_union_schema(self, schema: Any) -> dict[str, Any]:
        """Any member, not one: a file that leaves `kind` to what it extends may fit several."""
        return {"anyOf": super().tagged_union_schema(schema)["oneOf"]}


def json_schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of a recipe file as it is written: what `extends` brings may be left out."""
    schema = Recipe.model_json_schema(by_alias=True, schema_generator=_Schema)
    for name, part in schema["$defs"].items():
        if name not in ("Policy", "Tier", "Constraint", "Label", "Suite"):
            part.pop("required", None)
    schema.pop("required", None)
    path = {"type": "string", "description": "Path, relative to this file."}
    for part in schema["$defs"]["Suites"]["properties"].values():
        part["items"] = {"anyOf": [path, part["items"]]}
    schema["properties"] |= {
        "extends": {
            "description": "Recipe(s) this one is merged over, the first undermost; lists replace.",
            "anyOf": [path, {"type": "array", "items": path, "minItems": 1}],
        },
        "policy": {
            "description": schema["properties"]["policy"].get("description", ""),
            "anyOf": [path, {"$ref": "#/$defs/Policy"}],
        },
    }
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "teensafe recipe"}
