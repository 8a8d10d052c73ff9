"""What two runs were told and given that is not the same: their recipes and locks, side by side, key by key.

Neither a path nor a row is among it: a lock holds none. Long texts, as a policy's definitions, are cut.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from train.comparison.sides import Finished, Side

LONGEST = 80  # characters of a value
ABSENT = "(absent)"


def differs(a: Side, b: Side) -> list[dict[str, Any]]:
    """Records section (recipe or lock), key, a, b, of the first run of each side.

    Name and train.seed are among them only where a side is a single run.
    """
    one, other = a.runs[0], b.runs[0]
    single = min(len(a.runs), len(b.runs)) == 1
    recipes = [run.locked["recipe"] if single else run.recipe for run in (one, other)]
    parts = {"recipe": recipes, "lock": [_resolved(one), _resolved(other)]}
    return [
        {"section": section, "key": key, "a": _short(had), "b": _short(has)}
        for section, (before, after) in parts.items()
        for key, had, has in _changed(dict(_flat(before)), dict(_flat(after)))
    ]


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for key in dict.fromkeys([*before, *after]):
        had, has = before.get(key, ABSENT), after.get(key, ABSENT)
        if had != has:
            yield key, had, has


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, inner in value.items():
        if isinstance(inner, Mapping) and inner:
            yield from _flat(inner, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", inner


def _resolved(run: Finished) -> dict[str, Any]:
    """What the recipe came to: digests, counts, code, number format."""
    locked = run.locked
    rows: dict[str, Any] = {}
    for cell in locked.get("rows", []):
        of_split = rows.setdefault(cell["source"], {}).setdefault(cell["split"], {"rows": cell["rows"]})
        of_split[cell["label"]] = f"{cell['positives']:,} of {cell['known']:,} positive"
    return {
        "code": run.state.get("code"),
        "base": str(locked.get("base"))[:19],  # sha256: and 12 digits
        "labels": locked.get("labels"),
        "precision": run.final.get("precision"),
        "sources": {name: digest[:12] for name, digest in locked.get("sources", {}).items()},
        "rows": rows,
        "left_out": locked.get("left_out", {}),
    }


def _short(value: Any) -> Any:
    if isinstance(value, str | list | dict):
        text = value if isinstance(value, str) else ", ".join(map(str, value)) or "none"
        return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
    return value
