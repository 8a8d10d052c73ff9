"""Training rows again as somebody writes them who evades a filter, or in a hurry: new rows, made by seed.

A made row is its parent but for the words: group, split, label cells, slices, licence and claim are the
parent's. It is synthetic, whatever its parent is: nobody wrote it like that, so no figure of real text may
count it; and where it happens to read like a real text, a recipe then leaves it out instead of averaging the
two rows' cells.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field, field_validator

from train.curation.clean import Clean, clean
from train.curation.rows import LABEL, SLICE
from train.data.values import collapsed
from train.example import TURN
from train.files import hashed
from train.policy import ESCALATED, Policy
from train.spec import Seed, Spec
from train.suites.perturbations import SINGLE, perturb

if TYPE_CHECKING:
    import pyarrow as pa

    from train.curation.rows import Counts

Share = Annotated[float, Field(gt=0, le=1)]
_NO_USE = ("case", "algospeak_held_out")
"""A text in another case is the same text to a recipe; coded words kept from training are for tests."""
_USEFUL = tuple(kind for kind in SINGLE if kind not in _NO_USE)
_OF_PARENT = (
    *("source", "group", "licence", "claim", "split", "cluster", "conversation"),
    *("language", "language_confidence", "stated_age"),
)
_OF_PARENT_TOO = (LABEL, SLICE, "by.")
"""Columns, and how their names begin, that say the same of a made row as of its parent."""
MARK = "~"
"""Between a parent's id and the kind, in the id of a made row."""
_MARK = "\0"
_PLACEHOLDER = rf"\[[A-Z][A-Z0-9_]*\]|{_MARK}"
_IN_TEXT = re.compile(_PLACEHOLDER)
_IN_TURNS = re.compile(rf"(?:\A|{TURN})[^{TURN}]*?: |{_PLACEHOLDER}")


class Augment(Spec):
    kinds: dict[str, Share] = Field(default=dict.fromkeys(_USEFUL, 0.05), min_length=1)
    """Kind, or KIND+KIND one upon the other -> share of the training rows that it is tried on: leetspeak,
    spacing, zero_width, homoglyphs, repeated, typos, emoji, algospeak (without the coded words that suites
    keep for themselves). A row on which it has no hold makes none."""
    escalated: bool = False
    """Whether texts that a tier-3 label holds for, or may hold for (a cell above 0), are parents, too."""
    seed: Seed = 1

    @field_validator("kinds")
    @classmethod
    def _known(cls, value: dict[str, float]) -> dict[str, float]:
        for kind in value:
            if not {*kind.split("+")} <= {*_USEFUL}:
                raise ValueError(f"'{kind}' is none of {', '.join(_USEFUL)}, nor two of them joined by +")
        return value


def augment(
    table: pa.Table, spec: Augment, policy: Policy, cleaning: Clean, deleted: Collection[str] = ()
) -> tuple[pa.Table, Counts]:
    """The made rows alone, those of one parent together, with the columns of `table`.

    Only rows of split `train` that were not made themselves are parents. Which rows are made, and how they
    read, is a function of (seed, kind, parent's id). deleted: ids of made rows that are made no more.
    cleaning: how `normal` and `changed` come about. What
    other stages found in a parent's words (spans, duplicates, suspects) is null: nobody looked for it here.
    """
    import pyarrow as pa

    parents, counts = np.flatnonzero(_are_parents(table, spec, policy)), Counter[str]()
    made = [*_made(table.select(["id", "text"]).take(parents), spec, {*deleted}, counts)]
    rows = table.take(pa.array([parents[row] for row, *_ in made], pa.int64()))
    texts = pa.array([text for *_, text in made], pa.string())
    copies, _ = clean(pa.table({"text": texts}), cleaning)
    own = {
        "id": pa.array([f"{id}{MARK}{kind}" for _, id, kind, _ in made], pa.string()),
        "parent": pa.array([id for _, id, _, _ in made], pa.string()),
        "synthetic": pa.array([True] * len(made), pa.bool_()),
        **{name: copies.column(name) for name in ("text", "normal", "changed")},
    }
    for at, field in enumerate(table.schema):
        if field.name in own:
            rows = rows.set_column(at, field, own[field.name])
        elif field.name not in _OF_PARENT and not field.name.startswith(_OF_PARENT_TOO):
            rows = rows.set_column(at, field, pa.nulls(len(made), field.type))
    return rows, counts


def _are_parents(table: pa.Table, spec: Augment, policy: Policy) -> np.ndarray:
    """bool [n]"""
    import pyarrow.compute as pc

    may = pc.and_(pc.equal(table.column("split"), "train"), pc.is_null(table.column("parent")))
    for label, said in policy.labels.items():
        if said.tier == ESCALATED and not spec.escalated and LABEL + label in table.column_names:
            may = pc.and_not(may, pc.fill_null(pc.greater(table.column(LABEL + label), 0), False))
    return np.asarray(pc.fill_null(may, False))


def _made(
    parents: pa.Table, spec: Augment, deleted: Collection[str], counts: Counter[str]
) -> Iterator[tuple[int, str, str, str]]:
    """(position of the parent, its id, kind, text). A text that reads as its parent is none."""
    ids, texts = (parents.column(name).to_pylist() for name in ("id", "text"))
    for row, (id, text) in enumerate(zip(ids, texts, strict=True)):
        for kind, share in sorted(spec.kinds.items()):
            if hashed("augment", spec.seed, kind, id) >= share * 2**60 or f"{id}{MARK}{kind}" in deleted:
                continue
            disguise = disguised(text, kind, spec.seed, id)
            if collapsed(disguise) == collapsed(text):
                counts[f"unchanged.{kind}"] += 1
            else:
                counts[f"made.{kind}"] += 1
                yield row, id, kind, disguise


def disguised(text: str, kind: str, seed: int, id: str) -> str:
    """`perturb` for training, which leaves speakers and the placeholders of personal data as they are."""
    kept = _IN_TURNS if TURN in text else _IN_TEXT
    found = iter(kept.findall(text))
    said = perturb(kept.sub(_MARK, text), kind, seed=seed, key=id, held_out=False)
    return re.sub(_MARK, lambda _: next(found), said)
