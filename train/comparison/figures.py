"""How two sides differ on one set, figure by figure: their predictions in line go in, flat records come out.

A record: set, label, metric, n, positives, negatives (of macro: labels it is a mean of, and `of` how many
sufficient ones); a and b, the mean of each side's runs; difference
(b - a) with its 95% interval low..high and its 90% interval tost_low..tost_high; p, and p_holm within its
family; relative (b / a - 1) and, of rates, Cohen's h (the difference of 2 arcsin sqrt), both with intervals;
of two single runs' rates: only_a, only_b (texts that only one of them flags) and McNemar's p; outcome.

The rates of two single runs are asked twice and the more cautious answer counts: resamples know that texts
come in groups, the score interval and McNemar's test are right for rare events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from train.comparison.estimate import Estimate, Interval, estimate
from train.comparison.paired import holm, mcnemar, paired_interval
from train.evaluation import records
from train.evaluation.intervals import ENOUGH_GROUPS, groups_behind, resampled
from train.evaluation.metrics import Bools, Floats, allowed, decided, harmful, measure
from train.evaluation.predictions import Predictions
from train.evaluation.records import Record
from train.evaluation.slices import ANALYSES, MOST_VALUES

LEVEL = 0.95
MARGIN = 0.01
"""Sides closer than this are equivalent: if the 90% interval lies within it, by two one-sided tests at 5%
(Schuirmann 1987)."""
FEWEST_GROUPS = 5
"""A label whose positives (or negatives) come from fewer groups is in no macro figure. Alone it needs
ENOUGH_GROUPS for an interval; so does the macro figure, of all its labels' positives together (simulated: of
ten labels of ten groups each, macro AUPRC's interval covered in 95% of 150 draws)."""
AREAS, RATES = ("auprc", "auroc", "f1"), ("recall", "fpr")
LOWER_IS_BETTER = ("fpr",)
PRIMARY = ("macro", "auprc")
"""The figure a set's verdict rests on; it is no member of the family of the set's other figures."""

Outcome = Literal["better", "worse", "equivalent", "open", "insufficient"]
Parts = Sequence[Predictions]  # a run each, rows in line
Sides = tuple[Floats, Floats, Floats, Floats]  # figures and resamples, as `estimate` takes them


def differences(a: Parts, b: Parts, name: str, of_recipes: bool) -> list[Record]:
    """Of each label, `any` and `macro` of set `name`; Holm's family is the set but for PRIMARY."""
    found = compared(a, b, name, of_recipes)
    _judge([r for r in found if (r["label"], r["metric"]) == PRIMARY])
    _judge([r for r in found if (r["label"], r["metric"]) != PRIMARY])
    return found


def slice_differences(a: Parts, b: Parts, name: str, of_recipes: bool) -> list[Record]:
    """Recall and FPR by slice value, as records with `slice` and `value`; Holm's family is a slice of a set.

    Slices are those of the first run. Left out: slices of one value or of more than MOST_VALUES, and what
    rests on too few texts.
    """
    found: list[Record] = []
    for slice_, column in a[0].slices.items():
        values = sorted({value for value in column if value is not None})
        if slice_ in ANALYSES or not 1 < len(values) <= MOST_VALUES:
            continue
        family = []
        for value in values:
            rows = np.asarray(column == value)
            one, other = ([part.select(rows) for part in side] for side in (a, b))
            of_value = compared(one, other, name, of_recipes, ranked=False)
            family += [
                {"slice": slice_, "value": value, **record}
                for record in of_value
                if record["metric"] in RATES and record["a"] is not None
            ]
        _judge(family)
        found += family
    return found


