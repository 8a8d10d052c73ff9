"""What there is to judge a run by: its held-out predictions, and its data where they are still here."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from train.data.corpus import Corpus
from train.errors import Failure, InputError, Problem
from train.evaluation.predictions import Bools, Predictions, joined
from train.gaps.noise import Noise, noise
from train.lock import resolve
from train.recipe import Recipe
from train.tracking.run import lock

SPLITS = ("dev", "calibration", "test")
ELSEWHERE = ("-dev", ".disguised", ".turns")
"""Suites that chose the checkpoint, texts in disguise, whose figures are in the summary, and conversations
turn by turn, whose targets are of the whole."""


@dataclass(frozen=True, eq=False)
class Held:
    """Held-out texts that may share a figure: the real ones of a run, its synthetic ones, or a suite.

    predictions: n texts of all held-out splits; positions: int64 [n], of each in the corpus; None where
    there is no corpus or these are not its texts. Suites have no part in the search for noise.
    """

    name: str
    predictions: Predictions
    positions: np.ndarray | None = None

    @property
    def fair(self) -> Bools:
        """Texts that neither the weights nor the thresholds were fitted on: all but calibration's."""
        return np.asarray(self.predictions.split != "calibration")

    @cached_property
    def noise(self) -> dict[str, list[Noise]]:
        """By label."""
        return {label: noise(self.predictions, label) for label in self.predictions.labels}


def held_out(folder: Path, corpus: Corpus | None) -> list[Held]:
    """The run's real held-out texts (if only to say that there are none), its synthetic ones, and each
    suite that was opened for the verdict, not the dev part.

    Raises InputError where a file is missing or damaged, Failure where it is not of the corpus.
    """
    read = [Predictions.read(folder / "predictions" / f"{split}.parquet") for split in SPLITS]
    every = joined(read)
    positions = np.concatenate([corpus.rows(split) for split in SPLITS]) if corpus else None
    if corpus and positions is not None and list(corpus.column("id", positions)) != list(every.ids):
        what = "are not the texts of the run's recipe"
        raise Failure(Problem(str(folder / "predictions"), what, "the same ids", "teensafe evaluate RUN"))
    found = [
        Held(name, every.select(rows), positions[rows] if positions is not None else None)
        for name, rows in (("held-out", ~every.synthetic), ("held-out.synthetic", every.synthetic))
    ]
    suites = sorted((folder / "predictions").glob("suite.*.parquet"))
    found += [Held(path.stem, Predictions.read(path)) for path in suites if not path.stem.endswith(ELSEWHERE)]
    return [part for part in found if len(part.predictions) or part is found[0]]


def data_of(folder: Path, recipe: Recipe) -> tuple[Corpus | None, str]:
    """The corpus the run was trained on; or None, and why it cannot be had."""
    try:
        resolved = resolve(recipe)
    except InputError as error:
        return None, f"the run's data are not all here ({len(error.problems)} problem(s), see `check`)"
    if resolved.identity != lock(folder)["sha256"]:
        return None, "the run's data, base model or policy have changed since it was trained"
    return resolved.corpus, ""
