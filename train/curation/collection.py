"""What to collect, label again or make: a run's gaps and a contract's shortfalls as one plan, with numbers.

Two that ask for the same are one line, which asks for the most of both.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from train.curation.coverage import Shortfall
from train.errors import InputError, Problem
from train.evaluation.metrics import ENOUGH
from train.files import canonical_json

ACTIONS = ("collect", "relabel", "augment")
"""What data can mend; `change` is about models and thresholds."""
Rate = tuple[int, int]
"""(texts of a kind, texts of which it is known whether they are)"""


@dataclass
class Wanted:
    """rows: texts that are needed; why: gaps by id, and the contract's rules.

    to_read: how many have to be looked through to find them on average, (the least, the most) of 95 in 100
    searches; None where nobody knows how common they are.
    """

    action: str
    label: str
    where: Mapping[str, str]
    rows: int
    says: str
    why: list[str]
    harm: float = 0.0
    rate: Rate | None = None
    to_read: int | None = None
    between: tuple[int, int] | None = None

    @property
    def place(self) -> str:
        """Equal for those that ask for the same."""
        return canonical_json([self.action, self.label, dict(self.where)])

    def document(self) -> dict[str, Any]:
        said = ("action", "label", "rows", "to_read", "says", "why", "harm")
        between = list(self.between) if self.between else None
        return {name: getattr(self, name) for name in said} | {"where": dict(self.where), "between": between}


def plan(
    gaps: Iterable[Mapping[str, Any]], shortfalls: Iterable[Shortfall], base_rates: Mapping[str, Rate]
) -> list[Wanted]:
    """The most harmful first, then what only the contract asks for.

    base_rates: label -> (positive, known) cells of real rows: how common the label is where texts come from
    now. A shortfall goes by the rate in its own slice, where that rests on 30 positive cells.
    """
    wanted: dict[str, Wanted] = {}
    for one in [*_of_gaps(gaps, base_rates), *_of_shortfalls(shortfalls, base_rates)]:
        there = wanted.setdefault(one.place, one)
        there.rows, there.harm = max(there.rows, one.rows), max(there.harm, one.harm)
        there.rate = one.rate or there.rate  # a shortfall's, which comes later, is of its own slice
        there.why += [why for why in one.why if why not in there.why]
    for one in wanted.values():
        if one.action == "collect" and one.rate and one.rate[0]:
            one.to_read, one.between = to_read(one.rows, one.rate)
    return sorted(wanted.values(), key=lambda one: (-one.harm, one.place))


def _of_gaps(gaps: Iterable[Mapping[str, Any]], base_rates: Mapping[str, Rate]) -> Iterator[Wanted]:
    for gap in gaps:
        action = gap["action"]
        if action["kind"] in ACTIONS and action["rows"]:
            where = {name: str(value) for name, value in action.get("where", {}).items() if name != "label"}
            positive, known = base_rates.get(gap["label"], (0, 0))
            rate = {"positive": (positive, known), "negative": (known - positive, known)}
            yield Wanted(
                action["kind"],
                gap["label"],
                where,
                action["rows"],
                action["filter"],
                [f"gap {gap['id']} ({gap['cause']})"],
                gap["harm"],
                rate.get(where.get("cell", "")),
            )


def _of_shortfalls(shortfalls: Iterable[Shortfall], base_rates: Mapping[str, Rate]) -> Iterator[Wanted]:
    """One that lacks known cells and positive ones asks for what takes more reading: whoever reads until the
    positives are found knows of all that were read, and the other way round. Both, where no rate is known.
    """
    for short in shortfalls:
        asked = short.required
        where = asked.where | ({"split": asked.split} if asked.split not in (None, "train") else {})
        own = (short.positive, short.known)
        rate = own if short.positive >= ENOUGH else base_rates.get(asked.label, (0, 0))
        known, positive = (short.missing.get(what, 0) for what in ("known", "positive"))
        found = known * rate[0] / rate[1] if rate[0] else 0.0
        why = f"contract: {asked}"
        if known and (found >= positive or not rate[0]):
            says = f"texts judged for {asked.label}"
            yield Wanted("collect", asked.label, where, known, says, [why], rate=(known, known))
        if positive > found:
            says = f"texts that carry {asked.label}"
            where = where | {"cell": "positive"}
            yield Wanted("collect", asked.label, where, positive, says, [why], rate=rate)


def to_read(rows: int, rate: Rate) -> tuple[int, tuple[int, int]]:
    """(how many texts have to be read until `rows` of a kind are found, on average; between how many in 95 of
    100 searches).

    rate: how common they were among texts so far. The reading until the r-th is found is negative binomial,
    and the share behind it Beta(found + 1/2, others + 1/2) (Jeffreys); drawn 20,000 times.
    """
    found, known = rate
    if found == known:
        return rows, (rows, rows)
    rng = np.random.default_rng(0)
    share = rng.beta(found + 0.5, known - found + 0.5, 20_000)
    low, high = np.quantile(rows + rng.negative_binomial(rows, share), [0.025, 0.975])
    return round(rows * known / found), (round(low), round(high))


def read_gaps(path: Path) -> list[dict[str, Any]]:
    """The gaps in a run's gaps.json. Raises InputError."""
    place = path / "gaps.json" if path.is_dir() else path
    try:
        found = json.loads(place.read_text(encoding="utf-8"))
        if not isinstance(found, list):
            raise TypeError
        for gap in found:
            if not {"id", "label", "cause", "harm", "action"} <= gap.keys():
                raise ValueError
            if not {"kind", "rows", "filter"} <= gap["action"].keys():
                raise ValueError
    except (OSError, ValueError, AttributeError, TypeError):
        raise InputError(
            Problem(str(place), "holds no gaps", "a run, or its gaps.json", "teensafe gaps RUN")
        ) from None
    return list(found)


def lines(wanted: Sequence[Wanted]) -> Iterator[str]:
    for one in wanted:
        where = "".join(f" {name}={value}" for name, value in one.where.items())
        read = ""
        if one.to_read and one.between and one.to_read != one.rows:
            read = f", about {one.to_read:,} to read ({one.between[0]:,} to {one.between[1]:,})"
        yield f"{one.action} {one.rows:,} {one.label}{where}{read}: {one.says} [{'; '.join(one.why)}]"
    if not wanted:
        yield "nothing is missing that the contract or these gaps ask for"
