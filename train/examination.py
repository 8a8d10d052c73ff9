"""What the selected checkpoint is put to, scored on all processes: suites, and texts in disguise."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from signal import SIGINT
from typing import TYPE_CHECKING, Protocol

import numpy as np

from train.data.encoding import Encoder
from train.errors import Interrupted
from train.evaluation.predictions import Predictions, joined
from train.suites.conversations import turn_by_turn
from train.suites.mentions import mentions, to_slices
from train.suites.perturbations import KINDS
from train.suites.robustness import CHANGED, disguises, sample
from train.suites.rows import TestSet, rows
from train.suites.suite import Part, Suite
from train.terminal import Terminal

if TYPE_CHECKING:
    from accelerate import Accelerator

    from train.recipe import Recipe

First = Callable[[Callable[[], TestSet]], TestSet]
"""Does work on the main process before the others, so that these find its caches."""

TURNS = ".turns"
"""Ends the name of a set of conversations, each after every of its turns."""
DISGUISED = ".disguised"
"""Ends the name of a set's sampled texts under each perturbation, one after another."""
PERTURBATION = "perturbation"


class Scorer(Protocol):
    """What is examined: a Predictor, or a baseline."""

    @property
    def labels(self) -> tuple[str, ...]: ...

    @property
    def encoder(self) -> Encoder: ...

    def logits(
        self,
        texts: Sequence[str],
        *,
        accelerator: Accelerator | None = None,
        stopping: Callable[[], bool] = ...,
        advance: Callable[[int], None] = ...,
    ) -> np.ndarray | None: ...

    def judge(self, found: np.ndarray) -> tuple[np.ndarray, np.ndarray]: ...


@dataclass(frozen=True)
class Examiner:
    """accelerator: of several processes that share the scoring; stopping: whether a signal came; interrupted:
    what to raise then."""

    scorer: Scorer
    terminal: Terminal
    accelerator: Accelerator | None = None
    stopping: Callable[[], bool] = lambda: False
    interrupted: Callable[[], Interrupted] = lambda: Interrupted(SIGINT, "stopped")
    first: First = lambda work: work()

    def everything(self, recipe: Recipe, test: Predictions, texts: Sequence[str]) -> dict[str, Predictions]:
        """By name: the test split, whose predictions and texts [n] are given, with what its texts mention;
        suites; conversations turn by turn; texts in disguise.

        Raises InputError where a suite cannot be read, Interrupted.
        """
        found = {"test": with_mentions(test, texts)}
        asked = [self._rows(suite, "test") for suite in recipe.evaluate.suites.test]
        for suite, each in zip(recipe.evaluate.suites.test, asked, strict=True):
            found[each.name] = self._judged(each)
            if suite.kind == "conversations":
                found[f"{each.name}{TURNS}"] = self._judged(turn_by_turn(each))
        kinds = recipe.evaluate.perturbations
        chosen = KINDS if kinds == "all" else kinds
        if chosen:
            for suite, each in zip(recipe.evaluate.suites.test, asked, strict=True):
                if suite.kind == "functional":
                    judged = self._disguised(found[each.name], each.texts, chosen)
                    found[f"{each.name}{DISGUISED}"] = judged
            found[f"test{DISGUISED}"] = self._disguised(test, texts, chosen)
        return found

    def suites(self, suites: Iterable[Suite], part: Part) -> dict[str, Predictions]:
        """Predictions of each suite's part, by set name. Raises InputError, Interrupted."""
        asked = (self._rows(suite, part) for suite in suites)
        return {each.name: self._judged(each) for each in asked}

    def _rows(self, suite: Suite, part: Part) -> TestSet:
        of = self.scorer
        return self.first(partial(rows, suite, part, of.labels, of.encoder, suite.name))

    def _judged(self, asked: TestSet) -> Predictions:
        return asked.predictions(*self.scorer.judge(self._logits(asked.name, asked.texts)))

    def _disguised(self, clean: Predictions, texts: Sequence[str], kinds: Sequence[str]) -> Predictions:
        """A sample of the rows, of real and of synthetic ones, under each kind."""
        parts = (np.flatnonzero(clean.synthetic == kind) for kind in (False, True))
        chosen = np.concatenate([part[sample(clean.select(part))] for part in parts])
        asked, plain = clean.select(chosen), [texts[row] for row in chosen]
        said = []
        for kind, disguised, changed in disguises(plain, list(asked.ids), kinds=kinds):
            scores, flags = asked.scores.copy(), asked.flags.copy()
            other = np.flatnonzero(changed == "yes")  # the rest was scored already
            if len(other):
                logits = self._logits(kind, [disguised[row] for row in other])
                scores[other], flags[other] = self.scorer.judge(logits)
            slices = {PERTURBATION: np.full(len(asked), kind, dtype=object), CHANGED: changed}
            said.append(replace(asked, scores=scores, flags=flags, slices=slices))
        return joined(said)

    def _logits(self, name: str, texts: Sequence[str]) -> np.ndarray:
        processes = self.accelerator.num_processes if self.accelerator else 1
        with self.terminal.bar(name, len(texts)) as advance:
            found = self.scorer.logits(
                texts,
                accelerator=self.accelerator,
                stopping=self.stopping,
                advance=lambda done: advance(done * processes),
            )
        if found is None:
            raise self.interrupted()
        return found


def with_mentions(test: Predictions, texts: Sequence[str]) -> Predictions:
    """Predictions with slices that say which groups and dialects their texts [n] mention."""
    languages = test.slices.get("lang")
    found = to_slices(mentions(texts, None if languages is None else list(languages)))
    return replace(test, slices={**test.slices, **found})
