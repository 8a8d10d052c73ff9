"""A curation file: sources in, the whole way to a delivery, said in one YAML file with a section a stage."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from train.curation.audit import Audit
from train.curation.augmentation import Augment
from train.curation.clean import Clean
from train.curation.contract import Contract
from train.curation.duplicates import Dedup
from train.curation.gather import Gathered
from train.curation.labelling.spec import Labelling
from train.curation.language import Language
from train.curation.people.aggregate import People
from train.curation.personal.scrub import Scrub
from train.curation.production import Produce
from train.curation.selection import Select
from train.curation.splits import Thinning
from train.data.delivered import NAMED
from train.document import Node, build, change, did_you_mean, read
from train.errors import InputError, Problem
from train.policy import ESCALATED, Policy
from train.recipe import suite_in_place
from train.spec import Spec
from train.stated import (
    Env,
    absolute,
    expanded,
    policy_in_place,
    reading_order,
    source_in_place,
    with_parents,
)
from train.suites.suite import Suite
from train.tracking.wandb_log import Tracking

MADE = "-augmented"
"""What is put behind a source's name for the part with the rows that were made of it."""


class Curation(Spec):
    """One delivery, said in full."""

    schema_: Literal[1] = Field(alias="schema")
    """Version of the format: 1."""
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=100)
    """Of the delivery: lower-case letters, digits, `-`, `_` and `.`."""
    version: str = Field(pattern=r"^\d+\.\d+\.\d+$")
    """Of the delivery: MAJOR.MINOR.PATCH. Raise it when anything changes; a delivery is never replaced."""
    previous: str | None = None
    """NAME@VERSION in the same folder that this one follows: what changed is told, and its test rows stay
    test rows. `none`: it follows none of those there."""
    about: str
    """What it is for, in a sentence that the card opens with."""
    policy: Policy
    """Path of the policy file, or the policy itself."""
    contract: Contract
    """Path of the standard that the delivery keeps, or the standard itself."""
    data: Gathered
    """The sources, what they say of the labels, and how they are split."""
    suites: tuple[Suite, ...] = ()
    """Test suites that no training row may be near: paths of suite files, or the suites themselves."""
    clean: Clean = Clean()
    language: Language = Language()
    scrub: Scrub = Scrub()
    dedup: Dedup = Dedup()
    people: People = People()
    """How votes that `teensafe data agree --votes` brought become cells."""
    label: Labelling | None = None
    """Language models that fill cells nobody knows; default: none is asked."""
    audit: Audit | None = Audit()
    """Cells whose label looks wrong; null: none are looked for."""
    produce: Produce | None = None
    """Allowed texts that look alike harm, written by a language model; `teensafe data produce` alone asks."""
    augment: Augment | None = None
    """Training rows made again in disguise or with typos, as parts of their own; default: none is made."""
    select: Select | None = None
    """Rows that people should label next; default: no queue is made."""
    thin: Thinning = "exact"
    """Of duplicates within a source the first stays: exact, near, or none (all stay)."""

    track: Tracking = Tracking()
    """What is told to Weights & Biases of a delivery: manifest, card and hashes, no row."""

    @model_validator(mode="after")
    def _refers_to_what_there_is(self) -> Self:
        if mistakes := [*self._unknown()]:
            raise ValueError("; ".join(mistakes))
        return self

    def _unknown(self) -> Iterator[str]:
        known = self.policy.labels
        asked = [
            (f"data.sources.{n}.labels", label) for n, s in self.data.sources.items() for label in s.labels
        ]
        asked += [("contract.required", required.label) for required in self.contract.required]
        asked += [("contract.alpha", label) for label in self.contract.alpha]
        asked += [
            ("produce.labels", label) for label in (self.produce.labels if self.produce else None) or ()
        ]
        asked += [("label.labels", label) for label in (self.label.labels if self.label else None) or ()]
        for label in (self.produce.labels if self.produce else None) or ():
            if label in known and known[label].tier == ESCALATED:
                yield f"produce.labels: '{label}' is of tier 3, of which nothing is written"
        for quota in self.select.quotas if self.select else ():
            for name in quota.where.keys() - {*self.data.slices}:
                yield f"select.quotas: no source has a slice '{name}'"
        for where, label in asked:
            if label not in known:
                hint = did_you_mean(label, known)
                yield f"{where}: the policy has no label '{label}'{f'; {hint}' if hint else ''}"

    @model_validator(mode="after")
    def _follows_itself(self) -> Self:
        if self.augment and (taken := [name for name in self.data.sources if name.endswith(MADE)]):
            raise ValueError(f"data.sources.{taken[0]}: what `augment` makes of a source is called so")
        if self.follows is not None and not NAMED.fullmatch(self.follows):
            what = f"previous: '{self.previous}' is not NAME@VERSION, such as public@1.0.0"
            raise ValueError(f"{what}, nor `none`")
        if self.previous == self.full_name:
            raise ValueError("previous: is the version itself; raise `version`")
        return self

    @property
    def follows(self) -> str | None:
        """NAME@VERSION of the version before."""
        return None if self.previous == "none" else self.previous

    @property
    def full_name(self) -> str:
        return f"{self.name}@{self.version}"


def load(path: str | Path, env: Env | None = None) -> Curation:
    """The curation in a file, with all it extends and `${env:...}` applied. Raises InputError with every
    problem found."""
    env = os.environ if env is None else env
    problems: list[Problem] = []
    curation = None
    if tree := with_parents(Path(path), env, problems):
        tree = expanded(tree, env, problems)
        tree = change(tree, ("policy",), lambda node: policy_in_place(node, problems))
        tree = change(tree, ("contract",), lambda node: _contract_in_place(node, problems))
        tree = change(tree, ("suites", "*"), lambda node: suite_in_place(node, env, problems))
        for place in (("data",), ("suites", "*")):
            tree = change(tree, (*place, "sources", "*", "path"), source_in_place)
            tree = change(tree, (*place, "sources", "*", "path", "*"), source_in_place)
        tree = change(tree, ("suites", "*", "functionalities"), absolute)
        curation = build(Curation, tree, problems)
    if curation is None or problems:
        raise InputError(sorted(problems, key=reading_order))
    return curation


def _contract_in_place(node: Node, problems: list[Problem]) -> Node:
    if not isinstance(node.value, str):
        return node
    return read(Path(str(absolute(node).value)), problems, node, "contract") or node
