"""A finished run as the sections of its page read it: its folder goes in, figures and predictions come out.

Nothing is computed that the run does not hold. A figure never stands alone: `Value` keeps n and interval.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from train.evaluation import records
from train.evaluation.metrics import ENOUGH
from train.evaluation.predictions import Predictions
from train.evaluation.predictions import sets as divided
from train.evaluation.records import Record
from train.evaluation.standing import Standing, standing
from train.policy import Policy
from train.report.tables import SPLIT, test_sets
from train.tracking.run import lock, summary


@dataclass(frozen=True)
class Value:
    """One figure. value: None where it is not defined; low, high: its 95% interval, None without one; n: of
    how many texts; enough: whether those are enough for it to be more than a count."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    enough: bool

    @property
    def told(self) -> bool:
        return self.value is not None and self.enough

    @property
    def count(self) -> int:
        """Of a share: how many of the n texts."""
        return round((self.value or 0) * self.n)


@dataclass(frozen=True)
class Table:
    """One test set: a record a label, and how each stands to its constraint."""

    name: str
    records: list[Record]
    standings: dict[str, Standing]
    any: Record
    macro: Record

    @property
    def synthetic(self) -> bool:
        return records.is_synthetic(self.name)

    @property
    def whole(self) -> bool:
        return records.is_whole(self.name)

    @property
    def within(self) -> bool:
        """Whether AUROC within sources is worth a column."""
        return records.of_several_sources(self.records)


@dataclass(frozen=True)
class Finished:
    """final: summary.json; locked: recipe.lock; predictions: of the test split, and parts: its sets."""

    folder: Path
    final: dict[str, Any]
    locked: Mapping[str, Any]
    policy: Policy
    predictions: Predictions
    parts: Mapping[str, Predictions]

    @classmethod
    def read(cls, folder: Path) -> Finished:
        """Raises Failure or InputError for a damaged file of the run."""
        locked, predictions = lock(folder), Predictions.read(folder / "predictions" / f"{SPLIT}.parquet")
        policy = Policy.model_validate(locked["recipe"]["policy"])
        return cls(folder, summary(folder), locked, policy, predictions, divided(predictions))

    @property
    def figures(self) -> Mapping[str, Any]:
        return self.final["metrics"]

    @property
    def bounds(self) -> Mapping[str, Any]:
        return self.final["intervals"]

    @property
    def points(self) -> Mapping[str, Any]:
        return self.final["operating_points"]

    @property
    def suites(self) -> Mapping[str, Mapping[str, Any]]:
        """What each suite is, by set; {} of a run that was judged without."""
        return self.final.get("suites", {})

    @cached_property
    def tables(self) -> list[Table]:
        return [self._table(name) for name in test_sets(self.final)]

    @property
    def whole(self) -> list[Table]:
        """Real text, then synthetic text."""
        return [table for table in self.tables if table.whole]

    @cached_property
    def unheard(self) -> list[str]:
        """Labels of which no real test text says anything."""
        heard = {r["label"] for table in self.tables if not table.synthetic for r in table.records}
        return [label for label in self.final["labels"] if label not in heard]

    def value(self, key: str, n: str, *more: str) -> Value:
        """The figure of a key, with the counts that it rests on: the first is its n, and each must be
        enough. They are metrics that stand under the same label and slice: positives, say."""
        set_, label, _, *of = key.split("/", 3)
        suffix = f"/{of[0]}" if of else ""
        counts = [int(self.figures.get(f"{set_}/{label}/{count}{suffix}") or 0) for count in (n, *more)]
        low, high = self.bounds.get(key, (None, None))
        return Value(self.figures.get(key), low, high, counts[0], min(counts) >= ENOUGH)

    def found(self, name: str, metric: str, of: str = "") -> Iterator[tuple[str, str]]:
        """(label, slice value) of the keys `<name>/<label>/<metric>/<of>=<value>`, in their order."""
        for key in self.figures:
            parts = key.split("/", 3)
            if len(parts) == 4 and parts[0] == name and parts[2] == metric and parts[3].startswith(f"{of}="):
                yield parts[1], parts[3].removeprefix(f"{of}=")

    def _table(self, name: str) -> Table:
        found = records.by_label(self.figures, self.bounds, name)
        limits = self.policy.labels
        return Table(
            name,
            found,
            {r["label"]: standing(r, limits[r["label"]].constraint) for r in found},
            records.any_flag(self.figures, self.bounds, name),
            records.macro(self.figures, self.bounds, name),
        )
