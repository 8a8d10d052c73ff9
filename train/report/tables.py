"""The page's figures as flat records, for W&B: a finished run's folder goes in, numbers and names come out.

No text, no id and no single score is among them. A slice value that fewer than ENOUGH test texts share stays
out too: free text in a slice column would leave the machine with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from train.evaluation import records
from train.evaluation.curves import precision_recall
from train.evaluation.metrics import ENOUGH
from train.evaluation.predictions import Predictions
from train.evaluation.predictions import sets as divided
from train.evaluation.records import Record
from train.evaluation.standing import standing
from train.policy import Policy
from train.tracking.run import lock, summary

SPLIT = "test"


def tables(folder: Path) -> dict[str, list[Record]]:
    """`labels`, a record a test set and label; `slices`, one a slice value of each; `precision_recall`, one a
    point of each curve; `suites`, one a suite; `disguises`, one a set, label and perturbation; `duties`, one
    a duty of the policy. The last three are empty for a run that was not judged by them."""
    final = summary(folder)
    policy = Policy.model_validate(lock(folder)["recipe"]["policy"])
    figures, bounds, points = final["metrics"], final["intervals"], final["operating_points"]
    parts = divided(Predictions.read(folder / "predictions" / f"{SPLIT}.parquet"))
    found: dict[str, list[Record]] = {"labels": [], "slices": [], "precision_recall": []}
    for name in test_sets(final):
        of_set = records.by_label(figures, bounds, name)
        for record in of_set:
            label = record["label"]
            point, stands = points[label], standing(record, policy.labels[label].constraint)
            fitted = {"threshold": point["threshold"], "calibration_n": point["n"]}
            stated = {"constraint": point["constraint"], "outcome": stands.outcome}
            found["labels"].append({**record, **fitted, **stated})
        if not records.is_whole(name):
            continue
        shared = (r for r in records.by_slice(figures, bounds, name) if r["n"] >= ENOUGH)
        found["slices"] += shared
        for record in of_set:
            if record["sufficient"]:
                curve = zip(*precision_recall(parts[name], record["label"]), strict=True)
                about = {"curve": f"{record['label']} ({name})", "n": record["n"]}
                found["precision_recall"] += [
                    {**about, "recall": float(r), "precision": float(p)} for r, p in curve
                ]
    found["suites"] = [_suite(figures, bounds, name) for name in final.get("suites", {})]
    found["disguises"] = list(_disguises(figures, bounds))
    found["duties"] = [
        {key: ", ".join(value) if isinstance(value, list) else value for key, value in duty.items()}
        for duty in final.get("duties", [])
    ]
    return found


def _suite(figures: Mapping[str, Any], bounds: records.Intervals, name: str) -> Record:
    """How much is found under any label, how much wrongly flagged, and the flags of 1,000 texts."""
    key = f"{name}/any/flags_per_1000"
    enough = (figures.get(f"{name}/any/texts") or 0) >= ENOUGH
    low, high = bounds.get(key, (None, None)) if enough else (None, None)
    flags = {
        "flags_per_1000": figures.get(key) if enough else None,
        "flags_per_1000_low": low,
        "flags_per_1000_high": high,
    }
    return {**records.any_flag(figures, bounds, name), **flags}


def _disguises(figures: Mapping[str, Any], bounds: records.Intervals) -> Iterator[Record]:
    for key in figures:
        name, label, metric, *of = key.split("/", 3)
        if metric != "recall_drop" or not of:
            continue
        start, end = f"{name}/{label}", of[0]
        record: Record = {"set": name, "label": label, "perturbation": end.partition("=")[2]}
        record |= {m: figures[f"{start}/{m}/{end}"] for m in ("n", "positives", "negatives", "changed")}
        for rate, change, count in (
            ("recall", "recall_drop", "positives"),
            ("fpr", "fpr_rise", "negatives"),
        ):
            for shown in (rate, change):
                enough = record[count] >= ENOUGH
                low, high = bounds.get(f"{start}/{shown}/{end}", (None, None)) if enough else (None, None)
                record |= {shown: figures[f"{start}/{shown}/{end}"] if enough else None}
                record |= {f"{shown}_low": low, f"{shown}_high": high}
        yield record


def test_sets(final: records.Record) -> list[str]:
    """The test sets of a summary that are worth showing."""
    names = (key.split("/")[0] for key in final["metrics"])
    return records.shown(name for name in names if name == SPLIT or name.startswith(f"{SPLIT}."))
