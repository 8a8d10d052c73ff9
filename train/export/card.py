"""README.md of a bundle: the model card, for people who decide whether a model may be used, and for what."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from train.bundle.manifest import Manifest
from train.evaluation.intervals import ENOUGH_GROUPS
from train.evaluation.metrics import ENOUGH
from train.report.finished import Finished, Value
from train.report.markdown import templates
from train.report.numbers import area, bare, share
from train.report.sections import disguises, gaps, groups, languages, suites, verdict


def card(folder: Path, manifest: Manifest) -> str:
    """Markdown with Hugging Face's front matter, of a finished run's folder and the manifest made of it.

    Raises Failure or InputError for a damaged file of the run.
    """
    environment = templates(Path(__file__).parent)
    environment.globals |= {
        "figure": figure,
        "of_record": _of_record,
        "area": area,
        "gate_words": verdict.gate_words,
    }
    run = Finished.read(folder)
    text = environment.get_template("card.md.j2").render(
        manifest=manifest,
        run=run,
        policy=run.policy,
        languages_known=_languages(run),
        enough=ENOUGH,
        enough_groups=ENOUGH_GROUPS,
        means=groups.MEANS,
        causes=gaps.CAUSES,
        metrics=gaps.METRICS,
        verdict=verdict.content(run),
        suites=suites.content(run),
        languages=languages.content(run),
        groups=groups.content(run),
        disguises=disguises.content(run),
        gaps=gaps.content(run),
    )
    return re.sub(r"\n{3,}", "\n\n", text)


def figure(value: Value, form: Callable[[float], str] = share) -> str:
    """A figure with its interval and n; the word insufficient, never a number, where there are too few."""
    if not value.n:
        return "no text"
    if value.value is None or not value.enough:
        return f"insufficient (n = {value.n:,})"
    ends = bare if form is share else form
    between = (
        "no interval" if value.low is None or value.high is None else f"{ends(value.low)}–{ends(value.high)}"
    )
    return f"{form(value.value)} ({between}; n = {value.n:,})"


def _of_record(record: dict[str, Any], metric: str) -> str:
    """As `figure`, of a record of train/evaluation/records.py, whose n stand in columns of their own."""
    value, form = record[metric], share if metric in ("recall", "fpr") else area
    if value is None:
        return "insufficient"
    low, high = record[f"{metric}_low"], record[f"{metric}_high"]
    ends = bare if form is share else form
    return f"{form(value)} ({'no interval' if low is None else f'{ends(low)}–{ends(high)}'})"


def _languages(run: Finished) -> list[str]:
    """Of real or made test texts, as two or three letters."""
    said = {
        value.removeprefix("lang=")
        for key in run.figures
        if key.startswith("test") and (value := key.rpartition("/")[2]).startswith("lang=")
    }
    return sorted(lang for lang in said if re.fullmatch("[a-z]{2,3}", lang))
