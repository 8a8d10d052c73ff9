"""Votes: what one person says of one text and label. They are kept as they came, for ever.

A vote is a row of item (the id of what it is on), group, label, annotator (a pseudonym, or null), value (a
probability in [0, 1], or null: skipped or unsure) and policy (the version it was given under, or null).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from train.data.cells import Votes
from train.data.reading import read
from train.data.source import SliceColumn, Source
from train.data.values import several
from train.files import make_folder, sha256_bytes, whole_file
from train.policy import Policy

if TYPE_CHECKING:
    import pyarrow as pa

FOLDER = "votes"
"""Beside the deliveries; kept for ever."""
_ITEM, _ANNOTATOR, _OF = "item.", "annotator", "of."


def schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema(
        [
            *((name, pa.string()) for name in ("item", "group", "label", "annotator")),
            ("value", pa.float64()),
            ("policy", pa.string()),
        ]
    )


def of_source(name: str, source: Source) -> pa.Table:
    """The raw votes behind a source's cells: of a file with a row an annotation, and of counts of votes,
    which are of nobody known. No rows where its labels are no votes.

    item: the id of the row that gathers them. Raises InputError where the source is wrong.
    """
    import pyarrow as pa

    counted = {label: said for label, said in source.labels.items() if isinstance(said, Votes)}
    if not source.has_votes:
        return schema().empty_table()
    by = several(source.aggregate.by) if source.aggregate else ()
    slices = {f"{_ITEM}{n}": SliceColumn(column=column) for n, column in enumerate(by)}
    if source.aggregate and source.aggregate.annotator:
        slices[_ANNOTATOR] = SliceColumn(column=source.aggregate.annotator)
    slices |= {f"{_OF}{label}": SliceColumn(column=said.of) for label, said in counted.items()}
    rows = source.model_copy(update={"aggregate": None, "slices": slices})
    first: dict[tuple[str, ...], str] = {}
    found: list[tuple[str, str, str, str | None, float | None, None]] = []
    for example in read(name, rows):
        item = example.id
        if by:
            key = tuple(example.slices.get(f"{_ITEM}{n}", "") for n in range(len(by)))
            if not any(key):
                continue
            item = first.setdefault(key, example.id)
        for label, value in example.labels.items():
            who = example.slices.get(_ANNOTATOR)
            votes = _votes(value, example.slices.get(f"{_OF}{label}"))
            found += [(item, example.group, label, who, vote, None) for vote in votes]
    columns = [*zip(*found, strict=True)] if found else [()] * len(schema())
    return pa.Table.from_arrays(
        [pa.array(column, kind) for column, kind in zip(columns, schema().types, strict=True)],
        schema=schema(),
    )


def _votes(value: float | None, of: str | None) -> Iterator[float | None]:
    """One vote; or of a share of `of` votes, so many for and the rest against."""
    if of is None or value is None:
        yield value
        return
    people = round(float(of))
    yes = round(value * people)
    yield from [1.0] * yes + [0.0] * (people - yes)


# ---- kept for ever -------------------------------------------------------------------------------------


def bring_in(path: Path, policy: Policy, folder: Path) -> int:
    """Keep the votes of a file that people filled; how many there were. Raises InputError with every odd
    one."""
    import pyarrow as pa

    from train.curation.people import label_studio

    found = [(*vote, policy.version) for vote in label_studio.votes(path, policy)]
    columns = [*zip(*found, strict=True)]
    keep(
        folder,
        pa.Table.from_arrays(
            [pa.array(column, kind) for column, kind in zip(columns, schema().types, strict=True)],
            schema=schema(),
        ),
    )
    return len(found)


def keep(folder: Path, votes: pa.Table) -> Path:
    """Add votes to those that were kept before; the same ones again change nothing. A part is a file named by
    its content, and none is ever replaced."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    make_folder(folder, mode=0o700)
    with pa.BufferOutputStream() as written:
        pq.write_table(votes, written, compression="zstd")
        content = written.getvalue().to_pybytes()
    path = folder / f"{sha256_bytes(content)[:32]}.parquet"
    if not path.exists():
        with whole_file(path, private=True) as part:
            part.write_bytes(content)
    return path


def forget(folder: Path, items: Collection[str]) -> int:
    """Remove the votes on items whose rows are deleted; how many there were."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    removed = 0
    for path in sorted(folder.glob("*.parquet")):
        votes = pq.read_table(path, schema=schema())
        rest = votes.filter(
            pc.invert(pc.is_in(votes.column("item"), value_set=pa.array(sorted(items), pa.string())))
        )
        if len(rest) < len(votes):
            removed += len(votes) - len(rest)
            if len(rest):
                keep(folder, rest)
            path.unlink()
    return removed


def kept(folder: Path) -> pa.Table:
    """All votes that were ever imported, in an order that their content decides."""
    import pyarrow.parquet as pq

    return gathered([pq.read_table(path, schema=schema()) for path in sorted(folder.glob("*.parquet"))])


def gathered(tables: Sequence[pa.Table]) -> pa.Table:
    import pyarrow as pa

    return pa.concat_tables([schema().empty_table(), *tables]).combine_chunks()
