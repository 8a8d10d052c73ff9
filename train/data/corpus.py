"""All sources together: one table of encoded examples, their label cells and their splits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pydantic import Field, model_validator

from train.data import cache
from train.data.encoding import Encoder
from train.data.shares import impossible
from train.data.source import Source
from train.data.split import NAMES, Split, levels
from train.errors import InputError, Problem
from train.example import Batch, Window
from train.files import hashed, whole_file
from train.spec import Seed, Spec

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


class Data(Spec):
    seed: Seed = 17
    """Order of the training examples."""
    split: Split = Split()
    epoch_rows: int | None = Field(default=None, ge=1)
    """Examples in an epoch; default: every training row once, but for what `share` and `rows` say."""
    sources: dict[str, Source] = Field(min_length=1)

    @model_validator(mode="after")
    def _can_be_filled(self) -> Self:
        """Said here, so that it stands beside what is wrong in other sections."""
        mistakes = [f"{what}; expected {expected}" for what, expected, _ in impossible(self.sources)]
        if not any(source.labels for source in self.sources.values()):
            mistakes.append("no source has `labels`; where none holds, there is nothing to learn")
        if mistakes:
            raise ValueError("; ".join(mistakes))
        return self


@dataclass(frozen=True)
class Corpus:
    """Every example of a recipe, equal texts united. Positions 0..n-1 address its rows everywhere.

    table: memory-mapped columns id, group, text, source, slice.<k>, of m >= n rows as the sources have them;
    row: int64 [n], the table's row of each position; targets: float32 [n, L], NaN where unknown; split,
    source: str [n]; synthetic: bool [n]; tokens with offsets: int32, row i of the table is
    tokens[offsets[i]:offsets[i + 1]].
    """

    labels: tuple[str, ...]
    table: pa.Table
    row: np.ndarray
    targets: np.ndarray
    split: np.ndarray
    source: np.ndarray
    synthetic: np.ndarray
    tokens: np.ndarray
    offsets: np.ndarray
    encoder: Encoder
    left_out: Mapping[str, Mapping[str, int]]
    """Rows that `bad_rows: drop` left out, by source and reason."""
    united: np.ndarray
    """Position of each row of the table, int64 [m]."""
    contradictions: Mapping[str, int]
    """By label: texts that one row calls positive and another negative. Their cell is the rows' mean."""

    @cached_property
    def lengths(self) -> np.ndarray:
        """Tokens of each row that the model sees at once, int64 [n]."""
        import numpy as np

        return np.minimum(np.diff(self.offsets)[self.row], self.encoder.tokens)

    def rows(self, split: str) -> np.ndarray:
        """Positions of a split, ascending."""
        import numpy as np

        return np.flatnonzero(self.split == split)

    def column(self, name: str, rows: np.ndarray) -> np.ndarray:
        """A table column at `rows`, object array; missing values are None."""
        return self.table.column(name).take(_index(self.row[rows])).to_numpy(zero_copy_only=False)

    def texts(self, rows: np.ndarray) -> list[str]:
        return list(self.column("text", rows))

    def sequences(self, rows: np.ndarray) -> list[np.ndarray]:
        """The tokens of each row, whole."""
        return [self.tokens[self.offsets[row] : self.offsets[row + 1]] for row in self.row[rows]]

    def batch(self, rows: np.ndarray, *draw: int) -> Batch:
        """Rows to train on; of a text's windows the one that `draw`, such as (seed, epoch), falls to."""
        import torch

        ids = tuple(self.column("id", rows))
        seen = []
        for id, whole in zip(ids, self.sequences(rows), strict=True):
            windows = self.encoder.windows(whole)
            seen.append(windows[hashed(*draw, id) % len(windows)] if len(windows) > 1 else whole)
        return Batch(rows, ids, self.encoder.pad(seen), torch.from_numpy(self.targets[rows]))

    def window(self, step: int, rows: np.ndarray, pieces: Sequence[np.ndarray], *draw: int) -> Window:
        """One update: `rows` over all processes, of which this process computes `pieces`.

        A process with no piece (the window is smaller than the number of processes) computes one row with
        all cells unknown, so that it takes part in the gradient's exchange and adds nothing to it.
        """
        import numpy as np
        import torch

        batches = [self.batch(piece, *draw) for piece in pieces]
        if not batches:
            idle = self.batch(rows[:1], *draw)
            batches = [Batch(idle.rows, idle.ids, idle.inputs, torch.full_like(idle.targets, torch.nan))]
        known = int(np.count_nonzero(~np.isnan(self.targets[rows])))
        return Window(step, len(rows), known, tuple(batches))

    def write_split(self, path: Path) -> None:
        """Which split each row fell to: id, group, source, split, united_with (the id of the row that stands
        for all with this text, null for itself); no text."""
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        columns = {name: self.table.column(name) for name in ("id", "group", "source")}
        stands = self.row[self.united]
        other = pa.array(np.where(stands == np.arange(len(stands)), -1, stands))
        names = columns["id"].take(pc.if_else(pc.less(other, 0), None, other))
        columns |= {"split": pa.array(self.split[self.united]), "united_with": names}
        with whole_file(path) as part:
            pq.write_table(pa.table(columns), part)


