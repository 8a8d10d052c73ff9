"""What was deleted on request, a line each, no text: in DIR/deleted.txt ids of rows that no build takes in,
and in DIR/withdrawn.txt deliveries that held them, whose names no build uses again."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from train.errors import InputError, Problem
from train.files import write_text

DELETED, WITHDRAWN = "deleted.txt", "withdrawn.txt"


def deleted_ids(folder: Path) -> frozenset[str]:
    """The ids that were deleted from what is built in a folder."""
    return _lines(folder / DELETED)


def withdrawn(folder: Path) -> frozenset[str]:
    """NAME@VERSION of deliveries that were removed since they held deleted rows."""
    return _lines(folder / WITHDRAWN)


def withdraw(folder: Path, name: str) -> None:
    """Keep the name of a delivery from every later build: those who have it know it by its rows."""
    write_text(folder / WITHDRAWN, "".join(f"{one}\n" for one in sorted(withdrawn(folder) | {name})))


def remember(folder: Path, ids: Collection[str]) -> None:
    """Keep ids from every later build. Raises InputError for what is no id."""
    for id in ids:
        if not id or "\n" in id or ":" not in id:
            raise InputError(Problem("--id", "is no id", "SOURCE:ID, as deliveries and predictions have it"))
    known = sorted(deleted_ids(folder) | {*ids})
    write_text(folder / DELETED, "".join(f"{id}\n" for id in known), private=True)


def _lines(path: Path) -> frozenset[str]:
    return frozenset(path.read_text(encoding="utf-8").split("\n")[:-1]) if path.exists() else frozenset()
