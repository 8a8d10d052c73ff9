"""Votes: what one person says of one text and label. They are kept as they came, for ever.

| column | type | what |
|---|---|---|
| item | string | id of the row that it is on |
| label | string | |
| annotator | string or null | who says it: a pseudonym or an account's number, never shown as it is |
| value | float64 or null | probability that the label holds, 0.5: unsure; null: looked at and skipped |
| round | int16 | 0: by people who did not know each other's votes; from 1: adjudication, in order |
| ballot | string | tells the votes of unknown people on one item apart: an annotation's id, a row of a file |
| policy | string or null | name and version of the policy that it was given under |
| file | string or null | name of the file that it came in |
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from train.curation.shards import write
from train.data.cells import Votes
from train.data.reading import read
from train.data.source import SliceColumn, Source
from train.data.values import several
from train.errors import Failure, Problem
from train.files import canonical_json, make_folder, sha256_bytes, sweep_parts
from train.policy import Policy

if TYPE_CHECKING:
    import pyarrow as pa

FOLDER = "votes"
"""Beside the deliveries; kept for ever."""
_ITEM, _ANNOTATOR, _OF = "item.", "annotator", "of."


class Vote(NamedTuple):
    """A row of the table above."""

    item: str
    label: str
    annotator: str | None
    value: float | None
    round: int = 0
    ballot: str = ""
    policy: str | None = None
    file: str | None = None


def schema() -> pa.Schema:
    import pyarrow as pa

    kinds = {"value": pa.float64(), "round": pa.int16()}
    return pa.schema([(name, kinds.get(name, pa.string())) for name in Vote._fields])


def table(votes: Iterable[Vote]) -> pa.Table:
    import pyarrow as pa

    columns = [*zip(*votes, strict=True)] or [()] * len(Vote._fields)
    return pa.Table.from_arrays(
        [pa.array(column, kind) for column, kind in zip(columns, schema().types, strict=True)],
        schema=schema(),
    )


def named(policy: Policy) -> str:
    """What `policy` of a vote holds, such as "teen-safety 1.2.0"."""
    return f"{policy.name} {policy.version}"


# ---- behind a source's cells ---------------------------------------------------------------------------


def of_source(name: str, source: Source) -> pa.Table:
    """The raw votes behind a source's cells: of a file with a row an annotation, and of counts of votes,
    which are of nobody known. No rows where its labels are no votes.

    item: the id of the row that gathers them; before an annotator stands the source's name. Raises
    InputError where the source is wrong.
    """
    return table(_behind(name, source) if source.has_votes else ())


def _behind(name: str, source: Source) -> Iterator[Vote]:
    counted = {label: said for label, said in source.labels.items() if isinstance(said, Votes)}
    by = several(source.aggregate.by) if source.aggregate else ()
    slices = {f"{_ITEM}{n}": SliceColumn(column=column) for n, column in enumerate(by)}
    if source.aggregate and source.aggregate.annotator:
        slices[_ANNOTATOR] = SliceColumn(column=source.aggregate.annotator)
    slices |= {f"{_OF}{label}": SliceColumn(column=said.of) for label, said in counted.items()}
    rows = source.model_copy(update={"aggregate": None, "slices": slices})
    first: dict[tuple[str, ...], str] = {}
    for example in read(name, rows):
        item, who = example.id, example.slices.get(_ANNOTATOR)
        who = f"{name}:{who}" if who else None
        if by:
            key = tuple(example.slices.get(f"{_ITEM}{n}", "") for n in range(len(by)))
            if not any(key):
                continue
            item = first.setdefault(key, example.id)
        for label, value in example.labels.items():
            for number, vote in enumerate(_each(value, example.slices.get(f"{_OF}{label}"))):
                yield Vote(item, label, who, vote, ballot=f"{example.id}#{number}", file=name)


def _each(value: float | None, of: str | None) -> Iterator[float | None]:
    """One vote; or of a share of `of` votes, so many for and the rest against. Weights that are no whole
    numbers are nobody's votes."""
    if of is None or value is None:
        yield value
        return
    people, yes = float(of), value * float(of)
    if people.is_integer() and abs(yes - round(yes)) < 1e-6:
        yield from [1.0] * round(yes) + [0.0] * (round(people) - round(yes))


