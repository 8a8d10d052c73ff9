"""How a stage runs: over each shard by itself, or over all rows at once; what is finished is not done again.

What enters: shards and a function of Arrow tables. What leaves: shards, what was counted, and what was found.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from train.curation.runner import NATIVE, over
from train.curation.shards import Shard, begin, commit, finished, keep_only, key, note, noted, read, total
from train.spec import Spec
from train.terminal import Terminal

if TYPE_CHECKING:
    import pyarrow as pa

    from train.curation.rows import Counts


@dataclass(frozen=True)
class Done:
    """A finished stage. counts: over all rows; found: what stands on the delivery's card."""

    name: str
    told: Any
    shards: Sequence[Shard]
    counts: Counts
    found: Any = None


@dataclass(frozen=True)
class Setting:
    """Where and how stages run: folder: of the build; runner: see runner.py."""

    folder: Path
    runner: str
    terminal: Terminal

    def of(self, stage: str) -> Path:
        return self.folder / "work" / stage


@dataclass(frozen=True)
class Stage:
    """A stage's name and what its result depends on beside its input.

    make: raise it when what the stage does changes; told: its settings; packages: those whose version
    decides.
    """

    name: str
    make: int
    told: Spec | None = None
    packages: tuple[str, ...] = ()
    hidden: Any = None
    """Fields of `told` that the delivery does not repeat, as pydantic's `exclude` has it: places."""
    beside: Any = None
    """What else it reads, as JSON: digests of files, a policy's version."""

    def key(self, *inputs: str) -> str:
        packages = {package: version(package) for package in self.packages}
        told = self.told.model_dump(mode="json") if self.told else None
        return key(self.name, self.make, told, packages, self.beside, inputs)

    @property
    def said(self) -> Any:
        """Its settings, as the delivery repeats them."""
        return self.told.model_dump(mode="json", exclude=self.hidden) if self.told else None


SMALL = 5_000
"""Rows up to which the work is done before processes for it would have begun."""
Each = Callable[..., "tuple[pa.Table, Counts]"]
"""(the table of a shard, the stage's Spec) -> (what it becomes, counts)"""
Whole = Callable[["pa.Table"], "tuple[pa.Table, Counts, Any]"]
"""All rows, of the columns asked for -> (new columns, a row each; counts; what was found)"""


def each(stage: Stage, function: Each, shards: Sequence[Shard], setting: Setting, suffix: str = "") -> Done:
    """Run a stage over each shard by itself, on all cores or machines.

    suffix: put before the number in the names of the shards that come out: what they hold is another source.
    """
    folder = setting.of(stage.name)
    begin(folder)
    made: dict[str, Shard] = {}
    names = [_suffixed(shard.name, suffix) for shard in shards]
    todo: list[str] = []
    for shard, name in zip(shards, names, strict=True):
        its_key = stage.key(shard.sha256)
        if there := finished(folder, name, its_key):
            made[name] = there
        else:
            todo.append(json.dumps({"name": name, "path": shard.path, "key": its_key}))
    with setting.terminal.bar(stage.name, len(shards), len(made)) as advance:
        work = _Over(function, stage.told, str(folder))
        small = setting.runner == NATIVE and sum(shard.rows for shard in shards) <= SMALL
        receipts = (("", work(item)) for item in todo) if small else over(setting.runner, work, todo)
        for _, receipt in receipts:
            shard = Shard(**json.loads(receipt))
            made[shard.name] = shard
            advance(1)
    done = [made[name] for name in names]
    keep_only(folder, done)
    return Done(stage.name, stage.said, done, total(done))


def _suffixed(name: str, suffix: str) -> str:
    source, _, number = name.rpartition("-")
    return f"{source}{suffix}-{number}"


@dataclass(frozen=True)
class _Over:
    """One shard through one function, wherever this runs."""

    function: Each
    told: Spec | None
    folder: str

    def __call__(self, item: str) -> str:
        asked = json.loads(item)
        table = read([Shard(asked["path"], asked["name"], "", 0, {})])
        table, counts = self.function(table, self.told) if self.told else self.function(table)
        return json.dumps(asdict(commit(Path(self.folder), asked["name"], asked["key"], table, counts)))


def whole(
    stage: Stage, function: Whole, reads: Sequence[str], shards: Sequence[Shard], setting: Setting
) -> Done:
    """Run a stage over all rows at once; memory holds the columns it reads.

    reads: names of columns, or beginnings of names that end in a dot, such as label.
    """
    folder = setting.of(stage.name)
    begin(folder)
    its_key = stage.key(*(shard.sha256 for shard in shards))
    keys = [key(its_key, shard.name) for shard in shards]
    there = [finished(folder, shard.name, own) for shard, own in zip(shards, keys, strict=True)]
    noted_before = noted(folder, stage.name, its_key)
    if noted_before and all(there):
        made = [shard for shard in there if shard]
        return Done(stage.name, stage.said, made, noted_before["counts"], noted_before["found"])
    table = read(shards, columns_of(shards, reads))
    with setting.terminal.bar(stage.name, len(shards)) as advance:
        columns, counts, found = function(table)
        del table
        made, start = [], 0
        for shard, own in zip(shards, keys, strict=True):
            rows = columns.slice(start, shard.rows)
            start += shard.rows
            made.append(commit(folder, shard.name, own, _with(read([shard]), rows), {}))
            advance(1)
    counts = dict(sorted(counts.items()))
    note(folder, stage.name, its_key, {"counts": counts, "found": found})
    keep_only(folder, made)
    return Done(stage.name, stage.said, made, counts, found)


def columns_of(shards: Sequence[Shard], reads: Sequence[str]) -> list[str]:
    import pyarrow.parquet as pq

    names: Mapping[str, None] = dict.fromkeys(
        name for shard in shards for name in pq.read_schema(shard.path).names
    )
    return [n for n in names if n in reads or any(r.endswith(".") and n.startswith(r) for r in reads)]


def _with(table: pa.Table, columns: pa.Table) -> pa.Table:
    """The table with columns added, or put in place of those of the same name."""
    for name in columns.column_names:
        if name in table.column_names:
            table = table.set_column(table.column_names.index(name), name, columns.column(name))
        else:
            table = table.append_column(name, columns.column(name))
    return table
