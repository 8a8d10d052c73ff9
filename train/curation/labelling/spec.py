"""Who is asked, about what, for how much, and how good it has to be (the section `label` of a curation
file)."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from train.llm.ledger import Budget
from train.llm.prompt import Form
from train.spec import Seed, Spec


class Labeller(Spec):
    """A model behind an OpenAI-compatible endpoint."""

    endpoint: str = Field(pattern=r"^https?://[^/\s]")
    """Its address, such as http://127.0.0.1:8080/v1."""
    model: str
    """The name that it goes by there."""
    key_env: str = "OPENAI_API_KEY"
    """The variable that holds the endpoint's key; one on this machine can do without."""
    form: Literal["auto"] | Form = "auto"
    """yes-no: the score is read from log-probabilities; percent: the model states a number; auto: yes-no
    where the endpoint gives log-probabilities, which is asked once, else percent."""
    samples: int = Field(default=1, ge=1, le=32)
    """Answers to each text, whose log-odds are averaged."""
    temperature: float = Field(default=0, ge=0, le=2)
    """At which samples are drawn; 0 gives the same answer each time."""
    send_escalated: bool = False
    """Whether texts that a tier-3 label holds for, or may hold for, leave this machine for it."""

    @model_validator(mode="after")
    def _samples_differ(self) -> Self:
        if self.samples > 1 and not self.temperature:
            raise ValueError("samples: at temperature 0 all answers are one; say a temperature, such as 0.7")
        return self


class Acceptance(Spec):
    """How well verdicts have to agree with people's cells of a label before they may fill unknown ones: the
    least lower bounds, each one-sided at 95%, out of fold."""

    precision: float = Field(default=0.7, ge=0, le=1)
    """Of texts that the verdict calls positive, the share that are."""
    recall: float = Field(default=0.5, ge=0, le=1)
    """Of positive texts, the share that the verdict finds."""


class Labelling(Spec):
    """Language models that fill cells nobody knows."""

    labellers: dict[str, Labeller] = Field(min_length=1)
    """By a name of yours."""
    labels: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Labels that are asked for; default: all that sources speak of."""
    rows: int = Field(default=1000, ge=1)
    """Real training rows with an unknown cell that are asked about, drawn by (seed, id); after the gold rows,
    and only of a labeller that was accepted for some label."""
    gold: int = Field(default=100, ge=30)
    """Positive and negative real rows of dev and calibration that people labelled, of each label, to judge
    by."""
    seed: Seed = 1
    at_once: int = Field(default=4, ge=1, le=256)
    """Requests in flight."""
    budget: Budget
    """What all labellers together may spend, over all runs of the build."""
    accept: Acceptance = Acceptance()
