"""Where the words of a row stand beside the row itself: as context of later messages, in queues, in what was
written from it, and, known by their hash, among the verdicts that language models gave."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from train.curation import queue
from train.curation.production import in_other_words
from train.example import TURN
from train.files import write_text
from train.llm import answers

if TYPE_CHECKING:
    import pyarrow as pa


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


class Words(NamedTuple):
    """found: ids of the rows that are there; later: of messages that are shown with one of them; texts: of
    both, as each stage has them."""

    found: frozenset[str]
    later: frozenset[str]
    texts: frozenset[str]


def words(folder: Path, ids: Collection[str]) -> Words:
    """What the work and the deliveries in a folder say in the words of these rows, and of those made of
    them."""
    texts: set[str] = set()
    later: set[str] = set()
    found: set[str] = set()
    for path in sorted((*folder.glob("work/*/*.parquet"), *folder.glob("*@*/data/*/*.parquet"))):
        rows = [*_rows(path)]
        own = [row for row in rows if row.id in ids or row.parent in ids]
        texts.update(row.text for row in own)
        found.update(row.id for row in own)
        said: dict[tuple[str, str], list[Sequence[str]]] = {}
        for row in own:
            if row.id in ids:
                turns = row.text.split(TURN)
                said.setdefault((row.group, turns[-1]), []).append(turns)
        show = [row for row in rows if row.id not in ids and _shows(row, said)] if said else []
        later.update(row.id for row in show)
        texts.update(row.text for row in show)
    return Words(frozenset(found & {*ids}), frozenset(later), frozenset(texts))


class _Row(NamedTuple):
    id: str
    parent: str | None
    group: str
    text: str


def _rows(path: Path) -> Iterator[_Row]:
    import pyarrow.parquet as pq

    names = pq.read_schema(path).names
    reads = "text" if "text" in names else "turns"
    if not {"id", "parent", "group", reads} <= {*names}:
        return  # no rows of texts: verdicts
    table: pa.Table = pq.read_table(path, columns=["id", "parent", "group", reads])
    for id, parent, group, said in zip(*(column.to_pylist() for column in table.columns), strict=True):
        yield _Row(id, parent, group, said if isinstance(said, str) else _joined(said))


def _joined(turns: Sequence[dict[str, Any]]) -> str:
    return TURN.join(f"{turn['speaker']}: {turn['text']}" for turn in turns)


def _shows(row: _Row, said: dict[tuple[str, str], list[Sequence[str]]]) -> bool:
    """Whether one of the messages stands before the last of a row, behind what stood before it."""
    turns = row.text.split(TURN)
    for at, turn in enumerate(turns[:-1]):
        for before in said.get((row.group, turn), ()):
            n = min(at, len(before) - 1)
            if turns[at - n : at] == before[len(before) - 1 - n : -1]:
                return True
    return False


def forget(folder: Path, ids: Collection[str], texts: Collection[str]) -> list[str]:
    """Remove every queue that shows one of the rows, from what was written every text that says one in other
    words, and every answer about one of the texts; what was done, a line each."""
    done = []
    for place in sorted(path for path in folder.glob(f"{queue.FOLDER}/*") if path.is_dir()):
        rows = place / queue.ROWS
        if not rows.is_file() or holds(rows, ids):  # one that was never finished: nobody knows what it shows
            done.append(f"{place}: removed, since it {'showed' if rows.is_file() else 'may show'} them")
            shutil.rmtree(place)
    for path in sorted(folder.glob("produced/*.jsonl")):
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        rest = [line for line in lines if json.loads(line)["parent"] not in ids]
        if len(rest) < len(lines):
            write_text(path, "".join(rest), private=True)
            done.append(f"{path}: without them")
    if removed := answers.forget([*texts, *map(in_other_words, texts)]):
        done.append(f"{removed:,} cached answers about them: removed")
    return done
