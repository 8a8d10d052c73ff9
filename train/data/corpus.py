"""All sources together: one table of encoded examples, their label cells and their splits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
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
    leave_out: tuple[str, ...] = Field(default=(), exclude_if=lambda value: not value)
    """Sources of which only the test rows are kept: unseen by training, selection and calibration. The test
    split is the same with and without, so it shows how a classifier does on a source it has never met."""

    @property
    def trained(self) -> dict[str, Source]:
        """The sources that are not left out."""
        return {name: source for name, source in self.sources.items() if name not in self.leave_out}

    @model_validator(mode="after")
    def _can_be_filled(self) -> Self:
        """Said here, so that it stands beside what is wrong in other sections."""
        mistakes = [f"{what}; expected {expected}" for what, expected, _ in impossible(self.trained)]
        if strange := sorted({*self.leave_out} - self.sources.keys()):
            mistakes.append(f"leave_out: there is no source {', '.join(strange)}")
        if not any(source.labels for source in self.trained.values()):
            mistakes.append("no source has `labels`; where none holds, there is nothing to learn")
        if mistakes:
            raise ValueError("; ".join(mistakes))
        return self


Refuse = Callable[[str, str, str, str], Problem]
"""(place in the recipe, what, expected, remedy) -> Problem"""
ECHO = "equal to a real text"
UNSEEN = "left out by data.leave_out"
ASIDE = ("", *(f"tied to {name} by group or text" for name in NAMES[1:]), ECHO, UNSEEN)
"""Why a row of the table is no part of the corpus; the first: it is."""


@dataclass(frozen=True)
class Corpus:
    """Every example of a recipe, equal texts united. Positions 0..n-1 address its rows everywhere.

    table: memory-mapped columns id, group, text, source, slice.<k>, of m >= n rows as the sources have them;
    row: int64 [n], the table's row of each position; targets: float32 [n, L], NaN where unknown; split,
    source: str [n], of the row that stands for its equals; synthetic: bool [n]; tokens with offsets: int32,
    row i of the table is tokens[offsets[i]:offsets[i + 1]].
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
    """Rows that are no part of the corpus, by source and reason."""
    said: np.ndarray
    """What each row of the table says itself, before it is united: float32 [m, L]."""
    of: np.ndarray
    """The source of each row of the table, str [m]."""
    united: np.ndarray
    """Position of each row of the table, int64 [m]; -1 for those left out."""
    aside: np.ndarray
    """Why each row of the table is left out, int8 [m], a position in ASIDE."""
    untrained: Mapping[str, str]
    """Labels that sources declare and none has a positive of in train, with what was counted."""
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
        return Window(step, len(rows), known, int(self.lengths[rows].sum()), tuple(batches))

    def splits(self) -> np.ndarray:
        """The split of each row of the table, object [m]; None for those left out."""
        found = self.split[self.united]
        found[self.united < 0] = None
        return found

    def write_split(self, path: Path) -> None:
        """What became of each row: id, group, source, split, united_with (the id of the row that stands for
        all with this text, null for itself), left_out (why it is in no split, else null); no text.

        Of a row that is left out, united_with says which row of a split reads the same, if one does: what it
        says of the text still decides whether the text may be shown.
        """
        import numpy as np
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        columns = {name: self.table.column(name) for name in ("id", "group", "source")}
        twin = self.table.column("twin").to_numpy()
        order = np.argsort(twin[self.row])
        ranked, standing = twin[self.row][order], self.row[order]
        place = np.minimum(np.searchsorted(ranked, twin), len(ranked) - 1)
        stands = np.where(ranked[place] == twin, standing[place], -1)
        other = pa.array(np.where(stands == np.arange(len(stands)), -1, stands))
        names = columns["id"].take(pc.if_else(pc.less(other, 0), None, other))
        columns |= {"split": pa.array(self.splits(), pa.string()), "united_with": names}
        columns["left_out"] = pa.array(np.array([None, *ASIDE[1:]], dtype=object)[self.aside], pa.string())
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
    problem: Refuse,
) -> Corpus:
    """Read (or map from the cache) every source, assign the splits, unite equal texts.

    Real and synthetic texts are not united: of a synthetic text that a real one equals nothing stays, so that
    no figure of real text rests on a made label. Labels and sources stand in the order of their names, real
    sources before synthetic ones: how files list them is no part of a run.

    labels: those to train, None for all that have a positive in train; digests: content digest by source.
    Raises InputError, made by problem(place in the recipe, what, expected, remedy), for a split without a row
    and for a named label without a positive in train.
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
    of = np.array(list(sources), dtype=object)[number]
    synthetic = np.array([source.synthetic for source in sources.values()])[number]
    declared = sorted({label for source in sources.values() for label in source.labels})
    wanted = [label for label in declared if labels is None or label in labels]
    cells = np.column_stack([table.column(f"label.{label}").to_numpy() for label in wanted]).astype("float32")
    for position, source in enumerate(sources.values()):
        if source.all_negative:
            absent = [column for column, label in enumerate(wanted) if label not in source.labels]
            cells[np.ix_(number == position, absent)] = 0.0
    twin = table.column("twin").to_numpy()
    level, tied = _assign(data.split, table, number, twin)
    aside = np.where(tied, level, np.int8(0))
    aside[synthetic & np.isin(twin, twin[~synthetic])] = ASIDE.index(ECHO)
    unseen = np.isin(of, data.leave_out) & (level != NAMES.index("test"))
    aside[unseen & (aside == 0)] = ASIDE.index(UNSEEN)  # last: what else is where must not depend on it
    kept = np.flatnonzero(aside == 0)
    twins = unite(twin[kept], cells[kept])
    row = kept[twins.first]
    united = np.full(len(table), -1)
    united[kept] = twins.of
    split = np.array(NAMES, dtype=object)[level[row]]
    if empty := [name for name in NAMES if not (split == name).any()]:
        raise InputError(_empty_split(problem, empty, len(row)))
    positive = ((twins.targets > 0.5) & (split == "train")[:, None]).any(axis=0)
    untrained = {
        label: _counted(cells[kept, column], of[kept], level[kept])
        for column, label in enumerate(wanted)
        if not positive[column]
    }
    if untrained and (labels is not None or not positive.any()):
        raise InputError(
            [
                _no_positive(problem, f"labels.{label}" if labels else _declared(sources, label), counted)
                for label, counted in untrained.items()
            ]
        )
    lists = table.column("input_ids").combine_chunks()
    lists = lists if isinstance(lists, pa.Array) else pa.concat_arrays(lists.chunks)
    return Corpus(
        labels=tuple(label for label in wanted if label not in untrained),
        table=table,
        row=row,
        targets=np.ascontiguousarray(twins.targets[:, positive]),
        split=split,
        source=of[row],
        synthetic=synthetic[row],
        tokens=lists.flatten().to_numpy(),
        offsets=np.concatenate([[0], np.cumsum(lists.value_lengths().to_numpy())]),
        encoder=encoder,
        left_out=_left_out({name: reasons for name, (_, reasons) in read.items()}, of, aside),
        said=np.ascontiguousarray(cells[:, positive]),
        of=of,
        united=united,
        aside=aside,
        untrained=untrained,
        contradictions={
            label: int(count) for label, count in zip(wanted, twins.contradictions, strict=True) if count
        },
    )


def _assign(
    split: Split, table: pa.Table, source: np.ndarray, twin: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """`levels` of every row of the table."""
    import numpy as np

    groups = table.column("group").combine_chunks().dictionary_encode()
    claims = table.column("split").combine_chunks().dictionary_encode()
    claim = np.array(claims.dictionary.to_pylist(), dtype=object)[claims.indices.to_numpy()]
    _, text = np.unique(twin, return_inverse=True)
    return levels(split, groups.dictionary.to_pylist(), groups.indices.to_numpy(), claim, source, text)


def _left_out(
    read: Mapping[str, Mapping[str, int]], of: np.ndarray, aside: np.ndarray
) -> dict[str, dict[str, int]]:
    """By source and reason: rows that reading left out, and those that are set aside."""
    import numpy as np

    found = {name: dict(reasons) for name, reasons in read.items()}
    for name, reasons in found.items():
        counts = np.bincount(aside[of == name], minlength=len(ASIDE))
        reasons |= {ASIDE[why]: int(counts[why]) for why in range(1, len(ASIDE)) if counts[why]}
    return {name: reasons for name, reasons in found.items() if reasons}


def _counted(cells: np.ndarray, of: np.ndarray, level: np.ndarray) -> str:
    """A label's positives of known cells, by source and split, of sources that know any."""
    import numpy as np

    found = []
    for name in dict.fromkeys(of[~np.isnan(cells)]):
        mine = [cells[(of == name) & (level == position)] for position in range(len(NAMES))]
        known = [np.count_nonzero(~np.isnan(part)) for part in mine]
        counts = (
            f"{split} {np.count_nonzero(part > 0.5):,} of {count:,}"
            for split, part, count in zip(NAMES, mine, known, strict=True)
        )
        found.append(f"{name} {', '.join(counts)}")
    return f"positive cells: {'; '.join(found)}" if found else "no cell is known"


def _declared(sources: Mapping[str, Source], label: str) -> str:
    """The place in the recipe of the first source that declares a label."""
    name = next(name for name, source in sources.items() if label in source.labels)
    return f"data.sources.{name}.labels.{label}"


def _empty_split(problem: Refuse, empty: Sequence[str], rows: int) -> Problem:
    return problem(
        "data.split",
        f"leaves no row for {', '.join(empty)} ({rows} rows in all)",
        "rows in train, dev, calibration and test",
        "more data or finer groups, larger shares in data.split, or another data.split.seed",
    )


def _no_positive(problem: Refuse, place: str, counted: str) -> Problem:
    return problem(
        place,
        f"no example of the train split is positive (above 0.5); {counted}",
        "at least one",
        "leave the label out of `labels`, or correct its mapping in data.sources",
    )
