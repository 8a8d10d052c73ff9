"""`teensafe compare`: runs go in, one document comes out that terminal, page, JSON and W&B all show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from train.comparison.cost import cost
from train.comparison.differs import differs
from train.comparison.figures import LEVEL, MARGIN, differences, slice_differences
from train.comparison.shared import Shared, shared
from train.comparison.sides import Side
from train.comparison.verdict import verdict
from train.errors import InputError, Problem
from train.evaluation.records import is_whole, shown
from train.files import canonical_json, sha256_bytes

Document = dict[str, Any]
MOST = 3
"""Reasons that a message lists."""


def compare(sides: Sequence[Side], advance: Callable[[int], None] = lambda sets: None) -> Document:
    """Every side held against the first; JSON-safe.

    name, level, margin; sides: letter, name, recipe, runs (name, seed, identity, selected_step), cost; pairs:
    a, b (letters), verdict, sets (set, n, groups, sha256 of ids and labels), left_out, figures, slices,
    differs. No text, no id and no path is in it. advance(1) is called after each set.
    Raises InputError where a side shares no set with the first.
    """
    lines = [shared_sets(sides[0], side) for side in sides[1:]]
    if problems := [
        _nothing(sides[0], b, found) for b, found in zip(sides[1:], lines, strict=True) if not found.parts
    ]:
        raise InputError(problems)
    return {
        "schema": 1,
        "name": _name(sides),
        "level": LEVEL,
        "margin": MARGIN,
        "sides": [_side(side) for side in sides],
        "pairs": [_pair(sides[0], b, found, advance) for b, found in zip(sides[1:], lines, strict=True)],
    }


def shared_sets(a: Side, b: Side) -> Shared:
    runs = [*a.runs, *b.runs]
    letters = [a.letter] * len(a.runs) + [b.letter] * len(b.runs)
    names = list(dict.fromkeys(name for run in runs for name in shown(run.sets)))
    return shared([run.sets for run in runs], letters, names)


def _pair(a: Side, b: Side, found: Shared, advance: Callable[[int], None]) -> Document:
    of_recipes = a.of_recipe and b.of_recipe
    figures, slices = [], []
    for name, parts in found.parts.items():
        one, other = parts[: len(a.runs)], parts[len(a.runs) :]
        figures += differences(one, other, name, of_recipes)
        if is_whole(name):
            slices += slice_differences(one, other, name, of_recipes)
        advance(1)
    return {
        "a": a.letter,
        "b": b.letter,
        "speaks_of": "recipes" if of_recipes else "checkpoints",
        "verdict": asdict(verdict(a, b, figures, slices)),
        "sets": [
            {"set": name, "n": len(parts[0]), "groups": len({*parts[0].group}), "sha256": found.digests[name]}
            for name, parts in found.parts.items()
        ],
        "left_out": [asdict(reason) for reason in found.left_out],
        "figures": figures,
        "slices": slices,
        "differs": differs(a, b),
    }


def _side(side: Side) -> Document:
    return {
        "letter": side.letter,
        "name": side.name,
        "recipe": side.runs[0].locked["recipe"]["name"],
        "runs": [
            {
                "name": run.name,
                "seed": run.seed,
                "identity": run.locked["sha256"],
                "selected_step": run.final.get("selected_step"),
            }
            for run in side.runs
        ],
        "cost": cost(side),
    }


def _name(sides: Sequence[Side]) -> str:
    """Of a comparison: its recipes, and 8 digits that the same runs on the same sides give again."""
    recipes = "-vs-".join(dict.fromkeys(side.runs[0].locked["recipe"]["name"] for side in sides))
    runs = [sorted(run.locked["sha256"] for run in side.runs) for side in sides]
    return f"{recipes}-{sha256_bytes(canonical_json(runs).encode())[:8]}"


def _nothing(a: Side, b: Side, found: Shared) -> Problem:
    reasons = [f"{out.set or out.label}: {out.reason}" for out in found.left_out[:MOST]]
    if len(found.left_out) > MOST:
        reasons.append(f"and {len(found.left_out) - MOST} more")
    what = f"no set of texts is the same as in {a.name} ({'; '.join(reasons) or 'no predictions'})"
    remedy = "compare runs whose data.split and sources agree, or evaluate both on one suite"
    return Problem(b.name, what, "predictions of the same texts with the same labels", remedy)
