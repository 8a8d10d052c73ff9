"""The standard that a delivery keeps: what its rows hold, how much, how well labelled, under which terms.

A contract is a file of its own with a version, so that two deliveries under one contract can be compared, and
`teensafe data check` says of every row and figure that breaks it: which rule, how often, where.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator

from train.curation.coverage import Required
from train.data.delivered import Gate
from train.policy import Policy
from train.spec import Spec

if TYPE_CHECKING:
    import pyarrow as pa

NAMED = 10
"""Rows of a violation that are named."""
Share = Field(default=None, ge=0, le=1)
LEAKS = ("leak.cluster", "leak.group", "leak.suite", "leak.frozen")
_RULES = (
    *("fields", "longest", "licences", "required", "alpha"),
    *("max_suspects", "max_contradictions", "max_unsure_language"),
)


class Retention(Spec):
    basis: str = Field(min_length=1)
    """Why the data may be kept: consent, research exemption, legitimate interest, ..."""
    until: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}$")
    """The day by which they are deleted or looked at again, YYYY-MM-DD."""
    contact: str = Field(min_length=1)
    """Who answers requests for deletion."""

    @field_validator("until")
    @classmethod
    def _is_a_day(cls, value: str) -> str:
        date.fromisoformat(value)  # its ValueError says what is wrong: data would be kept for ever
        return value


class Contract(Spec):
    schema_: Literal[1] = Field(alias="schema")
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    version: str = Field(pattern=r"^\d+\.\d+\.\d+$")
    about: str
    """Whom the standard is for, in a sentence."""
    fields: dict[str, str] = Field(default_factory=dict)
    """Column -> its Arrow type, such as text: string; every row has a value."""
    longest: int | None = Field(default=None, ge=1)
    """Characters of a text."""
    licences: tuple[str, ...] = Field(min_length=1)
    """Those that data may be under."""
    required: tuple[Required, ...] = ()
    """Slices with the known and positive cells that they have at least."""
    alpha: dict[str, float] = Field(default_factory=dict)
    """Label -> the least lower bound (95%) of Krippendorff's alpha, where people's votes are known."""
    max_suspects: float | None = Share
    """Of a label's decided cells, the share that may look wrong to confident learning."""
    max_contradictions: float | None = Share
    """Of the texts that stand more than once, the share that may contradict themselves."""
    max_unsure_language: float | None = Share
    """Of all rows, the share whose language may be `und`."""
    retention: Retention


@dataclass(frozen=True)
class Violation:
    """rule: of the contract, or `row` for what no row may be; rows: ids of the first."""

    rule: str
    what: str
    count: int
    rows: tuple[str, ...] = ()

    def __str__(self) -> str:
        named = (
            f" ({', '.join(self.rows)}{', ...' if self.count > len(self.rows) else ''})" if self.rows else ""
        )
        return f"{self.rule}: {self.what}{named}"


