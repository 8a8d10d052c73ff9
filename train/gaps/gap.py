"""The words of this room: what was trial, what speaks for a cause, what is to be done, and a gap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from train.files import canonical_json, sha256_bytes

Cause = Literal[
    "too_few_positives",
    "too_few_negatives",
    "missing_language",
    "vocabulary",
    "label_noise",
    "one_source",
    "shortcut",
    "obfuscation",
    "threshold_mismatch",
    "hard",
]
Kind = Literal["collect", "relabel", "augment", "change"]


@dataclass(frozen=True)
class Action:
    """One thing to do. rows: how many texts it takes; filter: which ones, in words and as key=value."""

    kind: Kind
    rows: int
    filter: str
    where: dict[str, str]


@dataclass(frozen=True)
class Evidence:
    """A cause that the figures speak for: the statistic, and the threshold it has passed."""

    cause: Cause
    statistic: str
    value: float | None
    threshold: float | None
    says: str
    action: Action


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One figure of one label, in one slice or in all of a set, held against its target.

    slice: `name=value`, None for the whole set; also: other slices that are the very same texts; of: what
    tells apart several figures of one metric and place, such as the perturbation. ci: two-sided 95%; n:
    texts the metric is about (positives for recall, negatives for fpr). stake: share of the texts that it
    is about. shortfall: how far the figure is beyond the target at least, with 95% confidence. p: how
    unlikely the figure is if the target is kept, None where there are too few texts; proven: the target is
    kept with 95% confidence; shared: it is missed, but no worse than outside the slice, so that the whole
    says it; needed: texts that could tell.
    """

    set: str
    label: str
    slice: str | None = None
    also: tuple[str, ...] = ()
    of: str = ""
    metric: str
    value: float | None
    ci: tuple[float, float] | None
    n: int
    positives: int
    target: float
    stake: float
    shortfall: float
    p: float | None
    proven: bool
    shared: bool = False
    needed: int
    told: Evidence | None = None
    """The cause, where the test was made for one."""
    examples: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """Equal for the same weakness of another run, so that it can be followed over time."""
        key = [self.set, self.label, self.slice, self.metric, self.of]
        return sha256_bytes(canonical_json(key).encode())[:8]

    def unmeasured(self) -> dict[str, Any]:
        """As JSON: what is not known, and how many texts could tell."""
        fields = ("set", "label", "slice", "metric", "value", "n", "target", "needed")
        return {"id": self.id, **{name: getattr(self, name) for name in fields}}


@dataclass(frozen=True)
class Gap:
    """A weakness with its likely cause. harm: tier x stake x shortfall, in wrong decisions a text."""

    trial: Trial
    tier: int
    cause: Evidence
    other: tuple[Evidence, ...]

    @property
    def harm(self) -> float:
        return self.tier * self.trial.stake * self.trial.shortfall

    def record(self) -> dict[str, Any]:
        """As JSON: an entry of gaps.json."""
        trial, action = self.trial, self.cause.action
        return {
            "id": trial.id,
            "set": trial.set,
            "label": trial.label,
            "slice": trial.slice,
            "also": list(trial.also),
            "cause": self.cause.cause,
            "metric": trial.metric,
            "value": trial.value,
            "ci": list(trial.ci) if trial.ci else None,
            "n": trial.n,
            "positives": trial.positives,
            "target": trial.target,
            "harm": self.harm,
            "tier": self.tier,
            "prevalence": trial.stake,
            "shortfall": trial.shortfall,
            "p": trial.p,
            "evidence": [_evidence(found) for found in (self.cause, *self.other)],
            "examples": list(trial.examples),
            "action": {
                "kind": action.kind,
                "rows": action.rows,
                "filter": action.filter,
                "where": action.where,
            },
        }


def _evidence(found: Evidence) -> dict[str, Any]:
    fields = ("cause", "statistic", "value", "threshold", "says")
    return {name: getattr(found, name) for name in fields}
