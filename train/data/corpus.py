"""All sources together: one table of encoded examples, their label cells and their splits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from train.data import cache
from train.data.encoding import Encoder
from train.data.source import Source
from train.data.split import NAMES, Split, assign
from train.errors import InputError, Problem
from train.example import Batch, Window
from train.files import whole_file
from train.spec import Spec

if TYPE_CHECKING:
    import datasets
    import numpy as np


class Data(Spec):
    seed: int = 17
    """Order of the training examples."""
    split: Split = Split()
    sources: dict[str, Source] = Field(min_length=1)


@dataclass(frozen=True)
class Corpus:
    """Every example of a recipe. Positions 0..n-1 address its rows everywhere.

    table: memory-mapped columns id, group, text, source, slice.<k>; targets: float32 [n, L], NaN where
    unknown; split, source: str [n]; synthetic: bool [n]; tokens with offsets: int32, row i is
    tokens[offsets[i]:offsets[i + 1]].
    """

    labels: tuple[str, ...]
    table: datasets.Dataset
    targets: np.ndarray
    split: np.ndarray
    source: np.ndarray
    synthetic: np.ndarray
    tokens: np.ndarray
    offsets: np.ndarray
    encoder: Encoder
    left_out: Mapping[str, Mapping[str, int]]
    """Rows that `bad_rows: drop` left out, by source and reason."""

    @cached_property
    def lengths(self) -> np.ndarray:
        """Tokens of each row, int64 [n]."""
        import numpy as np

        return np.diff(self.offsets)

    def rows(self, split: str) -> np.ndarray:
        """Positions of a split, ascending."""
        import numpy as np

        return np.flatnonzero(self.split == split)

    def column(self, name: str, rows: np.ndarray) -> np.ndarray:
        """A table column at `rows`, object array; missing values are None."""
        return self.table.data.column(name).take(_index(rows)).to_numpy(zero_copy_only=False)

    def texts(self, rows: np.ndarray) -> list[str]:
        return list(self.column("text", rows))

    def batch(self, rows: np.ndarray) -> Batch:
        import torch

        sequences = [self.tokens[self.offsets[row] : self.offsets[row + 1]] for row in rows]
        ids = tuple(self.column("id", rows))
        return Batch(rows, ids, self.encoder.pad(sequences), torch.from_numpy(self.targets[rows]))

    def window(self, step: int, rows: np.ndarray, pieces: Sequence[np.ndarray]) -> Window:
        """One update: `rows` over all processes, of which this process computes `pieces`.

        A process with no piece (the window is smaller than the number of processes) computes one row with
        all cells unknown, so that it takes part in the gradient's exchange and adds nothing to it.
        """
        import numpy as np
        import torch

        batches = [self.batch(piece) for piece in pieces]
        if not batches:
            idle = self.batch(rows[:1])
            batches = [Batch(idle.rows, idle.ids, idle.inputs, torch.full_like(idle.targets, torch.nan))]
        known = int(np.count_nonzero(~np.isnan(self.targets[rows])))
        return Window(step, len(rows), known, tuple(batches))

    def write_split(self, path: Path) -> None:
        """Which split each row fell to: id, group, source, split; no text."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns = {name: self.table.data.column(name) for name in ("id", "group", "source")}
        with whole_file(path) as part:
            pq.write_table(pa.table({**columns, "split": pa.array(self.split)}), part)

    def scoring(self, rows: np.ndarray, batches: Sequence[np.ndarray]) -> Iterator[Batch]:
        """Batches of `rows`; each batch's own `rows` are positions within `rows`."""
        for batch in batches:
            found = self.batch(rows[batch])
            yield Batch(batch, found.ids, found.inputs, found.targets)


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
    """Read (or map from the cache) every source and assign the splits.

    Labels and sources stand in the order of their names: how files list them is no part of a run.

    labels: those to train, None for all that have a positive in train;
    digests: content digest by source; where: the place in the recipe that names the labels.
    Raises InputError for a named label without a positive in train.
    """
    import datasets
    import numpy as np
    import pyarrow as pa

    sources = dict(sorted(data.sources.items()))
    read = {name: cache.encoded(name, source, digests[name], encoder) for name, source in sources.items()}
    parts = [part for part, _ in read.values()]
    table = pa.concat_tables([part.data.table for part in parts], promote_options="default")
    split = _assign(data.split, table.column("group"))
    declared = sorted({label for source in sources.values() for label in source.labels})
    wanted = [label for label in declared if labels is None or label in labels]
    targets = np.column_stack([table.column(f"label.{label}").to_numpy() for label in wanted]).astype(
        "float32"
    )
    if empty := [name for name in NAMES if not (split == name).any()]:
        raise InputError(_empty_split(where, empty, len(split)))
    positive = ((targets > 0.5) & (split == "train")[:, None]).any(axis=0)
    if labels is not None and not positive.all():
        raise InputError(
            [_no_positive(where, label) for label, some in zip(wanted, positive, strict=True) if not some]
        )
    if not positive.any():
        raise InputError([_no_positive(where, label) for label in wanted])
    lists = table.column("input_ids").combine_chunks()
    lists = lists if isinstance(lists, pa.Array) else pa.concat_arrays(lists.chunks)
    sizes = [len(part) for part in parts]
    return Corpus(
        labels=tuple(label for label, some in zip(wanted, positive, strict=True) if some),
        table=datasets.Dataset(datasets.table.InMemoryTable(table)),
        targets=np.ascontiguousarray(targets[:, positive]),
        split=split,
        source=np.repeat(np.array(list(sources), dtype=object), sizes),
        synthetic=np.repeat([source.synthetic for source in sources.values()], sizes),
        tokens=lists.flatten().to_numpy(),
        offsets=np.concatenate([[0], np.cumsum(lists.value_lengths().to_numpy())]),
        encoder=encoder,
        left_out={name: reasons for name, (_, reasons) in read.items() if reasons},
    )


def _assign(split: Split, groups: object) -> np.ndarray:
    import numpy as np

    encoded = groups.combine_chunks().dictionary_encode()  # type: ignore[attr-defined]
    names = np.array([assign(split, group) for group in encoded.dictionary.to_pylist()], dtype=object)
    return names[encoded.indices.to_numpy()]


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
