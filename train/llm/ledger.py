"""What a budget was spent on, and whether the next request still fits it. A stop is exact: nothing is sent
whose worst case would go beyond the budget, whatever happens to the process.

Before a request its worst case is on the disk as reserved; after it, what it took in fact. A reservation
that was never settled (the process was killed) counts in full for ever: the server may have answered.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Condition
from typing import Self

from pydantic import Field, model_validator

from train.errors import Failure, Problem
from train.files import make_folder
from train.spec import Spec

FRAME = 256
"""Tokens that a chat template may add to a request."""


class Price(Spec):
    prompt: float = Field(ge=0)
    """Of a million tokens that are sent, in any one currency."""
    completion: float = Field(ge=0)
    """Of a million tokens that come back."""


class Budget(Spec):
    """What may be spent, all runs of a build together; one of the two, or both."""

    tokens: int | None = Field(default=None, ge=1)
    """Tokens sent and received."""
    cost: float | None = Field(default=None, gt=0)
    """In the currency of `price`."""
    price: Price | None = None

    @model_validator(mode="after")
    def _can_be_held(self) -> Self:
        if self.tokens is None and self.cost is None:
            raise ValueError("say tokens, or cost with price")
        if self.cost is not None and self.price is None:
            raise ValueError("cost needs price: {prompt: 0.15, completion: 0.6} for a million tokens")
        return self

    def of(self, prompt: int, completion: int) -> float:
        """What tokens cost; 0 where no price is known."""
        price = self.price or Price(prompt=0, completion=0)
        return (prompt * price.prompt + completion * price.completion) / 1e6


@dataclass(frozen=True)
class Spent:
    prompt: int = 0
    completion: int = 0

    def __add__(self, other: Spent) -> Spent:
        return Spent(self.prompt + other.prompt, self.completion + other.completion)


class Ledger:
    """A file of reservations and settlements, one JSON a line, appended to. Threads may use it together, and
    one process at a time: what it may spend must not be spent beside it."""

    def __init__(self, path: Path, budget: Budget | None) -> None:
        """Raises Failure where another process spends from it, OSError where it cannot be written."""
        make_folder(path.parent, mode=0o700)
        self.budget = budget
        self._open: dict[int, Spent] = {}
        self._in_flight: set[int] = set()
        self._settled = Spent()
        self._changed = Condition()
        self._file = path.open("ab", buffering=0)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            what = "another process spends from this budget"
            raise Failure(Problem(str(path), what, "one at a time", "wait until it has ended")) from error
        lines = path.read_bytes().split(b"\n")
        for line in lines[:-1]:
            with suppress(ValueError, KeyError):  # a line that was cut when a process was killed
                self._note(json.loads(line))
        self._next = max(self._open, default=-1) + 1
        if lines[-1]:
            self._file.write(b"\n")

    def reserve(self, prompt: int, completion: int) -> int | None:
        """A number to settle with, or None: it does not fit what is left. Both are the most it can take.

        While requests are in flight that may yet take less than is reserved for them, it waits: how many are
        asked at once does not decide how far a budget goes. Whoever reserves must settle.
        """
        with self._changed:
            while not self._fits(self.spent + Spent(prompt, completion)):
                if not self._in_flight:
                    return None
                self._changed.wait()
            number, self._next = self._next, self._next + 1
            self._write({"reserve": number, "prompt": prompt, "completion": completion})
            self._in_flight.add(number)
            return number

    def settle(self, number: int, spent: Spent) -> None:
        """What the request of a reservation took in fact."""
        with self._changed:
            self._in_flight.discard(number)
            self._changed.notify_all()
            self._write({"settle": number, "prompt": spent.prompt, "completion": spent.completion})

    @property
    def spent(self) -> Spent:
        """All that was settled, and in full what is reserved."""
        return sum(self._open.values(), self._settled)

    def said(self) -> Mapping[str, float]:
        spent = self.spent
        said: dict[str, float] = {"prompt_tokens": spent.prompt, "completion_tokens": spent.completion}
        if self.budget and self.budget.price:
            said["cost"] = round(self.budget.of(spent.prompt, spent.completion), 6)
        return said

    def __str__(self) -> str:
        return ", ".join(f"{value:,} {what.replace('_', ' ')}" for what, value in self.said().items())

    def close(self) -> None:
        self._file.close()

    def _fits(self, spent: Spent) -> bool:
        budget = self.budget
        if budget is None:
            return True
        within = budget.tokens is None or spent.prompt + spent.completion <= budget.tokens
        return within and (budget.cost is None or budget.of(spent.prompt, spent.completion) <= budget.cost)

    def _write(self, line: dict[str, int]) -> None:
        self._file.write((json.dumps(line) + "\n").encode())
        os.fsync(self._file.fileno())
        self._note(line)

    def _note(self, line: Mapping[str, int]) -> None:
        tokens = Spent(line["prompt"], line["completion"])
        if "reserve" in line:
            self._open[line["reserve"]] = tokens
        else:
            self._open.pop(line["settle"], None)
            self._settled += tokens
