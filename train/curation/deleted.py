"""Ids of rows that were deleted on request: DIR/deleted.txt, a line each, no text. No build takes them in."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from train.errors import InputError, Problem
from train.files import write_text

DELETED = "deleted.txt"


def deleted_ids(folder: Path) -> frozenset[str]:
    """The ids that were deleted from what is built in a folder."""
    path = folder / DELETED
    return frozenset(path.read_text(encoding="utf-8").split("\n")[:-1]) if path.exists() else frozenset()


def remember(folder: Path, ids: Collection[str]) -> None:
    """Keep ids from every later build. Raises InputError for what is no id."""
    for id in ids:
        if not id or "\n" in id or ":" not in id:
            raise InputError(Problem("--id", "is no id", "SOURCE:ID, as deliveries and predictions have it"))
    known = sorted(deleted_ids(folder) | {*ids})
    write_text(folder / DELETED, "".join(f"{id}\n" for id in known), private=True)
