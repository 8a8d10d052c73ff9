"""What a model said of many texts, next to what the sources say: arrays in, a Parquet file out, and back.

Ids, groups, sources and slices only: no text is ever in it, so the file may travel where texts may not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from train.errors import Failure, InputError, Problem
from train.files import whole_file

Strings = npt.NDArray[np.object_]
Bools = npt.NDArray[np.bool_]
SPLITS = ("train", "dev", "calibration", "test")
_STRINGS = {"id": "ids", "source": "source", "group": "group", "split": "split"}  # column -> field


@dataclass(frozen=True, eq=False)
class Predictions:
    """One row a text, one column a label. n texts, L labels.

    ids, source, group, split: str, object arrays [n]; synthetic: bool [n]; slices: name -> str or None [n];
    targets: float32 [n, L], a probability, NaN where unknown; scores: float [n, L], calibrated
    probabilities; flags: bool [n, L], what the operating points decided.
    Raises ValueError for shapes that do not fit, Failure for scores that are not probabilities.
    """

    ids: Strings
    source: Strings
    group: Strings
    split: Strings
    synthetic: Bools
    slices: dict[str, Strings]
    labels: tuple[str, ...]
    targets: npt.NDArray[np.float32]
    scores: npt.NDArray[np.floating[Any]]
    flags: Bools

    def __post_init__(self) -> None:
        n, cells = len(self.ids), (len(self.ids), len(self.labels))
        columns = {
            "source": self.source,
            "group": self.group,
            "split": self.split,
            "synthetic": self.synthetic,
            **{f"slice {k}": v for k, v in self.slices.items()},
        }
        for name, column in columns.items():
            if column.shape != (n,):
                raise ValueError(f"{name} has shape {column.shape}, ids has {n} rows")
        for name, block in (("targets", self.targets), ("scores", self.scores), ("flags", self.flags)):
            if block.shape != cells:
                raise ValueError(f"{name} has shape {block.shape}, not {cells}")
        if bool(((self.targets < 0) | (self.targets > 1)).any()):
            raise ValueError("targets must be probabilities or NaN")
        wrong = ~((self.scores >= 0) & (self.scores <= 1))
        if bool(wrong.any()):
            named = ", ".join(label for j, label in enumerate(self.labels) if wrong[:, j].any())
            raise Failure(
                Problem(
                    "predictions",
                    f"{int(wrong.sum())} scores are not probabilities ({named})",
                    "finite numbers from 0 to 1",
                    "a model that diverged: lower the learning rate, or evaluate an earlier checkpoint",
                )
            )

    def __len__(self) -> int:
        return len(self.ids)

    def select(self, rows: npt.NDArray[Any]) -> Self:
        """The rows of a bool mask [n], or of integer positions, in that order."""
        return type(self)(
            ids=self.ids[rows],
            source=self.source[rows],
            group=self.group[rows],
            split=self.split[rows],
            synthetic=self.synthetic[rows],
            slices={name: values[rows] for name, values in self.slices.items()},
            labels=self.labels,
            targets=self.targets[rows],
            scores=self.scores[rows],
            flags=self.flags[rows],
        )

    def write(self, path: Path) -> None:
        """Parquet: id, source, group, split, synthetic, slice.<k>, label.<L> (null = unknown), score.<L>,
        flag.<L>. Labels keep their order."""
        columns = {c: pa.array(getattr(self, field), pa.string()) for c, field in _STRINGS.items()}
        columns["synthetic"] = pa.array(self.synthetic, pa.bool_())
        for name, values in self.slices.items():
            columns[f"slice.{name}"] = pa.array(values, pa.string())
        for j, label in enumerate(self.labels):
            target = np.ascontiguousarray(self.targets[:, j], dtype=np.float32)
            columns[f"label.{label}"] = pa.array(target, mask=np.isnan(target))
        for j, label in enumerate(self.labels):
            columns[f"score.{label}"] = pa.array(np.ascontiguousarray(self.scores[:, j]))
        for j, label in enumerate(self.labels):
            columns[f"flag.{label}"] = pa.array(np.ascontiguousarray(self.flags[:, j]))
        with whole_file(path) as part:
            pq.write_table(pa.table(columns), part, compression="zstd")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Raises InputError for a file that is missing, damaged or not one `write` made."""
        try:
            with pq.ParquetFile(path) as file:  # not read_table: it would read `a=b` in the path as a column
                table = file.read()
        except (OSError, pa.ArrowException) as error:
            raise _not_predictions(path, f"unreadable ({type(error).__name__})") from error
        labels = _named(table, "label.")
        for prefix in ("score.", "flag."):
            if (found := _named(table, prefix)) != labels:
                raise _not_predictions(path, f"labels {list(labels)}, but {prefix}<label> for {list(found)}")
        try:
            return cls(
                **{field: _column(table, c, pa.string()) for c, field in _STRINGS.items()},
                synthetic=_column(table, "synthetic", pa.bool_()),
                slices={k: _column(table, f"slice.{k}", None) for k in _named(table, "slice.")},
                labels=labels,
                targets=_block(table, "label.", labels, np.dtype(np.float32)),
                scores=_block(table, "score.", labels, None),
                flags=_block(table, "flag.", labels, np.dtype(np.bool_)),
            )
        except (ValueError, Failure) as error:
            what = error.problem.what if isinstance(error, Failure) else str(error)
            raise _not_predictions(path, what) from error


