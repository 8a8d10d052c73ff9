"""Rows to a sheet to fill in, and a filled one to votes: CSV, a column a label.

Label Studio's CSV and JSON-MIN exports are such tables, too: a row an annotation.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from io import StringIO
from typing import TYPE_CHECKING, Any

from train.curation.people.answers import ANSWERS, answer, begun
from train.curation.people.escalated import sendable
from train.curation.people.votes import Vote, named
from train.data.findings import Findings
from train.data.values import NotOneValue, plain
from train.example import TURN
from train.policy import Policy

if TYPE_CHECKING:
    import pyarrow as pa

_BESIDE = ("item", "round", "policy", "labels", "annotator", "text", "turns")
"""Columns that are no labels; so are those that Label Studio adds, none of which holds an answer."""
_FORMULA = tuple("=+-@＝＋－＠\t\r\n")
"""What a spreadsheet takes for the beginning of a formula, or skips before one (OWASP, CSV injection)."""


def sheet(
    rows: pa.Table, labels: Sequence[str], policy: Policy, round_: int = 0, send_escalated: bool = False
) -> tuple[str, int]:
    """(CSV with a column a label to answer with yes, no or unsure, how many rows of tier 3 were kept back).

    rows: id, text and label.<L>, of which none is told; `asks` where each row asks for labels of its own. The
    turns of a conversation stand on lines of their own. No cell is a formula: where one would be, a ' stands
    before it, which reading takes off again.
    """
    sent, held = sendable(rows, policy, send_escalated)
    out = StringIO()
    writer = csv.writer(out)
    asks = "asks" in rows.column_names
    writer.writerow(["item", "round", "policy", *(["labels"] * asks), "annotator", *labels, "text"])
    names = ("id", "text", *(["asks"] * asks))
    for id, text, *its in zip(*(sent.column(name).to_pylist() for name in names), strict=True):
        words = harmless(text.replace(TURN, "\n"))
        writer.writerow([harmless(id), round_, named(policy), *its, "", *[""] * len(labels), words])
    return out.getvalue(), held


def harmless(cell: str) -> str:
    """A cell that no spreadsheet computes."""
    return f"'{cell}" if cell.lstrip("'").startswith(_FORMULA) else cell


def original(cell: str) -> str:
    """What `harmless` was given."""
    return cell[1:] if cell.startswith("'") and cell.lstrip("'").startswith(_FORMULA) else cell


def votes(where: str, row: Mapping[str, Any], policy: Policy, found: Findings, ballot: str) -> Iterator[Vote]:
    """The votes of a filled row; an empty cell is none. ballot: of a row without an id of its annotation."""
    item = row.get("item")
    said = {**row, "item": original(item) if isinstance(item, str) else item}
    if (begin := begun(where, said, policy, found)) is None:
        return
    try:
        who, annotation = (plain(row.get(name)) for name in ("annotator", "annotation_id"))
    except NotOneValue as error:
        found.add(where, f"annotator: {error}", "a name or a number")
        return
    vote = begin._replace(annotator=who, ballot=annotation or ballot)
    for label, cell in row.items():
        meant = label not in _BESIDE and isinstance(cell, str) and cell.strip().lower() in ANSWERS
        if (label in policy.labels and cell not in (None, "")) or meant:
            value = answer(where, label, cell, policy, found)
            if value is not None:
                yield vote._replace(label=label, value=value)
