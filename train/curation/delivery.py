"""A delivery: the folder NAME@VERSION that a build leaves, written whole or not at all and never changed.

    data/<source>/<split>.parquet   its rows; a part of the delivery is a source
    left_out.parquet                id, source and reason of every row that is in no split
    README.md, CHANGES.md           the dataset card; what differs from the version before
    manifest.json                   hashes, counts, stages, gates: what a recipe holds the files against

Nothing in it tells when, where or how fast it was made: the same data and settings give the same bytes.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from train.curation import counting
from train.curation.card import card, changes
from train.curation.contract import Contract
from train.curation.curation import Curation
from train.curation.shards import ROW_GROUP, Shard, read
from train.data.delivered import MANIFEST, NAMED, File, Gate, Manifest, Part, proven
from train.data.delivered import read as read_manifest
from train.data.split import NAMES
from train.errors import InputError, Problem
from train.example import TURN
from train.files import canonical_json, sha256_bytes, sha256_file, whole_folder
from train.policy import Policy

if TYPE_CHECKING:
    import pyarrow as pa

LEFT_OUT = "left_out.parquet"
CARD, CHANGES = "README.md", "CHANGES.md"
UNKNOWN = "no label is known"
_INSIDE = ("source", "licence", "claim", "synthetic", "conversation", "split", "left_out")
"""Columns that stages need and a delivery has no use for: they are the same for all rows of a file."""
FOUND = {"language": "language", "age": "stated_age"}
"""Slices that stages find -> their columns."""


@dataclass(frozen=True)
class Said:
    """What stands in a manifest beside its rows. stages: {stage: {told, counts}}; found: {stage: document};
    sources: content digests."""

    curation: Curation
    stages: Mapping[str, Any]
    found: Mapping[str, Any]
    gates: tuple[Gate, ...]
    coverage: Sequence[Mapping[str, Any]]
    sources: Mapping[str, str]


def deliver(shards: Sequence[Shard], said: Said, folder: Path) -> Path:
    """Write `folder`/NAME@VERSION, or find it there with the same content.

    Raises InputError where that version is there with other content, or the previous one is not there.
    """
    target = folder / said.curation.full_name
    if target.is_dir() and not any(target.iterdir()):
        target.rmdir()  # somebody made room for it
    previous = _previous(said.curation, folder)
    if not target.exists():
        with whole_folder(target) as part:
            _fill(part, shards, said, previous)
        return target
    with TemporaryDirectory(dir=folder, prefix=".deliver.", suffix=".part") as part:
        made = _fill(Path(part), shards, said, previous)
    if made.sha256 != proven(target).sha256:
        what = "is delivered already, with other content"
        raise InputError(
            Problem(
                str(target),
                what,
                "a version of its own for what changed",
                "raise `version` in the curation file",
            )
        )
    return target


def deliveries(folder: Path) -> Iterator[Path]:
    """Those in a folder, by name and version."""
    found = [p for p in folder.iterdir() if NAMED.fullmatch(p.name) and (p / MANIFEST).is_file()]
    yield from sorted(found, key=lambda path: _order(path.name))


def _order(full_name: str) -> tuple[str, list[int]]:
    name, _, version = full_name.rpartition("@")
    return name, [int(part) for part in version.split(".")]


def must_follow(curation: Curation, folder: Path) -> None:
    """Raise InputError where the version before is not there or no earlier one, and where there is one that
    the curation does not speak of: its test rows might be trained on."""
    name, version = _order(curation.full_name)
    there = [path.name for path in deliveries(folder) if path.name != curation.full_name]
    own = [one for one in there if _order(one)[0] == name]
    said = curation.previous
    expected = f"one of {', '.join(there)}" if there else "a delivery in that folder"
    if said is None and own:
        what = f"{own[-1]} is in {folder}, and `previous` does not speak of it"
        remedy = f"previous: {own[-1]}, so that its test rows stay test rows; or previous: none"
        raise InputError(Problem(curation.full_name, what, "the version that this one follows", remedy))
    if curation.follows is None:
        return
    if curation.follows not in there:
        raise InputError(Problem("previous", f"{said} is not in {folder}", expected))
    if curation.follows in own and _order(curation.follows)[1] > version:
        raise InputError(Problem("previous", f"{said} is no earlier version", expected, "raise `version`"))


def _previous(curation: Curation, folder: Path) -> Manifest | None:
    return None if curation.follows is None else read_manifest(folder / curation.follows, gates=False)


def _fill(part: Path, shards: Sequence[Shard], said: Said, previous: Manifest | None) -> Manifest:
    curation = said.curation
    written = write_data(shards, part)
    policy, contract = curation.policy, curation.contract
    manifest = Manifest(
        schema=1,
        name=curation.name,
        version=curation.version,
        previous=curation.follows,
        policy=_named(policy),
        contract=_named(contract),
        parts=dict(written.parts),
        others={},
        counts=counting.document(written.tally),
        agreement={one["label"]: one for one in said.found.get("agree", ()) if one["slice"] is None},
        stages={
            **said.stages,
            "sources": dict(said.sources),
            "left_out": dict(written.left_out),
            "required": [*said.coverage],
        },
        gates=said.gates,
        llm=said.found.get("label", {}),
        retention=contract.retention.model_dump(),
    )
    return seal(part, manifest, previous, card(manifest, curation, said.found, said.coverage))


def seal(part: Path, manifest: Manifest, previous: Manifest | None, card: str) -> Manifest:
    """Write what stands beside the rows of a delivery, the manifest last."""
    (part / CARD).write_text(card, encoding="utf-8")
    (part / CHANGES).write_text(changes(manifest, previous), encoding="utf-8")
    others = {name: sha256_file(part / name) for name in (LEFT_OUT, CARD, CHANGES)}
    manifest = manifest.model_copy(update={"others": others}).sealed()
    said = manifest.model_dump(mode="json", by_alias=True)
    text = json.dumps(said, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    (part / MANIFEST).write_text(text + "\n", encoding="utf-8")
    return manifest


def write_file(part: Path, path: str, table: pa.Table) -> File:
    """A table of rows as a delivery holds them. path: relative to the delivery."""
    with _File(part / path) as file:
        file.add(table)
    return file.said(part)


def _named(spec: Policy | Contract) -> dict[str, str]:
    said = spec.model_dump(mode="json", by_alias=True)
    return {
        "name": spec.name,
        "version": spec.version,
        "sha256": sha256_bytes(canonical_json(said).encode()),
    }


def frozen_ids(folder: Path, previous: str | None) -> frozenset[str]:
    """The test rows of the version before: they are never trained on."""
    import pyarrow.parquet as pq

    if previous is None:
        return frozenset()
    manifest = read_manifest(folder / previous, gates=False)
    files = [part.files["test"].path for part in manifest.parts.values() if "test" in part.files]
    tables = [pq.read_table(folder / previous / path, columns=["id"]) for path in files]
    return frozenset(id for table in tables for id in table.column("id").to_pylist())


@dataclass(frozen=True)
class Written:
    parts: Mapping[str, Part]
    tally: counting.Tally
    left_out: Mapping[str, Mapping[str, int]]
    """By source and reason."""


def write_data(shards: Sequence[Shard], folder: Path) -> Written:
    """The rows of every source and split, in their order; those in no split go to left_out.parquet.

    Memory holds a shard and the row group that it is added to.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    tally: counting.Tally = Counter()
    parts: dict[str, Part] = {}
    left_out: dict[str, Counter[str]] = {}
    schema = pa.schema([(name, pa.string()) for name in ("id", "source", "left_out")])
    with ExitStack() as stack:
        left = stack.enter_context(_File(folder / LEFT_OUT))
        left.add(schema.empty_table())
        for source, its in groupby(shards, key=source_of):
            rows = [*its]
            conversations = any(_are_conversations(shard) for shard in rows)
            with _PartFiles(folder, source, "turns" if conversations else "text") as part:
                for shard in rows:
                    table = _settled(read([shard]))
                    gone = table.filter(pc.is_valid(table.column("left_out"))).select(schema.names)
                    left.add(gone)
                    left_out.setdefault(source, Counter()).update(gone.column("left_out").to_pylist())
                    kept = table.filter(pc.is_valid(table.column("split")))
                    tally.update(
                        counting.tally(kept, slices(kept), pc.any(kept.column("synthetic")).as_py() or False)
                    )
                    part.add(kept)
            if part.files:
                parts[source] = part.said()
    return Written(parts, tally, {name: dict(sorted(why.items())) for name, why in left_out.items() if why})


