"""How many planted label errors the audit finds in davidson, beside what chance would.

    scripts/bench audit [--rows 5000] [--seeds 5] [--share 0.05] [--json]

Of the cells of `harassment` and `hate` that annotators agree on a share is flipped, drawn by each seed, and
all are audited as a build does it: near-duplicates are one group, and no group scores itself. A flagged cell
that was not flipped counts as a false alarm although the file has errors of its own, so precision is a lower
bound. Chance flags as many cells, drawn by lot. k: as many as were flipped. Intervals: 95%, groups drawn with
replacement. No text is shown.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from train.curation.audit import Audit, audit
from train.curation.duplicates import Dedup, duplicates
from train.curation.runner import NATIVE
from train.curation.splits import split
from train.data.reading import read
from train.data.source import Source
from train.data.split import Split
from train.evaluation.intervals import group_counts

LABELS = {
    "harassment": {"votes": ["hate_speech", "offensive_language"], "of": "count"},
    "hate": {"votes": "hate_speech", "of": "count"},
}
RESAMPLES = 500


def table(path: Path, rows: int | None) -> pa.Table:
    """What the audit reads, of all rows or of that many drawn by chance."""
    source = Source.model_validate({"path": str(path), "text": "tweet", "labels": LABELS, "licence": "MIT"})
    examples = [*read("davidson", source)]
    if rows is not None:
        drawn = np.random.default_rng(0).permutation(len(examples))[:rows]
        examples = [examples[i] for i in sorted(drawn)]
    made = pa.table(
        {name: [getattr(example, name) for example in examples] for name in ("id", "source", "group")}
        | {"normal": [example.text for example in examples], "claim": ["any"] * len(examples)}
        | {name: pa.nulls(len(examples), pa.string()) for name in ("near_suite", "parent")}
        | {f"label.{name}": pa.array([e.labels[name] for e in examples], pa.float32()) for name in LABELS}
    )
    made = with_columns(made, duplicates(made, Dedup(), NATIVE)[0])
    return with_columns(made, split(made, Split(), "exact")[0])


def with_columns(made: pa.Table, columns: pa.Table) -> pa.Table:
    there = made.drop_columns([name for name in columns.column_names if name in made.column_names])
    for name in columns.column_names:
        there = there.append_column(name, columns.column(name))
    return there


def planted(made: pa.Table, share: float, seed: int, spec: Audit) -> tuple[pa.Table, dict[str, np.ndarray]]:
    """(the table with that share of its decided cells flipped, label -> which were, bool [n])."""
    draw, flipped = np.random.default_rng(seed), {}
    stays = made.column("split").is_valid().to_numpy()
    for label in LABELS:
        cells = np.asarray(made.column(f"label.{label}"), dtype=np.float32)
        with np.errstate(invalid="ignore"):
            decided = np.flatnonzero(stays & ((cells >= spec.decided) | (cells <= 1 - spec.decided)))
        flip = np.zeros(len(cells), dtype=bool)
        flip[draw.choice(decided, round(share * len(decided)), replace=False)] = True
        new = pa.array(np.where(flip, 1 - cells, cells), from_pandas=True)
        made = with_columns(made, pa.table({f"label.{label}": new}))
        flipped[label] = flip
    return made, flipped


def recovered(made: pa.Table, share: float, seed: int) -> Iterator[dict[str, Any]]:
    """Of each label: what was flagged, and what stands among the k worst, k being how many were planted."""
    spec = Audit()
    made, flipped = planted(made, share, seed, spec)
    columns, _, found = audit(made, spec)
    groups = made.column("group").to_numpy(zero_copy_only=False)
    for said in found:
        label = said["label"]
        if said["suspects"] is None:
            print(f"{label}: not judged, {said['auroc']:.2f} out of fold on so few rows", file=sys.stderr)
            continue
        judged = columns.column(f"suspect.{label}").is_valid().to_numpy()
        suspect = columns.column(f"suspect.{label}").drop_null().to_numpy(zero_copy_only=False).astype(bool)
        quality = np.asarray(columns.column(f"quality.{label}"))[judged]
        wrong = flipped[label][judged]
        worst = np.zeros(len(wrong), dtype=bool)
        worst[np.argsort(quality, kind="stable")[: wrong.sum()]] = True
        _, group = np.unique(groups[judged].astype(str), return_inverse=True)
        draws = {
            "precision": (wrong & suspect, suspect),
            "recall": (wrong & suspect, wrong),
            "precision_at_k": (wrong & worst, worst),
        }
        yield {
            "label": label,
            "seed": seed,
            "judged": len(wrong),
            "groups": int(group.max()) + 1,
            "planted": int(wrong.sum()),
            "flagged": int(suspect.sum()),
            "auroc": said["auroc"],
            "chance": {"precision": float(wrong.mean()), "recall": float(suspect.mean())},
        } | {name: share_of(hit, of, group) for name, (hit, of) in draws.items()}


def share_of(hit: np.ndarray, of: np.ndarray, group: np.ndarray) -> list[float]:
    """[share, low, high]"""
    hits, all_ = (np.bincount(group, which).astype(float) for which in (hit, of))
    drawn = np.concatenate(
        [(counts @ hits) / (counts @ all_) for counts in group_counts(group, RESAMPLES, seed=0)]
    )
    low, high = np.percentile(drawn, [2.5, 97.5])
    return [round(float(value), 3) for value in (hit.sum() / of.sum(), low, high)]


def main(arguments: Sequence[str]) -> int:
    options = argparse.ArgumentParser(
        prog="scripts/bench audit", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    options.add_argument("--rows", type=int, help="default: all")
    options.add_argument("--seeds", type=int, default=5)
    options.add_argument("--share", type=float, default=0.05)
    options.add_argument("--json", action="store_true", help="a JSON document")
    asked = options.parse_args(arguments)
    path = Path(os.environ.get("TEENSAFE_DATA", "data")) / "davidson/labeled_data.csv"
    made = table(path, asked.rows)
    found = [one for seed in range(1, asked.seeds + 1) for one in recovered(made, asked.share, seed)]
    if asked.json:
        json.dump(found, sys.stdout)
        return 0
    for one in found:
        print(
            "{label:<12} seed {seed}: {judged:,} cells in {groups:,} groups, {planted:,} flipped, "
            "{flagged:,} flagged, AUROC {auroc:.3f}".format(**one)
        )
        for name in ("precision", "recall", "precision_at_k"):
            value, low, high = one[name]
            chance = one["chance"].get(name, one["chance"]["precision"])
            print(
                f"    {name.replace('_', ' '):<15} {value:.3f} ({low:.3f} to {high:.3f}); chance {chance:.3f}"
            )
    return 0
