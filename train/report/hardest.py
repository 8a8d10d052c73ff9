"""The examples a label's operating point is most wrong about, and which of their texts may be shown.

Texts are looked up in the sources the run was trained on, if they are still what they were. A text is
withheld where a label of tier 3 is involved: as the label in question, as anything above 0 in any source that
has the text (also for a label that was not trained), or as the model's flag where no source says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from train.data.reading import read
from train.data.source import Source, content_digest
from train.errors import InputError
from train.evaluation.predictions import Predictions
from train.example import TURN
from train.policy import ESCALATED, Policy
from train.recipe import load as load_recipe

MOST = 10
"""Misses, and false alarms, of each label and set."""
LONGEST = 600  # characters of a text on the page
_INVISIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")


@dataclass(frozen=True)
class Shown:
    """A text as the page shows it: `text`, or None and the reason why not."""

    text: str | None
    reason: str = ""


_WITHHELD = Shown(None, "tier 3: not shown")


@dataclass(frozen=True)
class Hard:
    """One wrong decision. target: what the source says, a probability; score: the calibrated probability."""

    id: str
    source: str
    target: float
    score: float
    text: Shown


@dataclass(frozen=True)
class Wrong:
    """Of one label: the most confident misses and false alarms, and how many there are in all."""

    label: str
    misses: tuple[Hard, ...]
    missed: int
    positives: int
    alarms: tuple[Hard, ...]
    alarmed: int
    negatives: int


def hardest(predictions: Predictions, policy: Policy, texts: Mapping[str, Shown]) -> list[Wrong]:
    """Of each label with a known cell. `texts` are those of `look_up`, for the ids of `wrong_ids`."""
    escalated = _escalated(predictions, policy)
    found = []
    for column, label in enumerate(predictions.labels):
        known = predictions.targets[:, column]
        if not np.isfinite(known).any():
            continue
        misses, alarms = _wrong(predictions, column)
        tier = policy.labels[label].tier

        def hard(row: int, column: int = column, tier: int = tier) -> Hard:
            id = str(predictions.ids[row])
            shown = texts.get(id, Shown(None, "not found in its source"))
            if tier == ESCALATED or escalated[row]:
                shown = _WITHHELD
            target, score = predictions.targets[row, column], predictions.scores[row, column]
            return Hard(id, str(predictions.source[row]), float(target), float(score), shown)

        found.append(
            Wrong(
                label,
                tuple(hard(row) for row in misses[:MOST]),
                len(misses),
                int((known > 0.5).sum()),
                tuple(hard(row) for row in alarms[:MOST]),
                len(alarms),
                int((known < 0.5).sum()),
            )
        )
    return found


def wrong_ids(sets: Iterable[Predictions], policy: Policy) -> dict[str, set[str]]:
    """source -> ids whose texts `hardest` would show of these sets; of tier 3 none, so that none is read."""
    wanted: dict[str, set[str]] = {}
    for predictions in sets:
        escalated = _escalated(predictions, policy)
        for column, label in enumerate(predictions.labels):
            if policy.labels[label].tier == ESCALATED:
                continue
            for rows in _wrong(predictions, column):
                for row in rows[:MOST]:
                    if not escalated[row]:
                        wanted.setdefault(str(predictions.source[row]), set()).add(str(predictions.ids[row]))
    return wanted


def look_up(
    folder: Path, digests: Mapping[str, str], wanted: Mapping[str, Iterable[str]]
) -> dict[str, Shown]:
    """id -> text, for ids by source; digests: each source's content when the run `folder` was trained.

    Rows with an equal text are looked up, too: one that may not be shown keeps back the text of all.
    """
    try:
        recipe = load_recipe(folder / "recipe.yaml")
        twins = _twins(folder, [id for ids in wanted.values() for id in ids])
    except (InputError, OSError, ValueError):
        return _none(wanted, "this version cannot read the run's recipe or split")
    asked = {name: set(ids) for name, ids in wanted.items()}
    for name, id, _ in twins:
        asked.setdefault(name, set()).add(id)
    escalated = {name for name, label in recipe.policy.labels.items() if label.tier == ESCALATED}
    found: dict[str, Shown] = {}
    for name, ids in asked.items():
        source = recipe.data.sources.get(name)
        if source is None or not source.is_here():
            found |= _none({name: ids}, "its source is not on this machine")
            continue
        try:
            if content_digest(source) == digests.get(name):
                found |= _texts(name, source, ids, escalated)
            else:
                found |= _none({name: ids}, "its source has changed since")
        except InputError:
            found |= _none({name: ids}, "its source cannot be read")
    for _, id, stands in twins:
        if (kept_back := found.get(id, Shown(None, "not found in its source"))).text is None:
            found[stands] = kept_back
    return found


def _twins(folder: Path, ids: Sequence[str]) -> list[tuple[str, str, str]]:
    """(source, id, the one of `ids` that stands for it) of each row with an equal text. Raises OSError or
    ValueError where the run's split cannot be read."""
    import pyarrow.parquet as pq

    if not ids:
        return []
    columns, among = ["source", "id", "united_with"], [("united_with", "in", list(ids))]
    rows = pq.read_table(folder / "split.parquet", columns=columns, filters=among)
    return list(zip(*(rows.column(name).to_pylist() for name in columns), strict=True))


def _texts(name: str, source: Source, ids: set[str], escalated: set[str]) -> dict[str, Shown]:
    """Reads the source as far as the last of `ids`. Raises InputError."""
    found: dict[str, Shown] = {}
    for example in read(name, source):
        if example.id in ids:
            grave = any((example.labels.get(label) or 0) > 0 for label in escalated)
            found[example.id] = (
                _WITHHELD if grave else Shown(visible(example.text.replace(TURN, "\n"), LONGEST))
            )
            if len(found) == len(ids):
                break
    return found


def visible(text: str, longest: int | None = None) -> str:
    """The text with its invisible controls spelled out, such as [U+202E], so that none acts on the page.

    Those are the C0 and C1 controls but tab and line feed, and the marks that turn the direction of writing.
    """
    cut = text if longest is None or len(text) <= longest else text[:longest]
    shown = _INVISIBLE.sub(lambda found: f"[U+{ord(found[0]):04X}]", cut)
    return shown + (f" … ({len(text) - len(cut):,} more characters)" if len(cut) < len(text) else "")


def _wrong(predictions: Predictions, column: int) -> tuple[Any, Any]:
    """Rows of misses, lowest score first, and of false alarms, highest first; equal scores by id."""
    target, score = predictions.targets[:, column], predictions.scores[:, column]
    flag, by_id = predictions.flags[:, column], np.argsort(predictions.ids)
    low, high = (by_id[np.argsort(key[by_id], kind="stable")] for key in (score, -score))
    misses, alarms = (target > 0.5) & ~flag, (target < 0.5) & flag
    return low[misses[low]], high[alarms[high]]


def _escalated(predictions: Predictions, policy: Policy) -> Any:
    """Rows [n] that a tier-3 label holds for, if only in part; where unknown, the model's flag counts."""
    columns = [j for j, label in enumerate(predictions.labels) if policy.labels[label].tier == ESCALATED]
    targets, flags = predictions.targets[:, columns], predictions.flags[:, columns]
    return np.where(np.isnan(targets), flags, targets > 0).any(axis=1)


def _none(wanted: Mapping[str, Iterable[str]], reason: str) -> dict[str, Shown]:
    return {id: Shown(None, reason) for ids in wanted.values() for id in ids}
