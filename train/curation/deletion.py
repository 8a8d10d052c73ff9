"""Deletion by id: what a person asks to be deleted is gone from deliveries, work and caches, and stays away.

The ids are kept in DIR/deleted.txt, a line each, so that no later build takes the rows in again; the ids
alone, no text. The newest delivery that holds one of them gets a patch version without it; that and every
older one that holds it is removed, since a delivery is never changed.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from train.curation import counting, queue, shards
from train.curation.deleted import remember
from train.curation.delivery import CARD, LEFT_OUT, seal, write_file
from train.curation.people import votes
from train.data.delivered import MANIFEST, NAMED, File, Part
from train.data.delivered import read as read_manifest
from train.files import cache_folder, whole_folder, write_text


def forget(folder: Path, ids: Collection[str]) -> list[Path]:
    """Remove every shard of the work and every file of the cache that holds one of the rows, or one that was
    made from them. They are made again without it when they are needed."""
    places = [*folder.glob("work/*/*.parquet"), *cache_folder().glob("*.arrow")]
    gone = [path for path in sorted(places) if holds(path, ids)]
    for path in gone:
        path.with_suffix(".json").unlink(missing_ok=True)
        path.unlink()
    return gone


def forget_copies(folder: Path, ids: Collection[str]) -> list[Path]:
    """Remove every queue that shows one of the rows, and from what was written every text that says one in
    other words."""
    gone = [path.parent for path in sorted(folder.glob(f"{queue.FOLDER}/*/{queue.ROWS}")) if holds(path, ids)]
    for path in gone:
        shutil.rmtree(path)
    for path in sorted(folder.glob("produced/*.jsonl")):
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        rest = [line for line in lines if json.loads(line)["parent"] not in ids]
        if len(rest) < len(lines):
            write_text(path, "".join(rest), private=True)
            gone.append(path)
    return gone


def without(delivery: Path, ids: Collection[str]) -> Path:
    """The next patch version of a delivery, beside it: the same but for the rows of these ids, and those made
    from them. Nothing else is computed again: a row that was tested on stays one, whoever is gone."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    before = read_manifest(delivery)
    major, minor, patch = before.version.split(".")
    after = before.model_copy(
        update={"version": f"{major}.{minor}.{int(patch) + 1}", "previous": before.full_name}
    )
    wanted = pa.array(sorted(ids), pa.string())
    target = delivery.parent / after.full_name
    parts: dict[str, Part] = {}
    tally: counting.Tally = Counter()
    with whole_folder(target) as folder:
        for name, part in before.parts.items():
            files: dict[Any, File] = {}
            for split, file in part.files.items():
                table = pq.read_table(delivery / file.path)
                gone = pc.or_(
                    pc.is_in(table.column("id"), value_set=wanted),
                    pc.is_in(table.column("parent"), value_set=wanted),
                )
                table = table.filter(pc.invert(gone))
                tally.update(
                    counting.tally(table.append_column("split", pa.array([split] * len(table))), part.slices)
                )
                if len(table):
                    files[split] = write_file(folder, file.path, table)
            if files:
                parts[name] = part.model_copy(update={"files": files})
        left = pq.read_table(delivery / LEFT_OUT)
        rest = left.filter(pc.invert(pc.is_in(left.column("id"), value_set=wanted)))
        shards.write(folder / LEFT_OUT, rest)
        after = after.model_copy(update={"parts": parts, "counts": counting.document(tally)})
        told = f"Rows were deleted on request. The figures above are those of {before.full_name}, with them."
        seal(
            folder,
            after,
            before,
            f"{(delivery / CARD).read_text(encoding='utf-8')}\n## {after.version}\n\n{told}\n",
        )
    return target


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


def delete(folder: Path, ids: Collection[str]) -> list[str]:
    """Delete rows by id, with what was made from them; what was done, a line each.

    Raises InputError for what is no id.
    """
    remember(folder, ids)
    done = []
    newest: dict[str, Path] = {}
    held = [path for path in deliveries(folder) if any(holds(file, ids) for file in path.rglob("*.parquet"))]
    for path in deliveries(folder):
        newest[path.name.rpartition("@")[0]] = path
    for path in held:
        if path in newest.values():
            done.append(f"{without(path, ids).name}: {path.name} without them")
        shutil.rmtree(path)
        done.append(f"{path.name}: withdrawn and removed, since it held them")
    if votes.forget(folder / votes.FOLDER, ids):
        done.append("votes on them: removed")
    done += [f"{path}: without them" for path in forget_copies(folder, ids)]
    again = "removed, since it held them; it is made again when it is needed"
    return [*done, *(f"{path}: {again}" for path in forget(folder, ids))]
