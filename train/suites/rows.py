"""The rows of a suite, and of anything made of it: texts with what is known of them, ready to be judged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from train.data import cache
from train.data.encoding import Encoder
from train.data.source import Source, content_digest
from train.errors import InputError, Problem
from train.evaluation.predictions import Predictions, Strings
from train.suites.suite import Part, Suite


@dataclass(frozen=True)
class TestSet:
    """Named texts and what is known of them; n texts, L labels of the model.

    texts: str [n]; ids, group, source: str, object [n]; slices: name -> str or None [n]; targets: float32
    [n, L], NaN where unknown.
    """

    __test__ = False  # no test of pytest's

    name: str
    labels: tuple[str, ...]
    texts: Sequence[str]
    ids: Strings
    group: Strings
    source: Strings
    synthetic: NDArray[np.bool_]
    slices: dict[str, Strings]
    targets: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.ids)

    def saying(self, name: str, texts: Sequence[str]) -> Self:
        """The same rows with other texts, as another set."""
        return replace(self, name=name, texts=texts)

    def predictions(self, scores: NDArray[Any], flags: NDArray[np.bool_]) -> Predictions:
        """What a model says of them; scores: calibrated probabilities [n, L]; flags: bool [n, L]."""
        return Predictions(
            ids=self.ids,
            source=self.source,
            group=self.group,
            split=np.full(len(self), self.name, dtype=object),
            synthetic=self.synthetic,
            slices=self.slices,
            labels=self.labels,
            targets=self.targets,
            scores=scores,
            flags=flags,
        )


def rows(suite: Suite, part: Part, labels: Sequence[str], encoder: Encoder, where: str) -> TestSet:
    """The rows of one part, of all sources; labels that the suite does not speak of are unknown.

    where: the place that named the suite, for messages. Raises InputError: a file that is missing or wrong,
    a part without a row.
    """
    parts = list(_of_sources(suite, part, encoder))
    found = [(name, source, table) for name, source, table in parts if len(table)]
    if not found:
        what = f"the suite {suite.name} has no row in its {part} part"
        remedy = f"a source with `split: {{column: ..., map: {{...: {part}}}}}`, or a path for {part}"
        raise InputError(Problem(where, what, f"rows for {part}", remedy))
    slices = sorted({name for _, source, _ in found for name in source.slices})
    return TestSet(
        name=suite.set_name(part),
        labels=tuple(labels),
        texts=[text for _, _, table in found for text in table["text"]],
        ids=_joined(table["id"] for _, _, table in found),
        group=_joined(table["group"] for _, _, table in found),
        source=_joined([name] * len(table) for name, _, table in found),
        synthetic=np.zeros(sum(len(table) for _, _, table in found), dtype=bool),
        slices={
            name: _joined(
                table[f"slice.{name}"] if name in source.slices else [None] * len(table)
                for _, source, table in found
            )
            for name in slices
        },
        targets=np.concatenate([_targets(source, table, labels) for _, source, table in found]),
    )


def _of_sources(suite: Suite, part: Part, encoder: Encoder) -> Iterator[tuple[str, Source, Any]]:
    """(name, source, its rows of the part)."""
    for name, source in suite.sources.items():
        table, _ = cache.encoded(f"{suite.name}.{name}", source, content_digest(source), encoder)
        mine = ("dev",) if part == "dev" else ("test", "any")
        chosen = [row for row, claim in enumerate(table["split"]) if claim in mine]
        yield name, source, table.select(chosen)


def _targets(source: Source, table: Any, labels: Sequence[str]) -> NDArray[np.float32]:
    found = np.full((len(table), len(labels)), 0.0 if source.all_negative else np.nan, dtype=np.float32)
    for column, label in enumerate(labels):
        if label in source.labels:
            found[:, column] = np.array(table[f"label.{label}"], dtype=np.float32)  # None: NaN
    return found


def _joined(parts: Iterable[Any]) -> Strings:
    return np.array([value for part in parts for value in part], dtype=object)