class RowCheck:
    """What single rows break: tables go in as they come, violations come out at the end."""

    def __init__(self, contract: Contract, policy: Policy) -> None:
        self._contract, self._policy = contract, policy
        self._found: dict[tuple[str, str], tuple[int, list[str]]] = {}
        self._ids: set[str] = set()

    def add(self, table: pa.Table) -> None:
        """A table of delivered rows, with the columns of train/curation/rows.py and `split`."""
        import pyarrow as pa
        import pyarrow.compute as pc

        from train.curation.rows import LABEL, labels

        contract = self._contract
        for column, kind in contract.fields.items():
            if column not in table.column_names:
                self._note("fields", f"there is no column {column}", table, [True] * len(table))
            elif str(table.column(column).type) != kind:
                what = f"{column} is {table.column(column).type}, not {kind}"
                self._note("fields", what, table, [True] * len(table))
            else:
                self._note("fields", f"{column} is empty", table, pc.is_null(table.column(column)))
        text = table.column("text")
        self._note("row", "a text without a letter or digit", table, pc.invert(_says_something(text)))
        if contract.longest is not None:
            long = pc.greater(pc.utf8_length(text), contract.longest)
            self._note("longest", f"a text of more than {contract.longest:,} characters", table, long)
        allowed = pa.array(contract.licences)
        foreign = pc.invert(pc.is_in(table.column("licence"), value_set=allowed))
        self._note("licences", f"a licence that is none of {', '.join(contract.licences)}", table, foreign)
        for label in labels(table):
            cell = table.column(LABEL + label)
            if label not in self._policy.labels and cell.null_count < len(cell):
                self._note("row", f"{label} is no label of the policy", table, pc.is_valid(cell))
            odd = pc.or_(pc.less(cell, 0), pc.greater(cell, 1))
            self._note("row", f"{label} is no probability", table, pc.fill_null(odd, False))
        for id in table.column("id").to_pylist():
            if id in self._ids:
                self._keep("row", "an id that another row has", id)
            self._ids.add(id)

    def violations(self) -> list[Violation]:
        return [
            Violation(rule, f"{count:,} rows: {what}", count, tuple(ids))
            for (rule, what), (count, ids) in sorted(self._found.items())
        ]

    def _note(self, rule: str, what: str, table: pa.Table, broken: Any) -> None:
        import pyarrow as pa

        mask = pa.array(broken) if isinstance(broken, list) else broken
        for id in table.filter(mask).column("id").to_pylist():
            self._keep(rule, what, id)

    def _keep(self, rule: str, what: str, id: str) -> None:
        count, ids = self._found.setdefault((rule, what), (0, []))
        if len(ids) < NAMED:
            ids.append(id)
        self._found[rule, what] = (count + 1, ids)


def _says_something(text: Any) -> Any:
    import pyarrow.compute as pc

    return pc.match_substring_regex(text, r"[\p{L}\p{N}\p{S}]")


def figures(contract: Contract, said: Mapping[str, Any]) -> Iterator[Violation]:
    """What the figures of stages, and the calendar, break. said: labels that sources speak of; alpha {label:
    {low, n}}, suspects {label: {suspects, decided}}, contradictions {texts, contradicting}, language {und,
    rows}; what was not measured is not there.

    What the contract asks for and nobody measured breaks it: a label's agreement without votes, suspects
    without an audit.
    """
    if date.today().isoformat() > contract.retention.until:
        yield Violation(
            "retention", f"they were to be deleted, or looked at again, by {contract.retention.until}", 1
        )
    for label, least in contract.alpha.items():
        measured = said.get("alpha", {}).get(label)
        low = measured and measured["low"]
        if low is None or low < least:
            found = "no votes are known"
            if measured:
                found = "too few votes for an interval" if low is None else f"alpha is at least {low:.3f}"
            yield Violation("alpha", f"{label}: {found}; {least:g} is asked for", 1)
    if contract.max_suspects is not None:
        if unknown := [label for label in said["labels"] if label not in said["suspects"]]:
            what = f"{', '.join(unknown)}: judged in no source, so nobody knows"
            yield Violation("max_suspects", what, len(unknown))
        for label, n in said["suspects"].items():
            count, of = n
            what = f"cells of {label} that look wrong"
            yield from _share("max_suspects", what, count, of, contract.max_suspects)
    for rule, what, key in (
        ("max_contradictions", "texts that stand more than once and contradict themselves", "contradictions"),
        ("max_unsure_language", "rows whose language is und", "language"),
    ):
        most = getattr(contract, rule)
        if most is not None and key in said:
            count, of = said[key]
            yield from _share(rule, what, count, of, most)


def _share(rule: str, what: str, count: int, of: int, most: float) -> Iterator[Violation]:
    if of and count > most * of:
        yield Violation(rule, f"{count:,} of {of:,} {what} ({count / of:.1%}); at most {most:.1%} may", count)


def gates(contract: Contract, violations: Collection[Violation]) -> Iterator[Gate]:
    """Each rule of the contract and each leak gate, with what was found."""
    broken = {violation.rule: str(violation) for violation in violations}
    asked = [name for name in _RULES if name in contract.model_fields_set]
    for rule in ("row", *LEAKS, *asked, "retention"):
        yield Gate(gate=rule, held=rule not in broken, found=broken.get(rule, "kept"))