def _index(rows: np.ndarray) -> object:
    import pyarrow as pa

    return pa.array(rows)


def build(
    data: Data,
    labels: Sequence[str] | None,
    digests: Mapping[str, str],
    encoder: Encoder,
    where: str,
) -> Corpus:
    """Read (or map from the cache) every source, unite equal texts, assign the splits.

    Labels and sources stand in the order of their names, real sources before synthetic ones: how files list
    them is no part of a run.

    labels: those to train, None for all that have a positive in train;
    digests: content digest by source; where: the place in the recipe that names the labels.
    Raises InputError for a named label without a positive in train.
    """
    import numpy as np
    import pyarrow as pa

    from train.data.twins import unite

    sources = dict(sorted(data.sources.items(), key=lambda item: (item[1].synthetic, item[0])))
    read = {name: cache.encoded(name, source, digests[name], encoder) for name, source in sources.items()}
    parts = [part for part, _ in read.values()]
    sizes = [len(part) for part in parts]
    table = pa.concat_tables([part.data.table for part in parts], promote_options="default")
    number = np.repeat(np.arange(len(sources)), sizes)
    declared = sorted({label for source in sources.values() for label in source.labels})
    wanted = [label for label in declared if labels is None or label in labels]
    cells = np.column_stack([table.column(f"label.{label}").to_numpy() for label in wanted]).astype("float32")
    for position, source in enumerate(sources.values()):
        if source.all_negative:
            absent = [column for column, label in enumerate(wanted) if label not in source.labels]
            cells[np.ix_(number == position, absent)] = 0.0
    twins = unite(table.column("twin").to_numpy(), cells)
    split = _assign(data.split, table, number, twins.of)[twins.first]
    if empty := [name for name in NAMES if not (split == name).any()]:
        raise InputError(_empty_split(where, empty, len(split)))
    positive = ((twins.targets > 0.5) & (split == "train")[:, None]).any(axis=0)
    if labels is not None and not positive.all():
        raise InputError(
            [_no_positive(where, label) for label, some in zip(wanted, positive, strict=True) if not some]
        )
    if not positive.any():
        raise InputError([_no_positive(where, label) for label in wanted])
    lists = table.column("input_ids").combine_chunks()
    lists = lists if isinstance(lists, pa.Array) else pa.concat_arrays(lists.chunks)
    names = np.array(list(sources), dtype=object)
    kept = tuple(label for label, some in zip(wanted, positive, strict=True) if some)
    return Corpus(
        labels=kept,
        table=table,
        row=twins.first,
        targets=np.ascontiguousarray(twins.targets[:, positive]),
        split=split,
        source=names[number[twins.first]],
        synthetic=np.array([source.synthetic for source in sources.values()])[number[twins.first]],
        tokens=lists.flatten().to_numpy(),
        offsets=np.concatenate([[0], np.cumsum(lists.value_lengths().to_numpy())]),
        encoder=encoder,
        left_out={name: reasons for name, (_, reasons) in read.items() if reasons},
        united=twins.of,
        contradictions={
            label: int(count) for label, count in zip(wanted, twins.contradictions, strict=True) if count
        },
    )


def _assign(split: Split, table: pa.Table, source: np.ndarray, twin: np.ndarray) -> np.ndarray:
    """The split of every row of the table, object [n]."""
    import numpy as np

    groups = table.column("group").combine_chunks().dictionary_encode()
    claims = table.column("split").combine_chunks().dictionary_encode()
    claim = np.array(claims.dictionary.to_pylist(), dtype=object)[claims.indices.to_numpy()]
    found = levels(split, groups.dictionary.to_pylist(), groups.indices.to_numpy(), claim, source, twin)
    return np.array(NAMES, dtype=object)[found]


def _empty_split(where: str, empty: Sequence[str], rows: int) -> Problem:
    return Problem(
        where,
        f"data.split leaves no row for {', '.join(empty)} ({rows} rows in all)",
        "rows in train, dev, calibration and test",
        "more data or finer groups, larger shares in data.split, or another data.split.seed",
    )


def _no_positive(where: str, label: str) -> Problem:
    return Problem(
        where,
        f"labels: {label}: no example of the train split is positive (above 0.5)",
        "at least one; see `teensafe plan` for the counts by source and split",
        "leave the label out of `labels`, or correct its mapping in data.sources",
    )
