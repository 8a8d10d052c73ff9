"""The queue for people: DIR/queue/NAME@VERSION with Label Studio's tasks and interface, a CSV, and how
each row was drawn. It holds texts, since people have to read them, and is for its owner only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from train.curation.people import label_studio
from train.files import canonical_json, make_folder, whole_file, write_text
from train.policy import Policy

if TYPE_CHECKING:
    import pyarrow as pa


def write(
    folder: Path, drawn: Sequence[Mapping[str, Any]], table: pa.Table, policy: Policy, labels: Sequence[str]
) -> Path:
    """drawn: rows of selection.py; table: id, group and text of all rows, in its order."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    make_folder(folder, mode=0o700)
    rows = [
        {name: table.column(name)[one["row"]].as_py() for name in ("id", "group", "text")} for one in drawn
    ]
    write_text(folder / "tasks.json", label_studio.tasks(rows), private=True)
    write_text(folder / "interface.xml", label_studio.interface(policy, labels), private=True)
    label_studio.sheet(rows, labels, folder / "queue.csv")
    columns = {name: [one[name] for one in drawn] for name in ("id", "chance", "unsure", "misfit")}
    columns["quota"] = [canonical_json(one["quota"]) for one in drawn]
    with whole_file(folder / "chances.parquet", private=True) as part:
        pq.write_table(pa.table(columns), part)
    return folder
