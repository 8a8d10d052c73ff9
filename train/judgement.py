"""What predictions say of a checkpoint: figures with intervals, what its gates say, and the exit code.

No model is asked here: the predictions of a run's folder are enough.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from train.assessment import judge
from train.evaluation.gates import Answer, Gate, Paired, answer, answer_paired
from train.evaluation.predictions import Predictions, sets
from train.evaluation.records import is_whole, shown
from train.evaluation.table import overview, table
from train.examination import DISGUISED, PERTURBATION
from train.recipe import Recipe
from train.suites.robustness import robustness
from train.suites.suite import PREFIX, Suite
from train.terminal import Terminal

GATE_NOT_HELD = 3
"""Exit code."""

Figures = dict[str, Any]
Bounds = dict[str, tuple[float, float]]


@dataclass(frozen=True)
class Judgement:
    """Figures and 95% intervals by metric key; what each suite is, by set; the answers to the gates."""

    figures: Figures
    intervals: Bounds
    suites: dict[str, dict[str, Any]] = field(default_factory=dict)
    gates: tuple[Answer, ...] = ()

    def summary(self) -> dict[str, Any]:
        """As summary.json holds it."""
        return {
            "metrics": self.figures,
            "intervals": {key: list(pair) for key, pair in self.intervals.items()},
            "suites": self.suites,
            "gates": [asdict(found) for found in self.gates],
        }


def judgement(recipe: Recipe, found: Mapping[str, Predictions], paired: Paired | None = None) -> Judgement:
    """Of the test split, suites and disguised texts, by name: `test` and what Examiner.everything gives.

    paired: compares with another run on disk, for gates that name one; without it these are not shown.
    """
    figures: Figures = {}
    bounds: Bounds = {}
    for name, part in found.items():
        if name.endswith(DISGUISED):
            more = _robustness(found[name.removesuffix(DISGUISED)], part)
        else:
            verdict = judge(part, with_intervals=True)
            more = verdict.figures, verdict.intervals
        figures |= more[0]
        bounds |= more[1]
    suites = {suite.set_name("test"): suite for suite in recipe.evaluate.suites.test}
    gates = (*recipe.policy.gates, *recipe.evaluate.gates)
    return Judgement(
        figures,
        bounds,
        {name: _about(suite, len(found[name])) for name, suite in suites.items()},
        tuple(_answer(Gate.parse(gate), figures, bounds, paired) for gate in gates),
    )


def _robustness(clean: Predictions, disguised: Predictions) -> tuple[Figures, Bounds]:
    """Of the whole sets that the clean predictions divide into."""
    figures: Figures = {}
    bounds: Bounds = {}
    clean_rows = {id: row for row, id in enumerate(clean.ids)}
    for name, part in sets(disguised).items():
        if not is_whole(name):
            continue
        by_kind = {kind: part.select(part.slices[PERTURBATION] == kind) for kind in _kinds(part)}
        ids = next(iter(by_kind.values())).ids
        rows = np.array([clean_rows[id] for id in ids])
        more, sure = robustness(clean.select(rows), by_kind, name)
        figures |= more
        bounds |= sure
    return figures, bounds


def _kinds(disguised: Predictions) -> Iterator[str]:
    return iter(dict.fromkeys(disguised.slices[PERTURBATION]))


def _about(suite: Suite, rows: int) -> dict[str, Any]:
    return {
        "name": suite.name,
        "kind": suite.kind,
        "about": suite.about,
        "sha256": suite.digest(),
        "rows": rows,
    }


def _answer(gate: Gate, figures: Figures, bounds: Bounds, paired: Paired | None) -> Answer:
    if gate.baseline is None:
        return answer(gate, figures, bounds)
    if paired is None:
        said = f"{gate.baseline} is not here to compare with"
        return Answer(gate.text, "not shown", gate.key, None, None, None, said)
    return answer_paired(gate, paired)


# ---- telling it ----------------------------------------------------------------------------------------


def show(summary: Mapping[str, Any], terminal: Terminal) -> None:
    """A table for each test set, one for all suites, and a line for each gate."""
    figures, bounds = summary["metrics"], summary["intervals"]
    named = dict.fromkeys(key.split("/")[0] for key in figures)
    names = shown(name for name in named if not name.startswith("dev") and not name.endswith("-dev"))
    suites = [name for name in names if name.startswith(PREFIX)]
    for name in names:
        if name not in suites:
            terminal.show(table(figures, bounds, name))
    if suites:
        terminal.show(overview(figures, bounds, suites))
    for gate in summary.get("gates", ()):
        mark = "held" if gate["outcome"] == "held" else f"NOT HELD ({gate['outcome']})"
        terminal.say(f"gate {gate['gate']}: {mark}\n    {gate['said']}")


def exit_code(summary: Mapping[str, Any]) -> int:
    """0, or 3 where a gate is not held."""
    return 0 if all(gate["outcome"] == "held" for gate in summary.get("gates", ())) else GATE_NOT_HELD
