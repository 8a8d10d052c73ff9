"""The taxonomy as an object: labels, what they mean, what they do not, and how cautious each must be."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from train.spec import Spec

ESCALATED = 3
"""The gravest tier: what carries it goes to people who know what to do, and nowhere without a word."""


class Tier(Spec):
    """What happens to content: 0 allow, 1 restrict for teens, 2 remove, 3 escalate."""

    name: str
    covers: str
    """What content of this tier is, in words a policy reader uses."""


class Constraint(Spec):
    """What a label's operating point must hold on data it was not fitted on; exactly one of the three."""

    max_fpr: float | None = Field(default=None, gt=0, lt=1)
    """At most this share of allowed texts may be flagged."""
    min_recall: float | None = Field(default=None, gt=0, lt=1)
    """At least this share of harmful texts must be flagged."""
    min_precision: float | None = Field(default=None, gt=0, lt=1)
    """At least this share of flagged texts must be harmful, where texts arrive at `prevalence`."""
    prevalence: float | None = Field(default=None, gt=0, lt=1)
    """Share of the texts on your platform that carry the label; goes with `min_precision`, which depends on
    it: data to test with hold far more harm."""

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        if [self.max_fpr, self.min_recall, self.min_precision].count(None) != 2:
            raise ValueError("say exactly one of max_fpr, min_recall and min_precision")
        if (self.prevalence is None) != (self.min_precision is None):
            raise ValueError(
                "min_precision and prevalence go together: {min_precision: 0.5, prevalence: 0.01}"
            )
        if self.min_precision is not None and self.min_precision <= self.prevalence:  # type: ignore[operator]
            raise ValueError("min_precision must be above prevalence, which flagging every text would reach")
        return self

    def __str__(self) -> str:
        if self.max_fpr is not None:
            return f"fpr <= {self.max_fpr:g}"
        if self.min_recall is not None:
            return f"recall >= {self.min_recall:g}"
        return f"precision >= {self.min_precision:g} at prevalence {self.prevalence:g}"


class Label(Spec):
    title: str
    definition: str
    """What carries this label."""
    excludes: tuple[str, ...] = Field(min_length=1)
    """What does not, though it looks alike: education, recovery, news, counterspeech, idiom."""
    tier: Literal[1, 2, 3]
    """Default tier of content with this label; allowed (tier 0) content does not carry it."""
    constraint: Constraint
    codes: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Codes of this label in the policy's taxonomies."""


class Policy(Spec):
    schema_: Literal[1] = Field(alias="schema")
    name: str
    version: str = Field(pattern=r"^\d+\.\d+\.\d+$")
    """MAJOR.MINOR.PATCH, such as 1.2.0."""
    description: str
    tiers: dict[int, Tier]
    taxonomies: dict[str, str]
    """Public taxonomy -> what it is and where it is published."""
    labels: dict[str, Label] = Field(min_length=1)
    """By name: lower-case letters, digits and `_`; metric keys hold it, so not macro, any or all."""
    gates: tuple[str, ...] = ()
    """What every model under this policy has to keep, as a recipe's `evaluate.gates` says it."""

    @model_validator(mode="after")
    def _refers_to_what_it_defines(self) -> Self:
        if set(self.tiers) != {0, 1, 2, 3}:
            raise ValueError(f"tiers must be 0, 1, 2 and 3, not {sorted(self.tiers)}")
        for name, label in self.labels.items():
            if unknown := sorted(set(label.codes) - set(self.taxonomies)):
                raise ValueError(f"label {name} has codes of {unknown}, which `taxonomies` does not list")
        return self
