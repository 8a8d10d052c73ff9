"""Queues for people: a folder with Label Studio's tasks and interface, a CSV, and how each row came into it.
It holds texts, since people have to read them, and is for its owner only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from train.curation.people import label_studio, sheet
from train.curation.shards import begin, note, noted
from train.files import canonical_json, json_text, make_folder, sha256_file, whole_file, write_text
from train.policy import Policy

if TYPE_CHECKING:
    import pyarrow as pa

    from train.curation.rows import Counts

FOLDER = "queue"
"""Beside the deliveries."""
SHEET = "queue.csv"
ROWS = "rows.parquet"
"""id, rank, and why and with what chance a row was taken; it is written last: a queue without it is none."""


def once(folder: Path, work: Path, name: str, key: str, make: Callable[[], Counts]) -> Counts:
    """What `make` counts, which writes the queue in `folder`; not done again under the same key."""
    counts = noted(work, name, key) if (folder / ROWS).is_file() else None
    if counts is None:
        counts = make()
        begin(work)
        note(work, name, key, counts)
    return dict(counts)


def write(
    folder: Path,
    drawn: Sequence[Mapping[str, Any]],
    texts: pa.Table,
    policy: Policy,
    labels: Sequence[str],
    round_: int = 0,
) -> None:
    """drawn: row, id, rank, and what else is told of each, by whoever has kept back what may not be seen;
    texts: id and text of all rows, in its order. asks, where it is among what is told: the labels that a row
    is asked about, else it is all. A queue that is there and was written into since is kept beside it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    _set_aside(folder)
    make_folder(folder, mode=0o700)
    (folder / ROWS).unlink(missing_ok=True)
    names = dict.fromkeys(["row", "id", "rank", *(drawn[0] if drawn else ())])
    told = {name: [one[name] for one in drawn] for name in names}
    rows = texts.take(pa.array(told.pop("row"), pa.int64()))
    some = "asks" in told
    if some:
        asked = {label for its in told["asks"] for label in its.split()}
        labels = [label for label in labels if label in asked]
        rows = rows.append_column("asks", pa.array(told["asks"], pa.string()))
    tasks, _ = label_studio.tasks(rows, labels, policy, round_, send_escalated=True)
    filled, _ = sheet.sheet(rows, labels, policy, round_, send_escalated=True)
    write_text(folder / "tasks.json", json_text(tasks), private=True)
    write_text(folder / "interface.xml", label_studio.interface(labels, policy, some), private=True)
    write_text(folder / SHEET, filled, private=True)
    with whole_file(folder / ROWS, private=True) as part:
        table = pa.table({name: [_plain(v) for v in values] for name, values in told.items()})
        pq.write_table(table.replace_schema_metadata({SHEET: sha256_file(folder / SHEET)}), part)


def _set_aside(folder: Path) -> None:
    """Rename a queue whose sheet somebody has begun to fill in: their work is nobody's to overwrite."""
    import pyarrow.parquet as pq

    if not (folder / ROWS).is_file() or not (folder / SHEET).is_file():
        return
    made = (pq.read_schema(folder / ROWS).metadata or {}).get(SHEET.encode(), b"").decode()
    if sha256_file(folder / SHEET) != made:
        number = next(n for n in count(1) if not folder.with_name(f"{folder.name}-filled-{n}").exists())
        folder.rename(folder.with_name(f"{folder.name}-filled-{number}"))


def _plain(value: Any) -> Any:
    return canonical_json(value) if isinstance(value, dict) else value
