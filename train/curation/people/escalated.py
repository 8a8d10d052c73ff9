"""Which rows may be shown to people who were not asked whether they would read the gravest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from train.policy import ESCALATED, Policy

if TYPE_CHECKING:
    import pyarrow as pa


def sendable(rows: pa.Table, policy: Policy, send_escalated: bool = False) -> tuple[pa.Table, int]:
    """(the rows to send, how many stay): what a label of tier 3 holds for or may hold for, as a cell above 0
    says, goes out only with `send_escalated`. rows: with label.<L>.

    An unknown cell keeps nothing back, other than from an LLM elsewhere (labelling/chosen.py): telling what
    nobody has read is what people are asked for.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    from train.curation.rows import LABEL

    if send_escalated:
        return rows, 0
    grave = pa.array([False] * len(rows))
    for name, label in policy.labels.items():
        if label.tier == ESCALATED and LABEL + name in rows.column_names:
            grave = pc.or_(grave, pc.fill_null(pc.greater(rows.column(LABEL + name), 0), False))
    allowed = rows.filter(pc.invert(grave))
    return allowed, len(rows) - len(allowed)
