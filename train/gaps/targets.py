"""What a label must reach, as a small table: the policy's constraint, and floors where the policy has none.

| policy says | figure | whole set                | a slice                               |
|-------------|--------|--------------------------|---------------------------------------|
| max_fpr     | fpr    | at most max_fpr          | at most max_fpr                       |
| max_fpr     | recall | at least RECALL_FLOOR    | at least OF_REST x recall of the rest |
| min_recall  | recall | at least min_recall      | at least min_recall                   |
| min_recall  | fpr    | at most FPR_CEILING      | at most FPR_CEILING                   |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from train.policy import Constraint

RECALL_FLOOR = 0.5
"""A label that misses more than half of what it exists for has not been learned, whatever its FPR."""
OF_REST = 0.8
"""A slice may reach four fifths of the recall of all other texts: the rule of thumb for disparate impact
(US Uniform Guidelines on Employee Selection Procedures, 1978, 29 CFR 1607.4 D)."""
FPR_CEILING = 0.1
"""More than one allowed text in ten flagged is more than reviewers can look through."""
LARGEST_CHANGE = 0.1
"""What a disguise, or a word that means nothing, may change: one decision in ten."""

Metric = Literal["recall", "fpr"]


@dataclass(frozen=True)
class Target:
    """at: the limit or the floor itself; None: OF_REST times the recall outside the slice."""

    metric: Metric
    at: float | None


def targets(constraint: Constraint, whole: bool) -> tuple[Target, Target]:
    """Of recall and of fpr, for the whole set or for a slice of it."""
    if constraint.max_fpr is not None:
        return Target("recall", RECALL_FLOOR if whole else None), Target("fpr", constraint.max_fpr)
    return Target("recall", constraint.min_recall), Target("fpr", FPR_CEILING)
