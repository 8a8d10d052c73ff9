"""Deletion by id: what a person asks to be deleted is gone from deliveries, work and caches, and stays away.

The ids are kept in DIR/deleted.txt, a line each, so that no later build takes the rows in again; the ids
alone, no text. The newest delivery that holds one of them gets a patch version without it; that and every
older one that holds it is removed, since a delivery is never changed.
"""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from train.alone import alone
from train.curation import copies, counting, shards
from train.curation.copies import holds
from train.curation.coverage import Coverage, Required
from train.curation.deleted import remember, withdraw
from train.curation.delivery import CARD, LEFT_OUT, deliveries, seal, write_file
from train.curation.people import votes
from train.data.delivered import File, Gate, Manifest, Part, proven
from train.errors import InputError, Problem
from train.files import cache_folder, sweep_parts, whole_folder
from train.model.prefix import kept


def forget(folder: Path, ids: Collection[str]) -> list[Path]:
    """Remove every shard of the work and every file of the cache that holds one of the rows, or one that was
    made from them; and all that frozen layers made of any text, which names no row. They are made again
    without it when they are needed."""
    places = [*folder.glob("work/*/*.parquet"), *cache_folder().glob("*.arrow")]
    gone = [path for path in sorted(places) if holds(path, ids)]
    for path in gone:
        path.with_suffix(".json").unlink(missing_ok=True)
        path.unlink()
    states = kept()
    for place in states:
        shutil.rmtree(place)
    return [*gone, *states]


def without(delivery: Path, ids: Collection[str]) -> Path:
    """The next patch version of a delivery, beside it: the same but for the rows of these ids, and those made
    from them. Nothing else is computed again: a row that was tested on stays one, whoever is gone. Whether
    it still holds all the cells that its contract requires is a gate of its own. Raises InputError where its
    files are not what its manifest says."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    before = proven(delivery)
    major, minor, patch = before.version.split(".")
    after = before.model_copy(
        update={"version": f"{major}.{minor}.{int(patch) + 1}", "previous": before.full_name}
    )
    wanted = pa.array(sorted(ids), pa.string())
    target = delivery.parent / after.full_name
    parts: dict[str, Part] = {}
    tally: counting.Tally = Counter()
    coverage = Coverage(_required(before))
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
                counted = table.append_column("split", pa.array([split] * len(table), pa.string()))
                counted = counted.append_column(
                    "synthetic", pa.array([part.synthetic] * len(table), pa.bool_())
                )
                tally.update(counting.tally(counted, part.slices, part.synthetic))
                coverage.add(counted, part.slices)
                if len(table):
                    files[split] = write_file(folder, file.path, table)
            if files:
                parts[name] = part.model_copy(update={"files": files})
        left = pq.read_table(delivery / LEFT_OUT)
        rest = left.filter(pc.invert(pc.is_in(left.column("id"), value_set=wanted)))
        shards.write(folder / LEFT_OUT, rest)
        after = after.model_copy(
            update={
                "parts": parts,
                "counts": counting.document(tally),
                "stages": before.stages | {"required": coverage.document()},
                "gates": tuple(_gates(before, coverage)),
            }
        )
        told = f"Rows were deleted on request. The figures above are those of {before.full_name}, with them."
        card = (delivery / CARD).read_text(encoding="utf-8")
        card = card.replace(before.full_name, after.full_name)  # how a recipe names it
        card = card.replace(f" {before.version}\n", f" {after.version}\n", 1)  # its title
        seal(folder, after, before, f"{card}\n## {after.version}\n\n{told}\n")
    return target


def _patched(delivery: Path, ids: Collection[str]) -> str:
    """`without`, where the delivery is as it was made; what was done. A deletion waits for no repair."""
    try:
        patch = without(delivery, ids)
    except InputError:
        return f"{delivery.name}: its files are not what its manifest says, so nothing is made of it"
    broken = [f"{gate.gate}: {gate.found}" for gate in proven(patch).gates if not gate.held]
    worse = f"; it does not keep its contract any more ({'; '.join(broken)})" if broken else ""
    return f"{patch.name}: {delivery.name} without them{worse}"


def _required(manifest: Manifest) -> list[Required]:
    said = manifest.stages.get("required", [])
    return [Required.model_validate({k: v for k, v in one.items() if k != "has"}) for one in said]


def _gates(before: Manifest, coverage: Coverage) -> Iterator[Gate]:
    """Those of a delivery, but for what is required of its rows: that is asked again."""
    short = "; ".join(map(str, coverage.shortfalls()))
    for gate in before.gates:
        broken = gate.gate == "required" and short
        yield gate.model_copy(update={"held": False, "found": short}) if broken else gate


def delete(folder: Path, ids: Collection[str]) -> list[str]:
    """Delete rows by id, with what was made from them; what was done, a line each.

    Later messages that are shown with a deleted one go, too; the next build has them again, without its
    words. Raises InputError for what is no id, for no ids at all, and where nothing was built.
    """
    if not ids:
        raise InputError(Problem("command line", "says no id", "--id SOURCE:ID, or --ids FILE"))
    if not (folder / "work").is_dir() and not (folder.is_dir() and [*deliveries(folder)]):
        what = "holds neither work nor deliveries"
        raise InputError(Problem(str(folder), what, "the DIR of `teensafe data build --to DIR`"))
    with alone(folder, shards.BUSY):
        for place in (folder, *folder.glob("work/*"), *folder.glob("queue/*"), folder / "produced"):
            sweep_parts(place)  # what a killed build had begun may hold them, too
        remember(folder, ids)
        return _removed(folder, ids)


def _removed(folder: Path, ids: Collection[str]) -> list[str]:
    done = []
    said = copies.words(folder, ids)
    if missing := sorted({*ids} - said.found):
        named = f"{', '.join(missing[:5])}{', ...' if len(missing) > 5 else ''}"
        done.append(f"no row here has {named}: nothing to remove, and no build will take one in")
    if said.later:
        done.append(
            f"{len(said.later):,} later messages show one of them: gone, too; the next build has them without"
        )
    gone = {*ids, *said.later}
    newest: dict[str, Path] = {}
    held = [path for path in deliveries(folder) if any(holds(file, gone) for file in path.rglob("*.parquet"))]
    for path in deliveries(folder):
        newest[path.name.rpartition("@")[0]] = path
    for path in held:
        if path in newest.values():
            done.append(_patched(path, gone))
        withdraw(folder, path.name)
        shutil.rmtree(path)
        done.append(f"{path.name}: withdrawn and removed, since it held them")
    if votes.forget(folder / votes.FOLDER, ids):
        done.append("votes on them: removed")
    done += copies.forget(folder, gone, said.texts)
    again = "removed, since it held them; it is made again when it is needed"
    return [*done, *(f"{path}: {again}" for path in forget(folder, gone))]
