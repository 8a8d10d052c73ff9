"""Keyed figures as records, one a label or one a slice value: what tables, pages and W&B show.

A figure that rests on fewer than ENOUGH positives or negatives is None here, and `sufficient` says why.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from train.evaluation.metrics import ENOUGH
from train.evaluation.slices import ANALYSES

Record = dict[str, Any]
Intervals = Mapping[str, Any]  # key -> (low, high)

# these need positives and negatives
_OF_BOTH = (
    "auprc",
    "auroc",
    "auroc_within",
    "f1",
    "precision",
    "brier",
    "ece",
)
_WITH_INTERVAL = ("auprc", "auroc", "auroc_within", "f1", "precision", "brier", "recall", "fpr")


def shown(sets: Iterable[str]) -> list[str]:
    """The sets worth showing: those of single sources only where there are several of a kind, and of a suite
    none."""
    names = list(dict.fromkeys(sets))
    whole = [name for name in names if is_whole(name)]
    single = [name for name in names if name not in whole and not name.startswith("suite.")]
    parts = {kind: [name for name in single if is_synthetic(name) == kind] for kind in (False, True)}
    return [*whole, *(name for found in parts.values() if len(found) > 1 for name in found)]


def is_synthetic(name: str) -> bool:
    """Does set `name` hold synthetic rows?"""
    return ".synthetic" in name


def is_whole(name: str) -> bool:
    """All real rows or all synthetic rows of a split, or all of a suite; not those of a single source."""
    return name.removeprefix("suite.").removesuffix(".synthetic").count(".") == 0


def by_label(figures: Mapping[str, Any], intervals: Intervals, name: str) -> list[Record]:
    """A record for each label of set `name`, in the order of the figures: set, label, n, positives,
    negatives, prevalence, sufficient, and each metric with its `_low` and `_high`."""
    keys = [key.split("/") for key in figures if key.startswith(f"{name}/") and key.endswith("/positives")]
    labels = [key[1] for key in keys if len(key) == 3 and key[1] != "any" and ":" not in key[1]]
    return [_record(figures, intervals, name, label, "") for label in labels]


def of_several_sources(records: Iterable[Record]) -> bool:
    """Whether AUROC within sources says what AUROC does not: for one source they are the same."""
    return any(
        record["sufficient"]
        and (record["auroc_within"] is None or abs(record["auroc_within"] - record["auroc"]) > 1e-9)
        for record in records
    )


def by_slice(figures: Mapping[str, Any], intervals: Intervals, name: str) -> list[Record]:
    """A record for each slice value and label of set `name`: as `by_label`, with slice and value.

    `any` is the share of allowed texts with any flag: its n are texts, its fpr that share.
    """
    return [
        {"slice": of.partition("=")[0], "value": of.partition("=")[2]}
        | _record(figures, intervals, name, label, f"/{of}")
        for label, of in _sliced(figures, name)
    ]


def any_flag(figures: Mapping[str, Any], intervals: Intervals, name: str, of: str = "") -> Record:
    """The share of texts allowed under every known label that carry any flag, as `fpr`, and their n; the
    share of texts that a label holds for and that are flagged under one, as `recall`, and their number."""
    counts = {metric: figures.get(f"{name}/any/{metric}{of}") or 0 for metric in ("n", "positives")}
    record = {"set": name, "label": "any", **counts, "negatives": counts["n"]}
    record["sufficient"] = counts["n"] >= ENOUGH
    for metric, count in (("recall", counts["positives"]), ("fpr", counts["n"])):
        value = figures.get(f"{name}/any/{metric}{of}") if count >= ENOUGH else None
        record |= {metric: value, **_ends(intervals, f"{name}/any/{metric}{of}", metric, value)}
    return record


def macro(figures: Mapping[str, Any], intervals: Intervals, name: str) -> Record:
    """Plain means over the sufficient labels, and how many those are, as `labels`."""
    found: Record = {"set": name, "labels": figures.get(f"{name}/macro/labels", 0)}
    for metric in ("auprc", "auroc", "f1"):
        key = f"{name}/macro/{metric}"
        found |= {metric: figures.get(key), **_ends(intervals, key, metric, figures.get(key))}
    return found


def _sliced(figures: Mapping[str, Any], name: str) -> Iterator[tuple[str, str]]:
    """(label, slice=value) in the order of the figures; a value may hold any character."""
    for key in figures:
        parts = key.split("/", 3)
        if parts[0] != name or len(parts) != 4 or parts[2] != "n" or ":" in parts[1]:
            continue
        if parts[3].partition("=")[0] not in ANALYSES:
            yield parts[1], parts[3]


def _record(figures: Mapping[str, Any], intervals: Intervals, name: str, label: str, of: str) -> Record:
    if label == "any":
        return any_flag(figures, intervals, name, of)
    counts = {m: figures[f"{name}/{label}/{m}{of}"] for m in ("n", "positives", "negatives")}
    sufficient = min(counts["positives"], counts["negatives"]) >= ENOUGH
    record: Record = {"set": name, "label": label, **counts, "sufficient": sufficient}
    # recall rests on the positives alone and FPR on the negatives: each stands where there are enough
    enough = dict.fromkeys(_OF_BOTH, sufficient)
    enough |= {"recall": counts["positives"] >= ENOUGH, "fpr": counts["negatives"] >= ENOUGH}
    if not of:
        record["prevalence"] = figures[f"{name}/{label}/prevalence"]
    for metric, some in enough.items():
        key = f"{name}/{label}/{metric}{of}"
        if key not in figures:
            continue
        value = figures[key] if some else None
        record[metric] = value
        if metric in _WITH_INTERVAL:
            record |= _ends(intervals, key, metric, value)
    return record


def _ends(intervals: Intervals, key: str, metric: str, value: float | None) -> Record:
    low, high = intervals.get(key, (None, None)) if value is not None else (None, None)
    return {f"{metric}_low": low, f"{metric}_high": high}