def compared(a: Parts, b: Parts, name: str, of_recipes: bool, ranked: bool = True) -> list[Record]:
    """The records of set `name` but for p_holm and outcome. ranked: False leaves out what ranks."""
    runs = [_measured(part, name) for part in (*a, *b)]
    drawn = [resampled(part, ranked=ranked, enough_groups=FEWEST_GROUPS) for part in (*a, *b)]
    behind = groups_behind(a[0])
    if ranked:
        behind["macro/f1"] = _add_macro(a[0], runs, drawn)
    found = []
    for label, metric, counts in _asked(runs[0], ranked):
        figure, values = (label, metric), [run[label][metric] for run in runs]
        enough = behind[f"{label}/{metric if metric in RATES else 'f1'}"] >= ENOUGH_GROUPS
        draws = [draw.get(f"{label}/{metric}") if enough else None for draw in drawn]
        record: Record = {"set": name, "label": label, "metric": metric, **counts}
        found.append(record | _compared(values, draws, (a, b), figure, of_recipes))
    return found


def _compared(
    values: Sequence[float | None],
    draws: Sequence[Floats | None],
    sides: tuple[Parts, Parts],
    figure: tuple[str, str],
    of_recipes: bool,
) -> Record:
    """One figure of all runs: what can be said of it, all keys present."""
    record, known = _nothing(), [value for value in values if value is not None]
    if len(known) < len(values):
        return record
    first = len(sides[0])
    a, b = np.array(known[:first]), np.array(known[first:])
    record |= {"a": float(a.mean()), "b": float(b.mean()), "difference": float(b.mean() - a.mean())}
    some = [draw for draw in draws if draw is not None]
    if len(some) < len(draws):
        return record
    record |= _sure((a, b, np.array(some[:first]), np.array(some[first:])), of_recipes, figure[1])
    if figure[1] in RATES and len(values) == 2:
        record |= _cautious(record, *(flags(side[0], *figure) for side in sides))
    return record


def _measured(part: Predictions, name: str) -> dict[str, Record]:
    """By label: its figures, None where there are too few texts."""
    figures = measure(part, name)
    found = {record["label"]: record for record in records.by_label(figures, {}, name)}
    return found | {"any": records.any_flag(figures, {}, name), "macro": records.macro(figures, {}, name)}


def _add_macro(
    part: Predictions, runs: Sequence[dict[str, Record]], drawn: Sequence[dict[str, Floats]]
) -> int:
    """Macro figures over the sufficient labels that have resamples, put into runs and drawn; how many groups
    their positives come from.

    `measure`'s macro may hold labels of fewer groups than that, of whose share nobody can say how sure it is.
    """
    sufficient = [name for name in part.labels if runs[0].get(name, {}).get("sufficient")]
    labels = [
        name for name in sufficient if all(f"{name}/{metric}" in draw for draw in drawn for metric in AREAS)
    ]
    for run, draw in zip(runs, drawn, strict=True):
        run["macro"] |= {"labels": len(labels or sufficient), "of": len(sufficient)}
        for metric in AREAS if labels else ():
            run["macro"][metric] = float(np.mean([run[name][metric] for name in labels]))
            draw[f"macro/{metric}"] = np.mean([draw[f"{name}/{metric}"] for name in labels], axis=0)
    positive = part.targets[:, [part.labels.index(name) for name in labels]] > 0.5
    return len(np.unique(part.group[positive.any(axis=1)]))


def _asked(run: Mapping[str, Record], ranked: bool) -> Iterable[tuple[str, str, dict[str, int | None]]]:
    """(label, metric, counts) of each figure to compare, macro first."""
    keys = ("n", "positives", "negatives", "labels", "of")
    for label in ("macro", *(label for label in run if label != "macro")):
        metrics = (*AREAS * (ranked and label != "any"), *RATES * (label != "macro"))
        for metric in metrics:
            yield label, metric, {key: run[label].get(key) for key in keys}


def _nothing() -> Record:
    ends = ("low", "high", "tost_low", "tost_high", "p", "only_a", "only_b", "mcnemar")
    effects = [f"{kind}{end}" for kind in ("relative", "h") for end in ("", "_low", "_high")]
    return dict.fromkeys(("a", "b", "difference", *ends, *effects))


