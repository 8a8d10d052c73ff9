"""The queue for people: DIR/queue/NAME@VERSION with Label Studio's tasks and interface, a CSV, and how
each row was drawn. It holds texts, since people have to read them, and is for its owner only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from train.curation.people import label_studio, sheet
from train.curation.selection import STEERS
from train.files import canonical_json, json_text, make_folder, whole_file, write_text
from train.policy import Policy

if TYPE_CHECKING:
    import pyarrow as pa


CHANCES = "chances.parquet"


def is_there(folder: Path) -> bool:
    return (folder / CHANCES).is_file()


def write(
    folder: Path, drawn: Sequence[Mapping[str, Any]], table: pa.Table, policy: Policy, labels: Sequence[str]
) -> Path:
    """drawn: rows of selection.py, which has kept back what may not be seen; table: id and text of all rows,
    in its order. How the rows were drawn is written last: a queue without it is none."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    make_folder(folder, mode=0o700)
    rows = table.take([one["row"] for one in drawn])
    tasks, _ = label_studio.tasks(rows, labels, policy, send_escalated=True)
    filled, _ = sheet.sheet(rows, labels, policy, send_escalated=True)
    write_text(folder / "tasks.json", json_text(tasks), private=True)
    write_text(folder / "interface.xml", label_studio.interface(labels, policy), private=True)
    write_text(folder / "queue.csv", filled, private=True)
    columns = {name: [one[name] for one in drawn] for name in ("id", "rank", "reason", "chance", *STEERS)}
    columns["quota"] = [canonical_json(one["quota"]) for one in drawn]
    with whole_file(folder / CHANCES, private=True) as part:
        pq.write_table(pa.table(columns), part)
    return folder
