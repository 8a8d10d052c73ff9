"""What people's votes come to: cells of rows, and how far the people agree, by label, source and slice."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from train.curation.counting import MOST_VALUES
from train.curation.people.aggregate import Cells, Level, People, cells
from train.curation.people.agreement import alpha, cohen, fleiss
from train.curation.people.annotators import confusions
from train.curation.people.disagreements import DISPUTED, spread

if TYPE_CHECKING:
    import pyarrow as pa

    from train.curation.rows import Counts
    from train.policy import Policy

READS = ("id", "source", "group", "label.", "slice.")
"""Columns that `agree` reads."""
PEOPLE = "people"
_NONE = Cells({}, frozenset())


def agree(
    table: pa.Table,
    votes: pa.Table,
    own: pa.Table,
    spec: People,
    policy: Policy,
    key: bytes | None = None,
) -> tuple[pa.Table, Counts, Any]:
    """New columns by.<L>, `people` where a cell comes from votes that were imported, disputed.<L> of the
    labels that were voted on (see disagreements.py), and the label columns.

    votes: those behind the sources' cells, which are their means; weighed, they make new ones where they can.
    own: all that were imported, in their order: those that hold under the policy take the place of the
    sources', as votes and as cells. key: of the annotators' pseudonyms, see annotators.py. Found: see
    `measured`.
    """
    import pyarrow as pa

    from train.curation.people.votes import gathered, standing
    from train.curation.rows import LABEL, labels

    own, left = standing(own, policy)
    counts: dict[str, int] = dict(left)
    of_own = cells(own, spec)
    on = zip(votes.column("item").to_pylist(), votes.column("label").to_pylist(), strict=True)
    stay = [item not in of_own.get(label, _NONE).said for item, label in on]
    behind = votes.filter(pa.array(stay, pa.bool_()))
    of_sources = cells(behind, spec) if spec.aggregate != "mean" else {}
    standing_votes = gathered([behind, own])
    bits = spread(standing_votes)
    ids = table.column("id").to_pylist()
    columns: dict[str, pa.Array] = {}
    for label in labels(table):
        ours, theirs = of_own.get(label, _NONE), of_sources.get(label, _NONE)
        weighed = ours.weighed | theirs.weighed
        said = {item: theirs.said[item] for item in theirs.weighed} | ours.said
        before = table.column(LABEL + label).to_pylist()
        cell = [said.get(id, was) for id, was in zip(ids, before, strict=True)]
        by = [PEOPLE if id in ours.said else None for id in ids]
        columns[LABEL + label] = pa.array(cell, pa.float32())
        columns[f"by.{label}"] = pa.array(by, pa.string())
        counted = {"from_people": len(by) - by.count(None), "weighed": sum(id in weighed for id in ids)}
        if differ := bits.get(label):
            columns[DISPUTED + label] = pa.array([differ.get(id) for id in ids], pa.float32())
            counted["disputed"] = sum(differ.get(id, 0) > 0 for id in ids)
        counts |= {f"{what}.{label}": n for what, n in counted.items() if n}
    after = pa.table({name: columns.get(name, table.column(name)) for name in table.column_names})
    return pa.table(columns), counts, measured(after, standing_votes, spec.level, key)


def measured(
    table: pa.Table, votes: pa.Table, level: Level, key: bytes | None = None
) -> list[dict[str, Any]]:
    """Of each label over all rows (slice: null), and by source and slice (slice: "lang=de"): alpha with its
    interval (see agreement.Alpha), Cohen's kappa between people (its median, least, and of how many pairs),
    Fleiss' kappa; of all rows, with a key, also how each annotator's votes stand to the cells of the table.

    Votes of the first round alone, on rows of the table: who adjudicates has seen the others' votes.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    from train.curation.rows import LABEL

    first = pc.equal(votes.column("round"), pa.scalar(0, pa.int16()))
    here = pc.is_in(votes.column("item"), value_set=table.column("id").combine_chunks())
    votes = votes.filter(pc.and_(first, here))
    place = {id: at for at, id in enumerate(table.column("id").to_pylist())}
    groups = table.column("group").to_numpy(zero_copy_only=False)
    found = []
    for label in sorted(set(votes.column("label").to_pylist())):
        its = votes.filter(pc.equal(votes.column("label"), label))
        item, who = (its.column(name).to_numpy(zero_copy_only=False) for name in ("item", "annotator"))
        value = np.asarray(its.column("value").to_numpy(zero_copy_only=False), dtype=np.float64)
        at = np.array([place[id] for id in item], dtype=np.int64)
        cell = table.column(LABEL + label).to_numpy(zero_copy_only=False)
        for where, rows in _slices(table, at).items():
            its_votes = item[rows], who[rows], value[rows]
            one = {"label": label, "slice": where, **_figures(*its_votes, groups[at[rows]], level)}
            if where is None and key is not None:
                one["annotators"] = confusions(who, value, cell[at], key)
            found.append(one)
    return found


def _slices(table: pa.Table, at: np.ndarray) -> Mapping[str | None, np.ndarray]:
    """Slice -> which votes are of it, bool [n]; None: all. at: the rows that the votes are on. A slice of one
    value, or of more than are slices, is none."""
    from train.curation.rows import SLICE, slices

    found: dict[str | None, np.ndarray] = {None: np.ones(len(at), dtype=bool)}
    columns = {"source": "source"} | {name: SLICE + name for name in slices(table)}
    for name, column in columns.items():
        of = table.column(column).to_numpy(zero_copy_only=False)[at]
        values = sorted({value for value in of if value is not None})
        if 1 < len(values) <= MOST_VALUES:
            found |= {f"{name}={value}": of == value for value in values}
    return found


def _figures(
    item: np.ndarray, who: np.ndarray, value: np.ndarray, group: np.ndarray, level: Level
) -> dict[str, Any]:
    its = alpha(item, value, group, level)
    kappas = [kappa for kappa, _ in cohen(item, who, value).values() if kappa is not None]
    of_all = fleiss(item, value)
    return {
        "alpha": its.value,
        "low": its.low,
        "high": its.high,
        "items": its.items,
        "votes": its.votes,
        "sufficient": its.sufficient,
        "cohen": {"median": float(np.median(kappas)), "least": min(kappas), "pairs": len(kappas)}
        if kappas
        else None,
        "fleiss": of_all._asdict() if of_all else None,
    }