def _sure(sides: Sides, of_recipes: bool, metric: str) -> Record:
    """Intervals, p and effect sizes; sides: as `estimate` takes them."""
    a, b, drawn_a, drawn_b = sides
    plain = estimate(a, b, drawn_a, drawn_b, of_recipes)
    if plain is None:
        return {}
    found = _ends("", plain.interval(LEVEL)) | _ends("tost_", plain.interval(2 * LEVEL - 1))
    found["p"] = plain.p()
    found |= _effect("relative", _changed(sides, np.log, of_recipes), np.expm1)
    if metric in RATES:
        found |= _effect("h", _changed(sides, lambda rate: 2 * np.arcsin(np.sqrt(rate)), of_recipes))
    return found


def _changed(sides: Sides, by: Callable[[Floats], Floats], of_recipes: bool) -> Estimate | None:
    """The estimate on another scale; None where a figure has no place on it, as 0 has no logarithm."""
    with np.errstate(divide="ignore"):
        a, b, drawn_a, drawn_b = (by(values) for values in sides)
    if any(np.isneginf(values).any() for values in (a, b, drawn_a, drawn_b)):
        return None
    return estimate(a, b, drawn_a, drawn_b, of_recipes)


def _effect(kind: str, found: Estimate | None, back: Callable[[Any], Any] = lambda value: value) -> Record:
    if found is None:
        return {}
    ends = found.interval(LEVEL)
    return {kind: float(back(found.value))} | _ends(
        f"{kind}_", ends and (float(back(ends[0])), float(back(ends[1])))
    )


def _ends(kind: str, ends: Interval | None) -> Record:
    low, high = ends or (None, None)
    return {f"{kind}low": low, f"{kind}high": high}


def _cautious(record: Record, flag_a: Bools, flag_b: Bools) -> Record:
    """A rate of two single runs, less sure where the exact answer is; flags as `flags` gives them."""
    only_a, only_b = int((flag_a & ~flag_b).sum()), int((flag_b & ~flag_a).sum())
    p = mcnemar(only_a, only_b)
    found = {"only_a": only_a, "only_b": only_b, "mcnemar": p, "p": max(p, record["p"] or 0.0)}
    for kind, level in (("", LEVEL), ("tost_", 2 * LEVEL - 1)):
        low, high = paired_interval(only_a, only_b, len(flag_a), level)
        was = [end for end in (record[f"{kind}low"], record[f"{kind}high"]) if end is not None]
        found |= _ends(kind, (min([low, *was]), max([high, *was])))
    return found


def flags(part: Predictions, label: str, metric: str) -> Bools:
    """The flags of the texts that rate `metric` of `label` is a share of [m]."""
    if label == "any":
        rows, flagged = harmful(part) if metric == "recall" else allowed(part)
        return flagged[rows]
    target = part.targets[:, part.labels.index(label)]
    rows = decided(target) & ((target > 0.5) == (metric == "recall"))
    return part.flags[rows, part.labels.index(label)]


def _judge(family: Sequence[Record]) -> None:
    """p_holm and outcome of the records of one family, in place."""
    tested = [record for record in family if record["p"] is not None]
    for record in family:
        record["p_holm"] = None
    for record, p in zip(tested, holm([record["p"] for record in tested]), strict=True):
        record["p_holm"] = p
    for record in family:
        record["outcome"] = outcome(record)


def outcome(record: Mapping[str, Any]) -> Outcome:
    """What a record says of side B."""
    if record["a"] is None:
        return "insufficient"
    if record["low"] is None:
        return "open"
    if record["p_holm"] < 1 - LEVEL:
        lower = record["metric"] in LOWER_IS_BETTER
        return "better" if (record["difference"] < 0) == lower else "worse"
    return "equivalent" if within_margin(record) else "open"


def within_margin(record: Mapping[str, Any]) -> bool:
    """Whether the sides are shown to differ by less than MARGIN, however surely they differ at all."""
    low, high = record["tost_low"], record["tost_high"]
    return low is not None and low > -MARGIN and high < MARGIN
