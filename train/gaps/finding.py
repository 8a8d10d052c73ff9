"""`teensafe gaps`: a finished run goes in; its weaknesses, ranked by harm, come out and lie in its folder.

gaps.json: the weaknesses, worst first. unmeasured.json: labels and places with too few texts to tell, which
are no passes, and what could not be looked for. Both hold ids, never texts.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from train.data.corpus import Corpus
from train.data.normalise import Step
from train.document import COMMAND_LINE
from train.errors import Failure, InputError, Problem
from train.evaluation.predictions import Bools
from train.files import write_json
from train.gaps.diagnosis import diagnose
from train.gaps.gap import Gap, Trial
from train.gaps.ground import Ground, from_corpus, from_lock
from train.gaps.held import Held, data_of, held_out
from train.gaps.noise import mislabelled
from train.gaps.obfuscation import disguised, together, turned
from train.gaps.performance import cells
from train.gaps.share import discoveries
from train.gaps.shortcut import Decide, shortcuts
from train.gaps.words import Words
from train.policy import Policy
from train.recipe import load as load_recipe
from train.serving.predictor import Predictor
from train.tracking.run import find as find_run
from train.tracking.run import judged_digest, lock, summary

GAPS, UNMEASURED = "gaps.json", "unmeasured.json"
_NEEDS_DATA = "training counts by slice, unknown tokens and shortcuts could not be looked at"


@dataclass(frozen=True)
class Found:
    """gaps: entries of gaps.json, worst first; unmeasured: places nobody can speak of yet, as JSON; notes:
    what could not be looked for, and why."""

    gaps: list[dict[str, Any]]
    unmeasured: list[dict[str, Any]]
    notes: list[str]


def find(name: str, prevalence: Mapping[str, float] | None = None) -> Found:
    """Look for the weaknesses of a finished run and write them to its folder.

    prevalence: label -> share of the texts that carry it where the model is used; of other labels what the
    recipe states by label, else what each place holds. A single number for all labels, as a recipe has by
    default, states nothing of any of them.
    Raises InputError where there is no such run or its predictions are not whole.
    """
    folder = find_run(name)
    recipe, of_run = load_recipe(folder / "recipe.yaml"), summary(folder)
    if unknown := sorted(set(prevalence or {}) - set(of_run["labels"])):
        what = f"--prevalence {unknown[0]}: no label of this run"
        raise InputError(Problem(COMMAND_LINE, what, f"one of {', '.join(of_run['labels'])}"))
    stated = recipe.evaluate.prevalence if isinstance(recipe.evaluate.prevalence, dict) else {}
    corpus, why = data_of(folder, recipe)
    notes = [f"{why}: {_NEEDS_DATA}"] if why else []
    ground = from_corpus(corpus) if corpus else from_lock(lock(folder))
    held = held_out(folder, corpus)
    found = search(
        held,
        ground,
        recipe.policy,
        corpus,
        decisions(folder) if corpus else None,
        figures=of_run["metrics"],
        intervals=of_run["intervals"],
        prevalence={**stated, **(prevalence or {})},
        steps=recipe.model.normalise,
        turned=partial(turned, folder),
    )
    found = Found(found.gaps, found.unmeasured, notes)
    write_json(folder / GAPS, found.gaps)
    rest = {"notes": notes, "unmeasured": found.unmeasured, "judged": judged_digest(of_run)}
    write_json(folder / UNMEASURED, rest)
    return found


def prevalences(stated: Sequence[str]) -> dict[str, float]:
    """Of `label=share` as a person types it. Raises InputError."""
    found, problems = {}, []
    for said in stated:
        label, _, value = said.partition("=")
        try:
            found[label] = float(value)
        except ValueError:
            found[label] = math.nan
        if not 0 < found[label] < 1:
            problems.append(Problem(COMMAND_LINE, f"--prevalence {said}", "label=share, such as hate=0.01"))
    if problems:
        raise InputError(problems)
    return found


def read(folder: Path) -> Found | None:
    """What `find` wrote last; None where it never looked. Raises Failure for a damaged file."""
    if not (folder / GAPS).exists():
        return None
    try:
        gaps = json.loads((folder / GAPS).read_text(encoding="utf-8"))
        rest = json.loads((folder / UNMEASURED).read_text(encoding="utf-8"))
        return Found(list(gaps), list(rest["unmeasured"]), list(rest["notes"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        what = f"gaps cannot be read ({type(error).__name__})"
        raise Failure(
            Problem(str(folder), what, "what `teensafe gaps` wrote", "teensafe gaps RUN")
        ) from error


def search(
    held: list[Held],
    ground: Ground,
    policy: Policy,
    corpus: Corpus | None,
    decide: Decide | None,
    figures: Mapping[str, Any],
    intervals: Mapping[str, Any],
    prevalence: Mapping[str, float],
    steps: Sequence[Step] = (),
    turned: Callable[[Trial], tuple[str, ...]] = lambda trial: (),
) -> Found:
    """Every figure held against its target; of those beyond it, the ones that chance does not explain.

    steps: of the model's normaliser; turned: ids of texts that a disguise turns, for a test of it.

    All tests, of all labels, places and kinds, are one family at a false discovery rate of 5%. A figure that
    is neither a gap nor proven to keep its target is unmeasured.
    """
    candidates = [
        (cell.trial, partial(diagnose, cell, part, ground, corpus, policy))
        for part in held
        for cell in cells(part.predictions, part.fair, part.name, policy, prevalence)
        if cell.trial.n or part is held[0]  # made texts need not hold all, but of what is real all counts
    ]
    told = [
        test
        for part in held
        for label, found in part.noise.items()
        for test in mislabelled(found, part.predictions, part.name, label, ground)
    ]
    told += disguised(figures, intervals, ground, held[0].predictions.labels, prevalence)
    if corpus and decide:
        told += _shortcuts(held, corpus, decide, policy, prevalence)
    candidates += [(test, partial(_vulnerable, test, policy)) for test in told]
    worse = discoveries(np.array([1.0 if test.p is None else test.p for test, _ in candidates]))
    gaps = [gap() for (_, gap), found in zip(candidates, worse, strict=True) if found]
    gaps = _united(sorted(gaps, key=lambda gap: (-gap.harm, gap.trial.id)), steps)
    gaps = [
        replace(gap, trial=replace(gap.trial, examples=turned(gap.trial)))
        if gap.cause.cause == "obfuscation"
        else gap
        for gap in gaps
    ]
    open_ = [
        test
        for (test, _), found in zip(candidates, worse, strict=True)
        if not (found or test.proven or test.shared)
    ]
    open_.sort(key=lambda test: (-policy.labels[test.label].tier, test.set, test.needed - test.n))
    return Found([gap.record() for gap in gaps], [test.unmeasured() for test in open_], [])


def _vulnerable(trial: Trial, policy: Policy) -> Gap:
    """Of a test that was made for a cause."""
    assert trial.told is not None
    return Gap(trial, policy.labels[trial.label].tier, trial.told, ())


def _united(gaps: list[Gap], steps: Sequence[Step]) -> list[Gap]:
    """A label's shortcuts in one source are one gap, and its disguises in one set, the most harmful of them;
    the others are evidence of it."""
    found: dict[tuple[str, ...], list[Gap]] = {}
    for gap in gaps:
        trial, cause = gap.trial, gap.cause.cause
        apart = {"shortcut": str(trial.slice), "obfuscation": trial.metric}.get(cause, trial.id)
        found.setdefault((trial.set, trial.label, cause, apart), []).append(gap)
    return [
        together(same, steps)
        if same[0].cause.cause == "obfuscation"
        else replace(same[0], other=(*same[0].other, *(gap.cause for gap in same[1:])))
        for same in found.values()
    ]


def _shortcuts(
    held: list[Held], corpus: Corpus, decide: Decide, policy: Policy, prevalence: Mapping[str, float]
) -> Iterator[Trial]:
    words = Words(corpus)
    tiers = {name: label.tier for name, label in policy.labels.items()}
    for part in held:
        if part.positions is None or not len(part.predictions):
            continue
        synthetic = bool(part.predictions.synthetic[0])
        told = [word for label in corpus.labels for word in words.telltale(label, synthetic)]
        yield from shortcuts(
            told, corpus, part.positions, part.predictions, part.name, decide, tiers, prevalence
        )


def decisions(folder: Path) -> Decide:
    """Flags of any texts by the run's selected checkpoint; it is loaded when first asked."""

    @cache
    def predictor() -> Predictor:
        return Predictor.load(str(folder))

    def decide(texts: Sequence[str]) -> Bools:
        logits = predictor().logits(texts)
        assert logits is not None  # nothing stops it
        return np.asarray(predictor().judge(logits)[1])

    return decide
