"""Promises a model must keep before it is shipped: a line of text says one, a set of figures answers it.

    suite.benign-teen/any/fpr <= 0.02         the figure of that key
    test/harassment/recall/lang=* >= 0.3      the worst of all its slice values
    test/macro/auprc >= RUN - 0.01            not worse than another run's, on identical rows

A gate holds only if the one-sided 95% bound of its figure does: what too few texts cannot show, or texts of
too few groups, is not held.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator

LEVEL = 0.95
_GATE = re.compile(r"^(?P<key>[^\s/]+/[^\s/]+/[^/]+?(?:/[^=]+=.*?)?)\s*(?P<sign><=|>=)\s*(?P<limit>.+?)$")
_NUMBER = r"[0-9]*\.?[0-9]+(?:[eE][-+]?[0-9]+)?"
_BASELINE = re.compile(rf"^(?P<run>\S.*?)\s+(?P<sign>[-+])\s+(?P<by>{_NUMBER})$")
RATES = {
    "fpr": "negatives",
    "recall": "positives",
    "passed": "n",
    "passed_harmful": "positives",
    "passed_allowed": "negatives",
    "pairs_passed": "pairs",
    "ordered": "pairs",
    "found": "positives",
}
"""Shares of a count, and which: these have an exact bound."""

_CLASSES = ("positives", "negatives")
_BEHIND = {"recall_drop": ("positives",), "fpr_rise": ("negatives",), "false_alarms": ("negatives",)}
"""The counts that must be enough behind a figure that is no rate; default: _CLASSES."""

_OF_TEXTS = {
    ("any", "fpr"): "n",
    ("all", "passed_harmful"): "harmful",
    ("all", "passed_allowed"): "allowed",
}

Outcome = Literal["held", "broken", "not shown"]


@dataclass(frozen=True)
class Gate:
    """key <= limit, or key >= limit; with a baseline the limit is that run's figure, less or more `by`."""

    text: str
    key: str
    at_most: bool
    limit: float
    baseline: str | None = None

    @classmethod
    def parse(cls, text: str) -> Gate:
        """Raises ValueError that says what a gate looks like."""
        match = _GATE.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"'{text}' is no gate; one is `suite.benign-teen/any/fpr <= 0.02`")
        key, at_most, limit = match["key"], match["sign"] == "<=", match["limit"]
        if re.fullmatch(_NUMBER, limit):
            return cls(text, key, at_most, float(limit))
        other = _BASELINE.fullmatch(limit)
        if other is None:
            raise ValueError(f"'{text}': '{limit}' is neither a number nor `RUN - 0.01`")
        if (other["sign"] == "+") != at_most:
            raise ValueError(f"'{text}': `>=` goes with `RUN - number`, and `<=` with `RUN + number`")
        return cls(text, key, at_most, float(other["by"]), other["run"])


def placeless(text: str) -> str:
    """A gate's text as another machine is told of it: a baseline by its name, never by where it lies.

    What is no gate comes back as it is.
    """
    try:
        run = Gate.parse(text).baseline
    except ValueError:
        return text
    if run is None or "/" not in run:
        return text
    before, _, after = text.rpartition(run)
    return before + run_name(run) + after


def run_name(run: str) -> str:
    """The name of a run that is named by its folder; of a baseline in it, RUN/baselines/KIND."""
    parts = Path(run).parts
    return "/".join(parts[-3:] if parts[-2:-1] == ("baselines",) else parts[-1:])


def _sound(text: str) -> str:
    Gate.parse(text)
    return text


GateText = Annotated[str, AfterValidator(_sound)]
"""A gate as a recipe or a policy states it."""


@dataclass(frozen=True)
class Answer:
    """What the figures say to a gate. key: the figure asked, the worst one where several are; bound: how bad
    it may be, with one-sided 95% confidence; said: a sentence."""

    gate: str
    outcome: Outcome
    key: str | None
    value: float | None
    bound: float | None
    n: int | None
    said: str

    @property
    def held(self) -> bool:
        return self.outcome == "held"


def answer(gate: Gate, figures: Mapping[str, Any], intervals: Mapping[str, Any]) -> Answer:
    """Of a gate with a number. Of several slice values the one whose bound is worst is asked."""
    keys = [key for key in figures if _matches(gate.key, key)]
    if not keys:
        return Answer(gate.text, "not shown", None, None, None, None, "no such figure was made")
    found = [_answer(gate, key, figures, intervals) for key in keys]
    open_ = [a for a in found if a.bound is None]
    return open_[0] if open_ else max(found, key=lambda a: _badness(gate, a))


