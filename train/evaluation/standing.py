"""Does an operating point keep its constraint on texts it was not fitted on? A label's record goes in.

Two bounds are asked and the more cautious one counts. The interval of `intervals` knows that texts come in
groups, but runs narrow for rare events; the exact binomial bound (Clopper & Pearson 1934, one-sided 95%) is
right for rare events, but takes the texts as independent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from train.evaluation.intervals import clopper_pearson
from train.policy import Constraint

LEVEL = 0.95

Outcome = Literal["holds", "broken", "open"]


@dataclass(frozen=True)
class Standing:
    """How a label stands to its constraint on one set.

    outcome: "holds" (the bound keeps the limit), "broken" (even the opposite bound is beyond it) or "open"
    (neither: too few texts to tell). metric: "fpr" or "recall", a share of n texts. low, high: the true rate
    is above low with 95% confidence, and below high with 95%; None where there is no interval, value too
    where nothing was measured.
    """

    label: str
    outcome: Outcome
    metric: Literal["fpr", "recall"]
    limit: float
    n: int
    value: float | None
    low: float | None
    high: float | None


def standing(record: Mapping[str, Any], constraint: Constraint) -> Standing:
    """Of one record of `records.by_label` whose flags were made at the operating point."""
    metric: Literal["fpr", "recall"] = "recall" if constraint.max_fpr is None else "fpr"
    limit = constraint.max_fpr if constraint.max_fpr is not None else constraint.min_recall
    assert limit is not None
    n = record["negatives" if metric == "fpr" else "positives"]
    value, low, high = (record[key] for key in (metric, f"{metric}_low", f"{metric}_high"))
    if value is None or low is None:
        return Standing(record["label"], "open", metric, limit, n, value, None, None)
    exact = clopper_pearson(round(value * n), n, 2 * LEVEL - 1)
    low, high = min(low, exact[0]), max(high, exact[1])
    holds, broken = (high <= limit, low > limit) if metric == "fpr" else (low >= limit, high < limit)
    outcome: Outcome = "holds" if holds else "broken" if broken else "open"
    return Standing(record["label"], outcome, metric, limit, n, value, low, high)
