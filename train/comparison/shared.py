"""What runs have in common: the sets whose texts and labels are the same in each, rows brought into line.

Texts are compared by their ids and labels by their cells, whatever the order of the rows. A set with other
texts is left out, and so is a label whose cells differ, each with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from train.evaluation.predictions import Predictions, sets
from train.files import canonical_json, sha256_bytes
from train.report.tables import SPLIT
from train.suites.suite import PREFIX

Runs = Sequence[Mapping[str, Predictions]]


@dataclass(frozen=True)
class LeftOut:
    """set, label: None stands for all of them."""

    set: str | None
    label: str | None
    reason: str


@dataclass(frozen=True)
class Shared:
    """parts: by set, each run's predictions in the order of the runs, with equal ids, groups, labels and
    cells row by row. digests: sha256 of each set's ids and cells."""

    parts: dict[str, list[Predictions]] = field(default_factory=dict)
    digests: dict[str, str] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)


def predicted(folder: Path) -> dict[str, Predictions]:
    """`divided`, of the predictions in a run's folder."""
    paths = sorted((folder / "predictions").glob("*.parquet"))
    return divided({path.stem: Predictions.read(path) for path in paths if _is_judged(path.stem)})


def divided(found: Mapping[str, Predictions]) -> dict[str, Predictions]:
    """Every set of the test split and of the test suites among predictions by name; none that helped to
    choose the checkpoint."""
    judged = sorted((name for name in found if _is_judged(name)), key=lambda name: (name != SPLIT, name))
    parts: dict[str, Predictions] = {}
    for name in judged:
        parts |= sets(found[name].select(found[name].split == name))
    return parts


def _is_judged(name: str) -> bool:
    return name == SPLIT or (name.startswith(PREFIX) and not name.endswith("-dev"))


def shared(runs: Runs, letters: Sequence[str], names: Sequence[str]) -> Shared:
    """Of the sets `names`, those that every run has; letters: the side of each run, for the reasons."""
    found = Shared()
    labels = [{label for part in run.values() for label in part.labels} for run in runs]
    common = set.intersection(*labels)
    for label in sorted(set.union(*labels) - common):
        found.left_out.append(LeftOut(None, label, _absence([label in known for known in labels], letters)))
    for name in names:
        has = [name in run for run in runs]
        if not all(has):
            found.left_out.append(LeftOut(name, None, _absence(has, letters)))
            continue
        parts = [run[name] for run in runs]
        parts = [part.select(np.argsort(part.ids, kind="stable")) for part in parts]
        if reason := _other_texts(parts):
            found.left_out.append(LeftOut(name, None, reason))
            continue
        kept = []
        for label in (label for label in parts[0].labels if label in common):
            cells = [part.targets[:, part.labels.index(label)] for part in parts]
            differ = np.logical_or.reduce([_differ(cells[0], other) for other in cells[1:]])
            if differ.any():
                reason = f"{int(differ.sum()):,} of {len(differ):,} texts are labelled differently"
                found.left_out.append(LeftOut(name, label, reason))
            else:
                kept.append(label)
        if kept:
            group = _kin([part.group for part in parts])
            found.parts[name] = [replace(of_labels(part, kept), group=group) for part in parts]
            found.digests[name] = _digest(found.parts[name][0])
        else:
            found.left_out.append(LeftOut(name, None, "no label is known alike in every run"))
    return found


def _absence(has: Sequence[bool], letters: Sequence[str]) -> str:
    having = sorted({letter for letter, some in zip(letters, has, strict=True) if some})
    lacking = {letter for letter, some in zip(letters, has, strict=True) if not some}
    return "not in every run" if lacking & {*having} else f"only in {' and '.join(having)}"


def _other_texts(parts: Sequence[Predictions]) -> str:
    """Why these are not the same texts, or nothing."""
    if all(np.array_equal(parts[0].ids, part.ids) for part in parts[1:]):
        return ""
    everywhere = set.intersection(*({*part.ids} for part in parts))
    sizes = " and ".join(f"{size:,}" for size in dict.fromkeys(len(part) for part in parts))
    return f"other texts: {len(everywhere):,} of {sizes} are in every run"


def _differ(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return (one != other) & ~(np.isnan(one) & np.isnan(other))


def of_labels(part: Predictions, labels: Sequence[str]) -> Predictions:
    """The predictions with these labels alone, in this order."""
    at = [part.labels.index(label) for label in labels]
    blocks = {name: getattr(part, name)[:, at] for name in ("targets", "scores", "flags")}
    return replace(part, labels=tuple(labels), **blocks)


def _kin(groups: Sequence[np.ndarray]) -> np.ndarray:
    """A group a row [n] such that texts that any run takes for kin are drawn together."""
    numbers = [np.unique(group, return_inverse=True)[1] for group in groups]
    n = len(numbers[0])
    starts = n + np.cumsum([0, *(int(number.max()) + 1 for number in numbers)])
    rows = np.tile(np.arange(n), len(numbers))
    nodes = np.concatenate([number + start for number, start in zip(numbers, starts, strict=False)])
    links = coo_array((np.ones(len(rows)), (rows, nodes)), shape=(starts[-1], starts[-1]))
    kin = connected_components(links, directed=False)[1][:n]
    return np.array([str(number) for number in kin], dtype=object)


def _digest(part: Predictions) -> str:
    named = canonical_json([part.ids.tolist(), part.labels]).encode()
    return sha256_bytes(named + np.ascontiguousarray(part.targets).tobytes())