def source_of(shard: Shard) -> str:
    return shard.name.rpartition("-")[0]


def slices(table: pa.Table) -> dict[str, str]:
    """Slice -> its column: what sources say, and what stages found."""
    from train.curation.rows import SLICE

    said = {c.removeprefix(SLICE): c for c in table.column_names if c.startswith(SLICE)}
    found = {name: c for name, c in FOUND.items() if c in table.column_names and name not in said}
    return dict(sorted((said | found).items()))


class _PartFiles:
    """The files of one source, a split each."""

    def __init__(self, folder: Path, source: str, reads: Literal["text", "turns"]) -> None:
        self._folder, self._source, self._reads = folder, source, reads
        self._open: dict[str, _File] = {}
        self._known: set[str] = set()
        self._seen: dict[str, str] = {}
        self._licences: set[str] = set()
        self._synthetic: set[bool] = set()
        self.files: dict[str, File] = {}

    def __enter__(self) -> _PartFiles:
        return self

    def add(self, table: pa.Table) -> None:
        import pyarrow.compute as pc

        from train.curation.rows import LABEL, labels

        self._known |= {name for name in labels(table) if table.column(LABEL + name).null_count < len(table)}
        its = slices(table)
        self._seen |= {name: c for name, c in its.items() if table.column(c).null_count < len(table)}
        self._licences |= {*table.column("licence").to_pylist()}
        self._synthetic |= {*table.column("synthetic").to_pylist()}
        for split in NAMES:
            rows = table.filter(pc.equal(table.column("split"), split))
            if len(rows):
                if split not in self._open:
                    self._open[split] = _File(self._folder / "data" / self._source / f"{split}.parquet")
                self._open[split].add(_delivered(rows, self._reads))

    def __exit__(self, *error: object) -> None:
        for split, file in self._open.items():
            file.close()
            self.files[split] = file.said(self._folder)

    def said(self) -> Part:
        (synthetic,) = self._synthetic
        return Part(
            files=self.files,  # type: ignore[arg-type]
            reads=self._reads,
            labels=tuple(sorted(self._known)),
            slices=dict(sorted(self._seen.items())),
            licence=", ".join(sorted(self._licences)),
            synthetic=synthetic,
        )


