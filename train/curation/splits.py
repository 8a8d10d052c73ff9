"""Which split every row is in: by cluster, conversation and author together, so that no text is trained on
and judged by.

Groups (author, thread, template) that share a near-duplicate cluster are one unit, and a unit is in one
split: see `train.data.split.levels`, which recipes split by, too.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Literal

import numpy as np

from train.data.corpus import ASIDE
from train.data.split import NAMES, Split, joined, levels
from train.data.twins import unite

if TYPE_CHECKING:
    import pyarrow as pa

    from train.curation.rows import Counts

Thinning = Literal["none", "exact", "near"]
READS = ("id", "parent", "source", "group", "claim", "cluster", "duplicate_of", "near_suite")
"""Columns beside label.<L> that `split` reads."""
MADE_OF_HELD_OUT = "made of a row that is held out"
REPEATED = "says what an earlier row of its source says"


def split(table: pa.Table, spec: Split, thinning: Thinning) -> tuple[pa.Table, Counts]:
    """New columns `split` and `left_out`, one of them null; `group`, the id of its unit's first row, since
    what a source calls a group may be somebody's name; and the label cells.

    thinning: of rows of one source that are exact (or near) duplicates the first stays, and its cells are the
    means of what they know. Duplicates of other sources stay: recipes unite equal texts, and each source's
    figures are its own. A row that its group or cluster ties to a more held-out split that it may not enter
    is left out. A row that was made of another is of its group, and left out where that is held out.
    """
    import pyarrow as pa

    from train.curation.rows import LABEL, coded

    names, group = coded(table.column("group"))
    row = {id: at for at, id in enumerate(table.column("id").to_pylist())}
    parents = [row.get(parent, -1) for parent in table.column("parent").to_pylist()]
    made = np.array(parents) >= 0
    group[made] = group[np.array(parents)[made]]
    _, source = coded(table.column("source"))
    _, cluster = coded(table.column("cluster"))
    claim = np.asarray(table.column("claim").to_numpy(zero_copy_only=False))
    level, tied = levels(spec, names, group, claim, source, cluster)
    reason = np.where(tied, level, np.int8(0))
    near = np.asarray(table.column("near_suite").to_numpy(zero_copy_only=False), dtype=object)
    leaks = (level == 0) & table.column("near_suite").is_valid().to_numpy() & (reason == 0)
    held = made & (level > 0)

    same = _same(table, cluster, thinning)
    unit = joined(group, cluster, len(names))[group]
    labels = [name for name in table.column_names if name.startswith(LABEL)]
    cells = np.column_stack([np.asarray(table.column(name), dtype=np.float32) for name in labels])
    kept = np.flatnonzero((reason == 0) & ~leaks & ~held)
    twins = unite(same[kept] * (int(source.max(initial=0)) + 1) + source[kept], cells[kept])
    stays = np.zeros(len(source), dtype=bool)
    stays[kept[twins.first]] = True
    cells[kept[twins.first]] = twins.targets
    why = np.array(ASIDE, dtype=object)[reason]
    why[(reason == 0) & ~stays] = REPEATED
    why[leaks] = [f"near a text of {suite}" for suite in near[leaks]]
    why[held] = MADE_OF_HELD_OUT
    why[stays] = None
    where = np.array(NAMES, dtype=object)[level]
    where[~stays] = None
    _, first, of = np.unique(unit, return_index=True, return_inverse=True)
    columns = {
        "split": pa.array(where, pa.string()),
        "left_out": pa.array(why, pa.string()),
        "group": table.column("id").take(pa.array(first[of])).combine_chunks(),
    } | {name: pa.array(cells[:, i], from_pandas=True) for i, name in enumerate(labels)}
    counts = {f"split.{name}": int((where == name).sum()) for name in NAMES}
    counts |= {f"left_out.{reason}": n for reason, n in Counter(why[why != None]).items()}  # noqa: E711
    counts |= {
        f"contradictions.{name.removeprefix(LABEL)}": int(n)
        for name, n in zip(labels, twins.contradictions, strict=True)
    }
    counts["groups.joined"] = len(names) - len(np.unique(unit))
    return pa.table(columns), {name: count for name, count in counts.items() if count}


def _same(table: pa.Table, cluster: np.ndarray, thinning: Thinning) -> np.ndarray:
    """A number that rows which count as one share, int64 [n]."""
    import pyarrow.compute as pc

    if thinning == "none":
        return np.arange(table.num_rows)
    if thinning == "near":
        return cluster
    first = pc.fill_null(table.column("duplicate_of"), table.column("id"))
    codes: np.ndarray = first.combine_chunks().dictionary_encode().indices.to_numpy()
    return codes.astype(np.int64)
