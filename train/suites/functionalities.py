"""What a model gets right, functionality by functionality: predictions of a functional suite in, figures out.

The idea of HateCheck (Röttger et al. 2021, arXiv:2012.15606): a functionality is one thing to get right, and
its cases were written for it. Most are minimal pairs: the same surface words, one harmful and one allowed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from train.document import build, read
from train.errors import InputError, Problem
from train.evaluation.intervals import Positions, clopper_pearson
from train.evaluation.measured import LEVEL, Bounds, Figures
from train.evaluation.metrics import Bools, Floats, Numbers, decided
from train.evaluation.predictions import Predictions
from train.spec import Spec

SLICE = "functionality"
ALL = "all"
"""Stands where a key has a label: texts, right where every known cell of theirs is."""
PASSING = 0.9
"""A functionality is counted as passed from this share of its texts on."""


class Functionality(Spec):
    tests: str
    """What its cases test, in a sentence for the report."""
    expect: Literal["pairs", "allowed"]
    """pairs: minimal pairs; allowed: texts that no label holds for, alone."""


def described(path: Path) -> dict[str, Functionality]:
    """What a file such as recipes/suites/functionalities.yaml says of each functionality, by name.

    Raises InputError with every problem found.
    """
    problems: list[Problem] = []
    tree = read(path, problems)
    said = build(_Described, replace(tree, value={SLICE: tree}), problems) if tree else None
    if said is None:
        raise InputError(problems)
    return said.functionality


class _Described(Spec):
    functionality: dict[str, Functionality]


@dataclass(frozen=True)
class _Column:
    """One label's cells of n texts in G groups, or those of all labels at once.

    cells: known, bool [n]; positive, right: bool [n], where known. gap: how far a group's positives are
    scored above its negatives, NaN where it is no pair [G]; whole: all the group's cells are right, bool [G].
    """

    name: str
    cells: Bools
    positive: Bools
    right: Bools
    gap: Floats
    whole: Bools


def functional(predictions: Predictions, name: str) -> tuple[Figures, Bounds]:
    """Figures and exact 95% intervals under `<name>/<label or all>/<metric>`, and with `/functionality=<f>`
    or, where a functionality has texts in several languages, `/functionality=<f>@<lang>` behind.

    Of a label's known cells: n, positives and negatives; passed (decided rightly at the operating point),
    passed_harmful of the positives (recall) and passed_allowed of the negatives (1 - fpr). Of its minimal
    pairs, groups with a positive and a negative cell: pairs; pairs_passed (every cell right, the strictest
    reading); ordered (each positive scored above each negative: what some threshold could get right).
    `all` is of texts instead of cells: right is one with every known cell right, harmful one that any label
    holds for, and a pair is ordered where it is under each label that makes it one; its counts are called n,
    harmful and allowed. all/functionalities: how many there are; all/functionalities@passed=0.9: how many
    have at least that share passed.

    The intervals (Clopper & Pearson 1934) take texts as independent. The two of a pair are not quite; whoever
    needs that reads pairs_passed.
    """
    figures: Figures = {}
    bounds: Bounds = {}
    _, group = np.unique(predictions.group, return_inverse=True)
    parts = dict(_parts(predictions))
    for column in _columns(predictions, group):
        for of, rows in parts.items():
            texts = np.flatnonzero(rows & column.cells)
            if not len(texts):
                continue
            groups = np.unique(group[texts])
            pairs = groups[np.isfinite(column.gap[groups])]
            for metric, count in _counts(column, texts, pairs).items():
                figures[f"{name}/{column.name}/{metric}{of}"] = count
            for metric, cases in _cases(column, texts, pairs).items():
                key = f"{name}/{column.name}/{metric}{of}"
                figures[key] = float(cases.mean()) if len(cases) else None
                if len(cases):
                    bounds[key] = clopper_pearson(int(cases.sum()), len(cases), LEVEL)
    passed = [figures[f"{name}/{ALL}/passed/{SLICE}={of}"] for of in _tested(figures, name)]
    figures[f"{name}/{ALL}/functionalities"] = len(passed)
    enough = [share for share in passed if share is not None and share >= PASSING]
    figures[f"{name}/{ALL}/functionalities@passed={PASSING:g}"] = len(enough)
    return figures, bounds


def records(
    figures: Mapping[str, Any], bounds: Mapping[str, Any], name: str, said: Mapping[str, Functionality]
) -> list[dict[str, Any]]:
    """A record for each functionality of set `name`, worst first, of its texts: functionality, tests and
    expect (None where `said` does not say), n, harmful, allowed, pairs; passed, passed_harmful,
    passed_allowed, pairs_passed and ordered with their `_low` and `_high`; languages: language -> passed."""
    found = []
    for functionality, languages in _tested(figures, name).items():
        of, start = said.get(functionality), f"{name}/{ALL}"
        record = {"functionality": functionality, "tests": of and of.tests, "expect": of and of.expect}
        for metric in ("n", "harmful", "allowed", "pairs"):
            record[metric] = figures[f"{start}/{metric}/{SLICE}={functionality}"]
        for metric in ("passed", "passed_harmful", "passed_allowed", "pairs_passed", "ordered"):
            key = f"{start}/{metric}/{SLICE}={functionality}"
            low, high = bounds.get(key, (None, None))
            record |= {metric: figures[key], f"{metric}_low": low, f"{metric}_high": high}
        passed = f"{start}/passed/{SLICE}={functionality}"
        found.append(record | {"languages": {lang: figures[f"{passed}@{lang}"] for lang in languages}})
    return sorted(found, key=lambda record: (record["passed"], record["functionality"]))


def _tested(figures: Mapping[str, Any], name: str) -> dict[str, list[str]]:
    """Functionality -> its languages, where they are told apart."""
    start = f"{name}/{ALL}/passed/{SLICE}="
    found: dict[str, list[str]] = {}
    for key in figures:
        if key.startswith(start):
            functionality, _, lang = key.removeprefix(start).partition("@")
            found.setdefault(functionality, []).extend([lang] * bool(lang))
    return found


def _parts(predictions: Predictions) -> Iterator[tuple[str, Bools]]:
    """(what is put behind a key, its rows [n])."""
    yield "", np.ones(len(predictions), dtype=bool)
    nothing = np.full(len(predictions), None)
    functionality, lang = (predictions.slices.get(of, nothing) for of in (SLICE, "lang"))
    for name in sorted({value for value in functionality if value is not None}):
        rows = np.asarray(functionality == name)
        yield f"/{SLICE}={name}", rows
        spoken = sorted({value for value in lang[rows] if value is not None})
        for language in spoken if len(spoken) > 1 else ():
            yield f"/{SLICE}={name}@{language}", rows & np.asarray(lang == language)


def _columns(predictions: Predictions, group: Positions) -> Iterator[_Column]:
    known = decided(predictions.targets)
    positive = predictions.targets > 0.5
    right = ~known | (predictions.flags == positive)
    gaps = [
        _gap(predictions.scores[:, j], positive[:, j], known[:, j] & ~positive[:, j], group)
        for j in range(len(predictions.labels))
    ]
    for label, *columns, gap in zip(predictions.labels, known.T, positive.T, right.T, gaps, strict=True):
        yield _column(label, columns, gap, group)
    texts = [known.any(axis=1), positive.any(axis=1), right.all(axis=1)]
    yield _column(ALL, texts, np.fmin.reduce(gaps), group)


def _column(name: str, columns: list[Bools], gap: Floats, group: Positions) -> _Column:
    cells, positive, right = columns
    return _Column(name, cells, positive, right, gap, np.bincount(group, ~right, len(gap)) == 0)


def _gap(score: Numbers, positive: Bools, negative: Bools, group: Positions) -> Floats:
    """Least score of the positives less the highest of the negatives of each group [G]; NaN without both."""
    groups = int(group.max(initial=-1)) + 1
    least, most = np.full(groups, np.inf), np.full(groups, -np.inf)
    np.minimum.at(least, group[positive], score[positive])
    np.maximum.at(most, group[negative], score[negative])
    gap = least - most
    return np.where(np.isfinite(gap), gap, np.nan)


def _counts(column: _Column, texts: Positions, pairs: Positions) -> dict[str, int]:
    harm, fair = ("harmful", "allowed") if column.name == ALL else ("positives", "negatives")
    positives = int(column.positive[texts].sum())
    return {"n": len(texts), harm: positives, fair: len(texts) - positives, "pairs": len(pairs)}


def _cases(column: _Column, texts: Positions, pairs: Positions) -> dict[str, Bools]:
    """Metric -> whether each case it is a share of went well."""
    right, positive = column.right[texts], column.positive[texts]
    return {
        "passed": right,
        "passed_harmful": right[positive],
        "passed_allowed": right[~positive],
        "pairs_passed": column.whole[pairs],
        "ordered": column.gap[pairs] > 0,
    }
