"""What a regulator asks: how a set's texts fare under each duty of the UK Online Safety Act and at each tier.

A label's codes say what its texts may be, not that each of them is: whether a threat is a crime, say, is for
people to decide. A text carries a duty where one of the labels that serve it holds.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from train.evaluation.measured import Bounds, Figures, Measured, share, told
from train.evaluation.metrics import ENOUGH, allowed, harmful
from train.evaluation.predictions import Predictions
from train.policy import Policy

TAXONOMY = "uk_osa"
KINDS = ("illegal", "primary-priority", "priority", "non-designated")
"""Of duties, gravest first: what stands before the colon of a code."""

Outcome = Literal["measured", "in part", "insufficient", "not measured", "not trained"]


@dataclass(frozen=True)
class Duty:
    """One code of the policy and how far a model's test answers for it.

    labels: those that serve it; trained: those of them that the model has. positives, negatives: texts of the
    set that carry it, and texts known to be allowed under the trained labels.
    """

    code: str
    labels: tuple[str, ...]
    trained: tuple[str, ...]
    positives: int
    negatives: int

    @property
    def outcome(self) -> Outcome:
        """in part: measured, but a label that serves it is not trained; insufficient: under 30 positives;
        not measured: of no text is it known whether it carries the duty."""
        if not self.trained:
            return "not trained"
        if self.positives + self.negatives == 0:
            return "not measured"
        if self.positives < ENOUGH:
            return "insufficient"
        return "measured" if len(self.trained) == len(self.labels) else "in part"


def by_duty(predictions: Predictions, policy: Policy, name: str) -> tuple[Figures, Bounds]:
    """Figures and 95% intervals under `<name>/duty:<kind>/<metric>` and `<name>/tier:<tier>/<metric>`: n,
    positives, negatives, recall, fpr. One that no label with a known cell serves has no key: see `duties`.

    A text is positive where a label of the duty holds, and found if any label of the duty flags it, be it
    another than the one that holds: the duty is done. It is negative where all its known cells of these
    labels are, at least one, and wrongly flagged in a known one; a flag in an unknown cell may be right.
    """
    figures: Figures = {}
    measured: dict[str, Measured] = {}
    for part, labels in _served(policy).items():
        of = _only(predictions, labels)
        (fair, wrongly), (harm, _) = allowed(of), harmful(of)
        positives, negatives = np.flatnonzero(harm), np.flatnonzero(fair)
        if not len(positives) + len(negatives):
            continue
        key = f"{name}/{part}"
        counts = {"positives": len(positives), "negatives": len(negatives)}
        figures |= {f"{key}/{metric}": n for metric, n in counts.items()}
        figures[f"{key}/n"] = sum(counts.values())
        measured[f"{key}/recall"] = share(positives, np.asarray(of.flags.any(axis=1)))
        measured[f"{key}/fpr"] = share(negatives, wrongly)
    values, bounds = told(measured, predictions.group)
    return figures | values, bounds


def duties(predictions: Predictions, policy: Policy) -> list[Duty]:
    """Every duty the policy has a code for, gravest kind first, with what this set says of it."""
    served: dict[str, list[str]] = {}
    for name, label in policy.labels.items():
        for code in label.codes.get(TAXONOMY, ()):
            served.setdefault(code, []).append(name)
    found = []
    for code in sorted(served, key=_gravest_first):
        of = _only(predictions, served[code])
        positives, negatives = (int(rows.sum()) for rows in (harmful(of)[0], allowed(of)[0]))
        found.append(Duty(code, tuple(served[code]), of.labels, positives, negatives))
    return found


def _served(policy: Policy) -> dict[str, set[str]]:
    """`duty:<kind>` and `tier:<tier>` -> labels, gravest first."""
    found: dict[str, set[str]] = {}
    for name, label in policy.labels.items():
        kinds = {code.partition(":")[0] for code in label.codes.get(TAXONOMY, ())}
        for part in (*(f"duty:{kind}" for kind in kinds), f"tier:{label.tier}"):
            found.setdefault(part, set()).add(name)
    order = [f"duty:{kind}" for kind in KINDS] + [
        f"tier:{tier}" for tier in sorted(policy.tiers, reverse=True)
    ]
    known = [part for part in order if part in found]
    return {part: found[part] for part in (*known, *sorted(found.keys() - set(known)))}


def _gravest_first(code: str) -> tuple[int, str]:
    kind = code.partition(":")[0]
    return (KINDS.index(kind) if kind in KINDS else len(KINDS), code)


def _only(predictions: Predictions, labels: Collection[str]) -> Predictions:
    """The same texts with these of their labels."""
    columns = [j for j, label in enumerate(predictions.labels) if label in labels]
    return replace(
        predictions,
        labels=tuple(predictions.labels[j] for j in columns),
        targets=predictions.targets[:, columns],
        scores=predictions.scores[:, columns],
        flags=predictions.flags[:, columns],
    )
