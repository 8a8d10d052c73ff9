"""What to collect, label again or make: a run's gaps and a contract's shortfalls as one plan, with numbers.

Two that ask for the same are one line, which asks for the most of both.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from train.curation.coverage import Shortfall
from train.errors import InputError, Problem
from train.files import canonical_json

ACTIONS = ("collect", "relabel", "augment")
"""What data can mend; `change` is about models and thresholds."""


@dataclass
class Wanted:
    """rows: texts that are needed; to_read: about how many have to be looked through to find them, None where
    nobody knows how common they are; why: gaps by id, and the contract's rules."""

    action: str
    label: str
    where: Mapping[str, str]
    rows: int
    says: str
    harm: float = 0.0
    to_read: int | None = None
    why: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        return {
            "action": self.action,
            "label": self.label,
            "where": dict(self.where),
            "rows": self.rows,
            "to_read": self.to_read,
            "says": self.says,
            "why": self.why,
        }


def plan(
    gaps: Iterable[Mapping[str, Any]],
    shortfalls: Iterable[Shortfall],
    base_rates: Mapping[str, tuple[int, int]],
) -> list[Wanted]:
    """The most harmful first, then what only the contract asks for. base_rates: label -> (positive, known)
    cells of real rows: how common the label is where texts come from now."""
    wanted: dict[str, Wanted] = {}

    def add(one: Wanted) -> None:
        key = canonical_json([one.action, one.label, sorted(one.where.items())])
        there = wanted.setdefault(key, one)
        there.rows = max(there.rows, one.rows)
        there.harm = max(there.harm, one.harm)
        there.why += [why for why in one.why if why not in there.why]

    for gap in gaps:
        action = gap["action"]
        if action["kind"] in ACTIONS and action["rows"]:
            where = {name: str(value) for name, value in action.get("where", {}).items() if name != "label"}
            why = [f"gap {gap['id']} ({gap['cause']})"]
            add(
                Wanted(
                    action["kind"],
                    gap["label"],
                    where,
                    action["rows"],
                    action["filter"],
                    gap["harm"],
                    None,
                    why,
                )
            )
    for short in shortfalls:
        asked = short.required
        split = {"split": asked.split} if asked.split else {}
        for what, rows in short.missing.items():
            cell = {"cell": "positive"} if what == "positive" else {}
            says = f"texts that carry {asked.label}" if cell else f"texts judged for {asked.label}"
            add(
                Wanted(
                    "collect",
                    asked.label,
                    {**asked.where, **split, **cell},
                    rows,
                    says,
                    0.0,
                    None,
                    [f"contract: {asked}"],
                )
            )
    for one in wanted.values():
        one.to_read = _to_read(one, base_rates)
    return sorted(
        wanted.values(), key=lambda one: (-one.harm, one.action, one.label, canonical_json(dict(one.where)))
    )


def _to_read(one: Wanted, base_rates: Mapping[str, tuple[int, int]]) -> int | None:
    """Rows over how common they are; a text is read once for any of its labels."""
    positive, known = base_rates.get(one.label, (0, 0))
    if one.action != "collect" or one.where.get("cell") != "positive":
        return one.rows if one.action == "collect" else None
    return round(one.rows * known / positive) if positive else None


def read_gaps(path: Path) -> list[dict[str, Any]]:
    """The gaps in a run's gaps.json. Raises InputError."""
    place = path / "gaps.json" if path.is_dir() else path
    try:
        found = json.loads(place.read_text(encoding="utf-8"))
        for gap in found:
            if not {"id", "label", "cause", "harm", "action"} <= gap.keys():
                raise ValueError
    except (OSError, ValueError, AttributeError, TypeError):
        raise InputError(
            Problem(str(place), "holds no gaps", "a run, or its gaps.json", "teensafe gaps RUN")
        ) from None
    return list(found)


def lines(wanted: Sequence[Wanted]) -> Iterator[str]:
    for one in wanted:
        where = " ".join(f"{name}={value}" for name, value in one.where.items())
        read = f", about {one.to_read:,} to read" if one.to_read and one.to_read != one.rows else ""
        yield f"{one.action} {one.rows:,} {one.label} {where}{read}: {one.says} [{'; '.join(one.why)}]"
    if not wanted:
        yield "nothing is missing that the contract or these gaps ask for"
