"""The page's figures as flat records, for W&B: a finished run's folder goes in, numbers and names come out.

No text, no id and no single score is among them. A slice value that fewer than ENOUGH test texts share stays
out too: free text in a slice column would leave the machine with it.
"""

from __future__ import annotations

from pathlib import Path

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
    point of each curve."""
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
    return found


def test_sets(final: records.Record) -> list[str]:
    """The test sets of a summary that are worth showing."""
    names = (key.split("/")[0] for key in final["metrics"])
    return records.shown(name for name in names if name == SPLIT or name.startswith(f"{SPLIT}."))
