"""Does an operating point keep its constraint on texts it was not fitted on? A label's record goes in.

Two bounds are asked and the more cautious one counts. The interval of `intervals` knows that texts come in
groups, but runs narrow for rare events; the exact binomial bound (Clopper & Pearson 1934, one-sided 95%) is
right for rare events, but takes the texts as independent. Precision where texts arrive at a stated prevalence
follows from recall and false positive rate: a bound of 97.5% of each gives one of 95%.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from train.evaluation.intervals import clopper_pearson
from train.evaluation.metrics import precision_at
from train.policy import Constraint

LEVEL = 0.95

Outcome = Literal["holds", "broken", "open"]
Metric = Literal["fpr", "recall", "precision"]
Rate = tuple[float | None, float | None, float | None]  # value, low, high


@dataclass(frozen=True)
class Standing:
    """How a label stands to its constraint on one set.

    outcome: "holds" (the bound keeps the limit), "broken" (even the opposite bound is beyond it) or "open"
    (neither: too few texts to tell). metric: "fpr" or "recall", a share of n texts, or "precision" at
    `prevalence`, of n texts in all. low, high: the true rate is above low with 95% confidence, and below high
    with 95%; None where there is no interval, value too where nothing was measured.
    """

    label: str
    outcome: Outcome
    metric: Metric
    limit: float
    n: int
    value: float | None
    low: float | None
    high: float | None
    prevalence: float | None = None


def standing(record: Mapping[str, Any], constraint: Constraint) -> Standing:
    """Of one record of `records.by_label` whose flags were made at the operating point."""
    if constraint.max_fpr is not None:
        n = record["negatives"]
        return _stands(record["label"], "fpr", constraint.max_fpr, n, _rate(record, "fpr", n, 2 * LEVEL - 1))
    if constraint.min_recall is not None:
        n = record["positives"]
        rate = _rate(record, "recall", n, 2 * LEVEL - 1)
        return _stands(record["label"], "recall", constraint.min_recall, n, rate)
    assert constraint.min_precision is not None and constraint.prevalence is not None
    recall = _rate(record, "recall", record["positives"], LEVEL)
    fpr = _rate(record, "fpr", record["negatives"], LEVEL)
    n = record["positives"] + record["negatives"]
    precision = _precision(constraint.prevalence, recall, fpr)
    return _stands(
        record["label"], "precision", constraint.min_precision, n, precision, constraint.prevalence
    )


def _stands(
    label: str, metric: Metric, limit: float, n: int, rate: Rate, prevalence: float | None = None
) -> Standing:
    value, low, high = rate
    outcome: Outcome = "open"
    if low is not None and high is not None:
        holds, broken = (high <= limit, low > limit) if metric == "fpr" else (low >= limit, high < limit)
        outcome = "holds" if holds else "broken" if broken else "open"
    return Standing(label, outcome, metric, limit, n, value, low, high, prevalence)


def _rate(record: Mapping[str, Any], metric: str, n: int, level: float) -> Rate:
    """A share of n texts and the wider of its two intervals; `level` is the exact one's, two-sided."""
    value, low, high = (record[key] for key in (metric, f"{metric}_low", f"{metric}_high"))
    if value is None or low is None:
        return value, None, None
    exact = clopper_pearson(round(value * n), n, level)
    return value, min(low, exact[0]), max(high, exact[1])


def _precision(prevalence: float, recall: Rate, fpr: Rate) -> Rate:
    """Least where recall is least and the false positive rate greatest, and the other way about."""
    value, low, high = (
        None if r is None or f is None or r + f == 0 else float(precision_at(prevalence, r, f))
        for r, f in zip(recall, (fpr[0], fpr[2], fpr[1]), strict=True)
    )
    return (value, low, high) if value is not None else (None, None, None)