class _File:
    """A Parquet file whose row groups, hence bytes, do not depend on how its rows arrive."""

    def __init__(self, path: Path) -> None:
        self.path, self.rows = path, 0
        self._waiting: list[pa.Table] = []
        self._writer: Any = None
        path.parent.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def add(self, table: pa.Table) -> None:
        self._waiting.append(table)
        self.rows += len(table)
        while sum(map(len, self._waiting)) >= ROW_GROUP:
            self._write(ROW_GROUP)

    def close(self) -> None:
        self._write(ROW_GROUP)
        self._writer.close()

    def said(self, folder: Path) -> File:
        path, size = self.path.relative_to(folder).as_posix(), self.path.stat().st_size
        return File(path=path, sha256=sha256_file(self.path), bytes=size, rows=self.rows)

    def _write(self, rows: int) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        if not self._waiting:
            return
        table = pa.concat_tables(self._waiting)
        if self._writer is None:
            self._writer = pq.ParquetWriter(self.path, table.schema, compression="zstd")
        if len(table):
            self._writer.write_table(table.slice(0, rows).combine_chunks())
        self._waiting = [rest] if len(rest := table.slice(rows)) else []


def _are_conversations(shard: Shard) -> bool:
    import pyarrow.compute as pc

    return bool(pc.any(read([shard], ["conversation"]).column("conversation")).as_py())


def _settled(table: pa.Table) -> pa.Table:
    """A row of which no label is known teaches nothing: it is in no split."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from train.curation.rows import LABEL

    known = pa.array([False] * len(table), pa.bool_())
    for name in table.column_names:
        if name.startswith(LABEL):
            known = pc.or_(known, pc.is_valid(table.column(name)))
    split, why = table.column("split"), table.column("left_out")
    table = table.set_column(
        table.column_names.index("left_out"),
        "left_out",
        pc.if_else(pc.or_(known, pc.is_valid(why)), why, UNKNOWN),
    )
    return table.set_column(
        table.column_names.index("split"), "split", pc.if_else(known, split, pa.scalar(None, pa.string()))
    )


def _delivered(table: pa.Table, reads: str) -> pa.Table:
    """The columns that leave. A conversation's turns stand as {speaker, text}, which anything can read."""
    import pyarrow as pa

    table = table.drop_columns([name for name in _INSIDE if name in table.column_names])
    if reads == "text":
        return table
    turns = [
        [dict(zip(("speaker", "text"), turn.split(": ", 1), strict=True)) for turn in text.split(TURN)]
        for text in table.column("text").to_pylist()
    ]
    kind = pa.list_(pa.struct([("speaker", pa.string()), ("text", pa.string())]))
    at = table.column_names.index("text")
    return table.set_column(at, "turns", pa.array(turns, kind))
