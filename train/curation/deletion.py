"""Deletion by id: what a person asks to be deleted is gone from deliveries, work and caches, and stays away.

The ids are kept in DIR/deleted.txt, a line each, so that no later build takes the rows in again; the ids
alone, no text. The newest delivery that holds one of them gets a patch version without it; that and every
older one that holds it is removed, since a delivery is never changed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from train.data.delivered import MANIFEST, NAMED
from train.errors import InputError, Problem
from train.files import cache_folder, write_text

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


def forget(folder: Path, ids: Collection[str]) -> list[Path]:
    """Remove every shard of the work and every file of the cache that holds one of the rows, or one that was
    made from them. They are made again without it when they are needed."""
    places = [*folder.glob("work/*/*.parquet"), *cache_folder().glob("*.arrow")]
    gone = [path for path in sorted(places) if holds(path, ids)]
    for path in gone:
        path.with_suffix(".json").unlink(missing_ok=True)
        path.unlink()
    return gone


def deliveries(folder: Path) -> Iterator[Path]:
    """Those in a folder, by name and version."""

    def order(path: Path) -> tuple[str, list[int]]:
        name, _, version = path.name.rpartition("@")
        return name, [int(part) for part in version.split(".")]

    found = [p for p in folder.iterdir() if NAMED.fullmatch(p.name) and (p / MANIFEST).is_file()]
    yield from sorted(found, key=order)


def holds(path: Path, ids: Collection[str]) -> bool:
    """Whether a Parquet or Arrow file has a row with one of the ids, or one made from it."""
    import pyarrow as pa
    import pyarrow.compute as pc

    wanted = pa.array(sorted(ids), pa.string())
    table = _ids(path)
    return any(
        bool(pc.any(pc.is_in(table.column(name), value_set=wanted)).as_py())
        for name in ("id", "parent")
        if name in table.column_names
    )


def _ids(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.suffix == ".parquet":
        names = [name for name in pq.read_schema(path).names if name in ("id", "parent")]
        return pq.read_table(path, columns=names)
    with pa.memory_map(str(path)) as source:
        table = pa.ipc.open_stream(source).read_all()
        return table.select([name for name in ("id", "parent") if name in table.column_names])