def _badness(gate: Gate, found: Answer) -> float:
    assert found.bound is not None
    return found.bound if gate.at_most else -found.bound


def _matches(wanted: str, key: str) -> bool:
    if not wanted.endswith("=*"):
        return wanted == key
    return key.startswith(wanted[:-1])


def _answer(gate: Gate, key: str, figures: Mapping[str, Any], intervals: Mapping[str, Any]) -> Answer:
    from train.evaluation.metrics import ENOUGH

    value, n = figures[key], count_of(key, figures)
    behind = n if n is not None else _fewest(key, figures)
    if value is None or (behind is not None and behind < ENOUGH):
        few = f"{behind} texts, under {ENOUGH}" if behind is not None else "too few texts"
        return Answer(gate.text, "not shown", key, value, None, n, f"{key} cannot be told from {few}")
    if (interval := intervals.get(key)) is None:
        what = f"{key} is {value:.4g}, without an interval: too few groups of texts to be sure"
        return Answer(gate.text, "not shown", key, value, None, n, what)
    bound = worst(key, value, n, interval, gate.at_most)
    holds = bound <= gate.limit if gate.at_most else bound >= gate.limit
    kept = value <= gate.limit if gate.at_most else value >= gate.limit
    side = "at most" if gate.at_most else "at least"
    of = f" of {n:,}" if n is not None else ""
    said = f"{key} is {value:.4g}{of}, with 95% confidence {side} {bound:.4g}; the limit is {gate.limit:g}"
    if holds:
        return Answer(gate.text, "held", key, value, bound, n, said)
    return Answer(gate.text, "not shown" if kept else "broken", key, value, bound, n, said)


def worst(
    key: str, value: float, n: int | None, interval: Sequence[float], at_most: bool, level: float = LEVEL
) -> float:
    """The bound of a figure on its bad side: of a rate the worse of the group interval's end and the exact
    one-sided one (see `standing`); of anything else the interval's end."""
    from train.evaluation.intervals import clopper_pearson

    ends = [float(interval[1] if at_most else interval[0])]
    if _metric(key) in RATES and n:
        low, high = clopper_pearson(round(value * n), n, 2 * level - 1)
        ends.append(high if at_most else low)
    return max(ends) if at_most else min(ends)


def count_of(key: str, figures: Mapping[str, Any]) -> int | None:
    """How many texts a figure's rate is a share of; of other figures, None."""
    set_, label, metric, *of = key.split("/", 3)
    if metric not in RATES:
        return None
    counted = _OF_TEXTS.get((label, metric), RATES[metric])
    suffix = f"/{of[0]}" if of else ""
    n = figures.get(f"{set_}/{label}/{counted}{suffix}")
    return None if n is None else int(n)


def _fewest(key: str, figures: Mapping[str, Any]) -> int | None:
    """The fewest texts of a class behind a figure that is no rate; None where no class is counted."""
    set_, label, metric, *of = key.split("/", 3)
    suffix = f"/{of[0]}" if of else ""
    counts = (figures.get(f"{set_}/{label}/{kind}{suffix}") for kind in _BEHIND.get(metric, _CLASSES))
    return min((int(n) for n in counts if n is not None), default=None)


def _metric(key: str) -> str:
    return key.split("/", 3)[2]


Paired = Callable[[str, str], "tuple[float | None, float | None, float | None, int]"]
"""(another run's name, metric key) -> (difference from it, low, high, n) on identical rows; the interval is
90% two-sided, and None where there are too few groups."""


def answer_paired(gate: Gate, paired: Paired) -> Answer:
    """Of a gate with a baseline: the one-sided 95% bound of the paired difference keeps within `by`.

    The answer is handed over with a model, so it names the other run without its place.
    Raises InputError where the two runs share no such figure.
    """
    assert gate.baseline is not None
    text, name = placeless(gate.text), run_name(gate.baseline)
    difference, low, high, n = paired(gate.baseline, gate.key)
    bound = high if gate.at_most else low
    if difference is None or bound is None:
        said = f"{gate.key} cannot be compared: too few groups among {n:,} identical rows"
        return Answer(text, "not shown", gate.key, difference, None, n, said)
    holds, kept = (
        value <= gate.limit if gate.at_most else value >= -gate.limit for value in (bound, difference)
    )
    side = "at most" if gate.at_most else "at least"
    said = (
        f"{gate.key} differs from {name} by {difference:+.4g} on {n:,} identical rows, with 95% "
        f"confidence {side} {bound:+.4g}"
    )
    outcome: Outcome = "held" if holds else "not shown" if kept else "broken"
    return Answer(text, outcome, gate.key, difference, bound, n, said)
