"""All that is asked of the selected checkpoint: its test split, suites, and what its recipe has it keep.

Two steps. `collect` scores what is to be judged, on all processes. `analyse` makes figures of predictions, on
one; it asks no model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from train.assessment import Verdict, judge
from train.evaluation.gates import Answer, Gate, Paired, answer, answer_paired
from train.evaluation.predictions import Predictions
from train.evaluation.records import shown
from train.evaluation.table import overview, table
from train.recipe import Recipe
from train.serving.predictor import Predictor
from train.suites.rows import TestSet, rows
from train.suites.suite import PREFIX, Part, Suite
from train.terminal import Terminal

if TYPE_CHECKING:
    from accelerate import Accelerator

GATE_NOT_HELD = 3
"""Exit code."""

T = TypeVar("T")
First = Callable[[Callable[[], T]], T]
"""Does work on the main process before the others, so that these find its caches."""


@dataclass(frozen=True)
class Examined:
    """Figures and intervals by metric key, the predictions behind them by set, and what each suite is."""

    figures: dict[str, Any]
    intervals: dict[str, tuple[float, float]]
    predictions: dict[str, Predictions]
    suites: dict[str, dict[str, Any]] = field(default_factory=dict)
    gates: list[Answer] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        """As summary.json holds it."""
        return {
            "metrics": self.figures,
            "intervals": {key: list(pair) for key, pair in self.intervals.items()},
            "suites": self.suites,
            "gates": [asdict(found) for found in self.gates],
        }


def collect(
    predictor: Predictor,
    suites: Sequence[Suite],
    part: Part,
    terminal: Terminal,
    *,
    first: First[TestSet],
    accelerator: Accelerator,
    stopping: Callable[[], bool],
) -> dict[str, Predictions] | None:
    """Predictions of each suite's `part` by set name; None where a signal cut it short.

    Raises InputError where a suite cannot be read.
    """
    found: dict[str, Predictions] = {}
    for suite in suites:
        asked = first(partial(rows, suite, part, predictor.labels, predictor.encoder, suite.name))
        logits = _logits(predictor, asked, terminal, accelerator, stopping)
        if logits is None:
            return None
        found[asked.name] = asked.predictions(*predictor.judge(logits))
    return found


def _logits(
    predictor: Predictor,
    asked: TestSet,
    terminal: Terminal,
    accelerator: Accelerator,
    stopping: Callable[[], bool],
) -> np.ndarray | None:
    with terminal.bar(asked.name, len(asked)) as advance:
        return predictor.logits(
            asked.texts,
            accelerator=accelerator,
            stopping=stopping,
            advance=lambda done: advance(done * accelerator.num_processes),
        )


def analyse(
    recipe: Recipe,
    test: Predictions,
    suites: Mapping[str, Predictions],
    paired: Paired | None = None,
) -> Examined:
    """Figures of the test split and of suites, with intervals, and the answers to the gates.

    paired: compares with another run on disk, for gates that name one; without it they are not shown.
    """
    verdicts: dict[str, Verdict] = {name: judge(part, with_intervals=True) for name, part in suites.items()}
    verdicts = {"test": judge(test, with_intervals=True), **verdicts}
    figures: dict[str, Any] = {}
    bounds: dict[str, tuple[float, float]] = {}
    for verdict in verdicts.values():
        figures |= verdict.figures
        bounds |= verdict.intervals
    about = {suite.set_name("test"): _about(suite) for suite in recipe.evaluate.suites.test}
    return Examined(
        figures,
        bounds,
        {"test": test, **suites},
        {name: about[name] | {"rows": len(part)} for name, part in suites.items()},
        list(answers((*recipe.policy.gates, *recipe.evaluate.gates), figures, bounds, paired)),
    )


def answers(
    gates: Iterable[str], figures: Mapping[str, Any], bounds: Mapping[str, Any], paired: Paired | None
) -> Iterable[Answer]:
    for gate in map(Gate.parse, gates):
        if gate.baseline is None:
            yield answer(gate, figures, bounds)
        elif paired is None:
            said = f"{gate.baseline} is not here to compare with"
            yield Answer(gate.text, "not shown", gate.key, None, None, None, said)
        else:
            yield answer_paired(gate, paired)


def _about(suite: Suite) -> dict[str, Any]:
    return {"name": suite.name, "kind": suite.kind, "about": suite.about, "sha256": suite.digest()}


def show(summary: Mapping[str, Any], terminal: Terminal) -> None:
    """A table for each test set, one for all suites, and a line for each gate."""
    figures, bounds = summary["metrics"], summary["intervals"]
    sets = dict.fromkeys(key.split("/")[0] for key in figures)
    names = shown(name for name in sets if not name.startswith("dev") and not name.endswith("-dev"))
    suites = [name for name in names if name.startswith(PREFIX)]
    for name in names:
        if name not in suites:
            terminal.show(table(figures, bounds, name))
    if suites:
        terminal.show(overview(figures, bounds, suites))
    for found in summary.get("gates", ()):
        mark = "held" if found["outcome"] == "held" else f"NOT HELD ({found['outcome']})"
        terminal.say(f"gate {found['gate']}: {mark}\n    {found['said']}")


def exit_code(summary: Mapping[str, Any]) -> int:
    """0, or 3 where a gate is not held."""
    return 0 if all(found["outcome"] == "held" for found in summary.get("gates", ())) else GATE_NOT_HELD