def sets(predictions: Predictions) -> dict[str, Predictions]:
    """The named sets of each split, empty ones left out; real and synthetic rows never share one.

    `test` all real rows; `test.synthetic` all synthetic rows; `test.<source>` and `test.synthetic.<source>`
    those of each source, also where there is only one: a key means the same when a source joins.
    Raises InputError when a source of real rows is called `synthetic`.
    """
    named: dict[str, Predictions] = {}
    present = set(predictions.split)
    for split in [s for s in SPLITS if s in present] + sorted(present.difference(SPLITS)):
        rows = predictions.split == split
        sources = sorted(set(predictions.source[rows]))
        for name, kind in ((split, ~predictions.synthetic), (f"{split}.synthetic", predictions.synthetic)):
            _put(named, name, predictions, rows & kind)
            for source in sources:
                _put(named, f"{name}.{source}", predictions, rows & kind & (predictions.source == source))
    return named


def joined(parts: Sequence[Predictions]) -> Predictions:
    """Rows after one another, of parts with the same labels and slices."""
    first = parts[0]
    names = (*_STRINGS.values(), "synthetic", "targets", "scores", "flags")
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(part, name) for part in parts]) for name in names
    }
    slices = {name: np.concatenate([part.slices[name] for part in parts]) for name in first.slices}
    return replace(first, **columns, slices=slices)


def _put(named: dict[str, Predictions], name: str, predictions: Predictions, rows: Bools) -> None:
    if not rows.any():
        return
    if name in named:
        raise InputError(
            Problem("recipe", f"two sets are called {name!r}", "one", "rename the source `synthetic`")
        )
    named[name] = predictions.select(rows)


def _named(table: Any, prefix: str) -> tuple[str, ...]:
    return tuple(c.removeprefix(prefix) for c in table.column_names if c.startswith(prefix))


def _column(table: Any, name: str, kind: Any) -> npt.NDArray[Any]:
    """A column as numpy; `kind` None allows null strings. Raises ValueError."""
    if table.column_names.count(name) != 1:
        raise ValueError(f"column {name} is missing or doubled")
    column = table[name]
    if column.type != (kind or pa.string()):
        raise ValueError(f"column {name} is {column.type}")
    if kind is not None and column.null_count:
        raise ValueError(f"column {name} has {column.null_count} nulls")
    values: npt.NDArray[Any] = column.to_numpy()
    return values


def _block(table: Any, prefix: str, labels: tuple[str, ...], dtype: np.dtype[Any] | None) -> npt.NDArray[Any]:
    """The columns `prefix<label>` side by side [n, L]; null becomes NaN. Raises ValueError."""
    if not labels:
        raise ValueError("there is no label.<name> column")
    kinds = {table[prefix + label].type for label in labels}
    allowed = [pa.float32(), pa.float64()] if dtype is None else [pa.from_numpy_dtype(dtype)]
    if len(kinds) != 1 or not kinds <= set(allowed):
        raise ValueError(f"columns {prefix}<label> are {', '.join(sorted(map(str, kinds)))}")
    nulls = sum(table[prefix + label].null_count for label in labels)
    if nulls and prefix != "label.":
        raise ValueError(f"columns {prefix}<label> have {nulls} nulls")
    return np.column_stack([table[prefix + label].to_numpy() for label in labels])


def _not_predictions(path: Path, what: str) -> InputError:
    return InputError(
        Problem(
            str(path),
            f"not a predictions file: {what}",
            "Parquet with id, source, group, split, synthetic, label.<L>, score.<L>, flag.<L>",
            "write it again with `teensafe evaluate RUN`",
        )
    )