# ---- kept for ever -------------------------------------------------------------------------------------


def keep(folder: Path, votes: pa.Table) -> Path:
    """Add votes to those that were kept before: a new part, named by its place in the order of arrival and by
    its content. The same votes again change nothing, whatever their file is called; no part is replaced."""
    make_folder(folder, mode=0o700)
    sweep_parts(folder)
    digest = _digest(votes)
    if there := [*folder.glob(f"*-{digest}.parquet")]:
        return there[0]
    arrived = max((int(path.name[:6]) for path in folder.glob("*.parquet")), default=0) + 1
    path = folder / f"{arrived:06d}-{digest}.parquet"
    write(path, votes)
    return path


def kept(folder: Path) -> pa.Table:
    """All votes that were ever imported, in the order of arrival. Raises Failure where a part is damaged."""
    return gathered([_part(path) for path in sorted(folder.glob("*.parquet"))])


def next_round(folder: Path) -> int:
    """The round that comes after all those of which votes were imported."""
    import pyarrow.compute as pc

    rounds = kept(folder).column("round")
    return int(pc.max(rounds).as_py()) + 1 if len(rounds) else 1


def forget(folder: Path, items: Collection[str]) -> int:
    """Remove the votes on items whose rows are deleted; how many there were."""
    import pyarrow as pa
    import pyarrow.compute as pc

    removed = 0
    for path in sorted(folder.glob("*.parquet")):
        votes = _part(path)
        gone = pc.is_in(votes.column("item"), value_set=pa.array(sorted(items), pa.string()))
        rest = votes.filter(pc.invert(gone))
        if len(rest) < len(votes):
            removed += len(votes) - len(rest)
            if len(rest):
                write(folder / f"{path.name[:6]}-{_digest(rest)}.parquet", rest)
            path.unlink()
    return removed


def _part(path: Path) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        votes = pq.ParquetFile(path).read().cast(schema())
        whole = path.stem.endswith(f"-{_digest(votes)}")
    except (pa.ArrowException, OSError, ValueError):
        whole = False
    if not whole:
        what = "these votes are not what was imported"
        raise Failure(Problem(str(path), what, "the content that its name tells", "restore it from a copy"))
    return votes


def _digest(votes: pa.Table) -> str:
    """Of what was said, not of how Parquet writes it or what the file was called."""
    said = votes.drop_columns(["file"]).to_pydict()
    return sha256_bytes(canonical_json(said).encode())[:32]


def gathered(tables: Sequence[pa.Table]) -> pa.Table:
    import pyarrow as pa

    return pa.concat_tables([schema().empty_table(), *tables]).combine_chunks()


def standing(votes: pa.Table, policy: Policy) -> tuple[pa.Table, dict[str, int]]:
    """(the votes that hold today, how many do not and why), of `kept` votes in their order.

    A person has one vote on an item and label in a round, the last that arrived: an export that is taken
    again when more is done repeats what it held. Votes under another major version of the policy, or another
    policy, are of labels that meant something else.
    """
    import pyarrow as pa

    same = _major(named(policy))
    last: dict[tuple[str, str, int, str | None, str], int] = {}
    other = 0
    said = (votes.column(name).to_pylist() for name in ("item", "label", "round", "annotator", "ballot"))
    rows = zip(*said, votes.column("policy").to_pylist(), strict=True)
    for at, (item, label, round_, annotator, ballot, under) in enumerate(rows):
        if under is not None and _major(under) != same:
            other += 1
        else:
            last[item, label, round_, annotator, "" if annotator is not None else ballot] = at
    counts = {"votes.other_policy": other, "votes.repeated": len(votes) - other - len(last)}
    chosen = votes.take(pa.array(sorted(last.values()), pa.int64()))
    return chosen, {what: n for what, n in counts.items() if n}


def _major(policy: str) -> str:
    return policy.partition(".")[0]
