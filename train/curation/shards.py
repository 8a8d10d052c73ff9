"""Shards: Parquet files that a stage has finished, each with a receipt; what was finished is not done again.

A shard is NAME.parquet beside NAME.json, its receipt. Both are written whole, the receipt last: a shard
without one, or whose receipt has another key, is not there. The key is a hash of all that decides what is in
it (the stage, its settings, the shard or shards it was made from): a killed stage goes on where it stopped, a
changed setting redoes what it changes, and a new source leaves the shards of the others alone.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from train.files import canonical_json, make_folder, sha256_bytes, sha256_file, sweep_parts, whole_file

if TYPE_CHECKING:
    import pyarrow as pa

    from train.curation.rows import Counts


BUSY = "another build or deletion is at work in this folder"


@dataclass(frozen=True)
class Shard:
    """name: the same in every stage; sha256: of the file; counts: what the stage did to it."""

    path: str
    name: str
    sha256: str
    rows: int
    counts: Counts


def key(*decides: Any) -> str:
    """Hash of JSON values."""
    return sha256_bytes(canonical_json(decides).encode())


def finished(folder: Path, name: str, key: str) -> Shard | None:
    """The shard, if it was committed under this key and is whole."""
    path = folder / f"{name}.parquet"
    try:
        receipt = json.loads((folder / f"{name}.json").read_bytes())
        if receipt["key"] != key or sha256_file(path) != receipt["sha256"]:
            return None
        return Shard(str(path), name, receipt["sha256"], receipt["rows"], receipt["counts"])
    except (OSError, ValueError, KeyError, TypeError):  # none, cut, or of another make: made again
        return None


def commit(folder: Path, name: str, key: str, table: pa.Table, counts: Counts) -> Shard:
    """Write a shard; a reader sees all of it or nothing."""
    path = folder / f"{name}.parquet"
    write(path, table)
    shard = Shard(str(path), name, sha256_file(path), table.num_rows, dict(sorted(counts.items())))
    receipt = {"key": key} | {k: v for k, v in asdict(shard).items() if k != "path"}
    with whole_file(folder / f"{name}.json", private=True) as part:
        part.write_text(canonical_json(receipt) + "\n", encoding="utf-8")
    return shard


def write(path: Path, table: pa.Table) -> None:
    """A Parquet file whose bytes depend on the table alone, not on how it lies in memory."""
    import pyarrow.parquet as pq

    with whole_file(path, private=True) as part:
        pq.write_table(table.combine_chunks(), part, compression="zstd", row_group_size=ROW_GROUP)


ROW_GROUP = 20_000


def read(shards: Iterable[Shard], columns: Sequence[str] | None = None) -> pa.Table:
    """All rows of the shards in order. columns: those to read; of a shard without one of them, nulls."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables = []
    for shard in shards:
        with pq.ParquetFile(shard.path) as file:
            wanted = None if columns is None else [c for c in columns if c in file.schema_arrow.names]
            tables.append(file.read(columns=wanted))
    return pa.concat_tables(tables, promote_options="default").combine_chunks()


def begin(folder: Path) -> None:
    """Make a stage's folder, owner-only: shards hold texts. What a killed run left half-written goes."""
    make_folder(folder, mode=0o700)
    sweep_parts(folder)


def keep_only(folder: Path, shards: Sequence[Shard]) -> None:
    """Remove shards that the stage no longer has: of sources that are gone, or of rows that are."""
    names = {shard.name for shard in shards}
    for path in sorted(folder.glob("*.parquet")):
        if path.stem not in names:
            path.with_suffix(".json").unlink(missing_ok=True)
            path.unlink()


def note(folder: Path, name: str, key: str, document: Any) -> None:
    """Keep what a stage found out, as JSON beside its shards."""
    with whole_file(folder / f"{name}.note", private=True) as part:
        part.write_text(canonical_json({"key": key, "document": document}) + "\n", encoding="utf-8")


def noted(folder: Path, name: str, key: str) -> Any:
    """What `note` kept under this key, else None."""
    try:
        found = json.loads((folder / f"{name}.note").read_bytes())
        return found["document"] if found["key"] == key else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def total(shards: Iterable[Shard]) -> dict[str, int]:
    """Counts of all shards, added up."""
    added: Counter[str] = Counter()
    for shard in shards:
        added.update(shard.counts)
    return dict(sorted(added.items()))
