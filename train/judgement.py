"""What predictions say of a checkpoint: figures with intervals, what its gates say, and the exit code.

No model is asked here: the run's predictions are enough, beside the texts of its test split.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from train.assessment import judge
from train.comparison.gate import not_worse
from train.comparison.shared import divided
from train.errors import InputError
from train.evaluation.duties import by_duty, duties
from train.evaluation.gates import Answer, Gate, answer, answer_paired, placeless, run_name
from train.evaluation.measured import Bounds, Figures
from train.evaluation.predictions import Predictions, sets
from train.evaluation.records import is_whole, shown
from train.evaluation.routing import routing
from train.evaluation.shortcuts import source_areas, telling_words
from train.evaluation.table import overview, table
from train.evaluation.transfer import at_english, flag_rates, synthetic_gaps
from train.examination import DISGUISED, PERTURBATION, TURNS
from train.lock import Resolved
from train.policy import Policy
from train.recipe import Recipe
from train.suites.conversations import conversations
from train.suites.functionalities import described, functional
from train.suites.mentions import from_slices
from train.suites.overlap import overlaps, suite_rows
from train.suites.robustness import robustness
from train.suites.subgroups import subgroups
from train.suites.suite import PREFIX, Suite
from train.suites.swaps import swaps
from train.terminal import Terminal
from train.tracking.run import find

GATE_NOT_HELD = 3
"""Exit code."""

Both = tuple[Figures, Bounds]


@dataclass(frozen=True)
class Judgement:
    """Figures and 95% intervals by metric key; what each suite is, by set; the duties of the policy and what
    is known of them; the answers to the gates."""

    figures: Figures
    intervals: Bounds
    suites: dict[str, dict[str, Any]]
    duties: list[dict[str, Any]]
    gates: tuple[Answer, ...]

    def summary(self) -> dict[str, Any]:
        """As summary.json holds it."""
        return {
            "metrics": self.figures,
            "intervals": {key: list(pair) for key, pair in self.intervals.items()},
            "suites": self.suites,
            "duties": self.duties,
            "gates": [asdict(found) for found in self.gates],
        }


def judgement(resolved: Resolved, found: Mapping[str, Predictions]) -> Judgement:
    """Of a run's predictions by name: `calibration`, `test`, and what Examiner.everything gives.

    Raises InputError where a suite's files are gone.
    """
    figures: Figures = {}
    bounds: Bounds = {}
    recipe = resolved.recipe
    for more, sure in _parts(resolved, found):
        figures |= more
        bounds |= sure
    gates = (*recipe.policy.gates, *recipe.evaluate.gates)
    test = found["test"]
    return Judgement(
        figures,
        bounds,
        _about(resolved, found),
        [
            {**asdict(duty), "outcome": duty.outcome}
            for duty in duties(test.select(~test.synthetic), recipe.policy)
        ],
        tuple(_answer(Gate.parse(gate), figures, bounds, found) for gate in gates),
    )


def _parts(resolved: Resolved, found: Mapping[str, Predictions]) -> Iterator[Both]:
    recipe = resolved.recipe
    yield from _of_test(resolved, found["calibration"], found["test"])
    for name, suite in _suites(recipe, found).items():
        yield from _of_suite(suite, name, found, recipe.policy)
    for name, part in found.items():
        if name.endswith(DISGUISED):
            yield from _disguised(found[name.removesuffix(DISGUISED)], part)


def _of_test(resolved: Resolved, calibration: Predictions, test: Predictions) -> Iterator[Both]:
    recipe, corpus = resolved.recipe, resolved.corpus
    verdict = judge(test, with_intervals=True)
    yield verdict.figures, verdict.intervals
    constraints = {label: recipe.policy.labels[label].constraint for label in test.labels}
    for name, part in sets(test).items():
        if is_whole(name):
            yield by_duty(part, recipe.policy, name)
            yield routing(part, name, recipe.evaluate.prevalence)
            yield at_english(calibration, part, constraints, name)
            yield subgroups(part, from_slices(part.slices), name)
            yield source_areas(part, name)
    real = ~test.synthetic
    yield flag_rates(test.select(real), "test")
    yield synthetic_gaps(test, "test")
    if real.any() and len(test) == len(corpus.rows("test")):  # a baseline may have judged a sample
        texts = corpus.texts(corpus.rows("test")[real])
        yield telling_words(texts, test.source[real], test.group[real], "test")


def _of_suite(suite: Suite, name: str, found: Mapping[str, Predictions], policy: Policy) -> Iterator[Both]:
    part = found[name]
    verdict = judge(part, with_intervals=True)
    yield verdict.figures, verdict.intervals
    yield flag_rates(part, name)
    yield by_duty(part, policy, name)
    if suite.kind == "functional":
        yield functional(part, name)
    elif suite.kind == "swaps":
        yield swaps(part, name)
    elif suite.kind == "conversations":
        yield conversations(found[f"{name}{TURNS}"], name)


def _disguised(clean: Predictions, disguised: Predictions) -> Iterator[Both]:
    """Of the whole sets that the clean predictions divide into."""
    row_of = {id: row for row, id in enumerate(clean.ids)}
    for name, part in sets(disguised).items():
        if is_whole(name):
            kinds = dict.fromkeys(part.slices[PERTURBATION])
            by_kind = {kind: part.select(part.slices[PERTURBATION] == kind) for kind in kinds}
            rows = [row_of[id] for id in next(iter(by_kind.values())).ids]
            yield robustness(clean.select(np.array(rows)), by_kind, name)


def _suites(recipe: Recipe, found: Mapping[str, Predictions]) -> dict[str, Suite]:
    """The recipe's suites by set, those that were judged."""
    named = {suite.set_name("test"): suite for suite in recipe.evaluate.suites.test}
    return {name: suite for name, suite in named.items() if name in found}


def _about(resolved: Resolved, found: Mapping[str, Predictions]) -> dict[str, dict[str, Any]]:
    """What each suite is, by set: name, kind, about, sha256, rows, what its functionalities test, and the ids
    of its rows that training holds nearly word for word."""
    suites, corpus = _suites(resolved.recipe, found), resolved.corpus
    near = overlaps(corpus, suite_rows(corpus, suites.values(), "test")) if suites else {}
    return {
        name: {
            **suite.model_dump(include={"name", "kind", "about"}),
            "sha256": suite.digest(),
            "rows": len(found[name]),
            "functionalities": {
                functionality: said.model_dump()
                for functionality, said in (
                    described(Path(suite.functionalities)) if suite.functionalities else {}
                ).items()
            },
            "in_training": [each._asdict() for each in near[name]],
        }
        for name, suite in suites.items()
    }


def _answer(gate: Gate, figures: Figures, bounds: Bounds, found: Mapping[str, Predictions]) -> Answer:
    if gate.baseline is None:
        return answer(gate, figures, bounds)

    def paired(name: str, key: str) -> tuple[float | None, float | None, float | None, int]:
        told = not_worse(divided(found), find(name), key, gate.limit)
        return told.difference, told.low, told.high, told.n

    try:
        return answer_paired(gate, paired)
    except InputError as wrong:  # a finished training must not fail for it
        why = "; ".join(problem.what for problem in wrong.problems)  # not `where`: an answer names no place
        said = f"{run_name(gate.baseline)}: {why}"
        return Answer(placeless(gate.text), "not shown", gate.key, None, None, None, said)


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
