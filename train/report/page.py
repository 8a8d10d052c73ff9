"""report.html: a finished run's folder goes in, one page that a person reads first comes out.

It answers what a policy lead asks, in that order: ship or not, what it misses, whom it wrongly blocks, what
to do. Each section is a module of `sections` with its template beside it. The page loads nothing and runs no
script.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from train.errors import InputError, Problem
from train.files import write_text
from train.report.finished import Finished
from train.report.hardest import visible
from train.report.html import templates
from train.report.numbers import FORMS
from train.report.sections import (
    conversations,
    curves,
    data,
    disguises,
    duties,
    functional,
    gaps,
    groups,
    hardest,
    labels,
    languages,
    people,
    slices,
    sources,
    suites,
    swaps,
    synthetic,
    trained,
    training,
    verdict,
)
from train.report.svg import whisker

NAME = "report.html"

Content = Callable[[Finished], dict[str, Any] | None]


@dataclass(frozen=True)
class Chapter:
    """A heading of the page, its short name among the contents, and the sections under it."""

    id: str
    short: str
    title: str
    sections: tuple[Content, ...]


CHAPTERS = (
    Chapter("verdict", "Verdict", "", (verdict.content,)),
    Chapter("duties", "Regulator", "What the regulator asks", (duties.content,)),
    Chapter(
        "suites",
        "Suites",
        "What it finds and whom it blocks",
        (suites.content, functional.content, conversations.content, swaps.content),
    ),
    Chapter("disguises", "Disguises", "Disguises", (disguises.content,)),
    Chapter(
        "whom",
        "For whom",
        "For whom it works",
        (languages.content, groups.content, sources.content, synthetic.content),
    ),
    Chapter("people", "People", "What people would have to decide", (people.content,)),
    Chapter("gaps", "Gaps", "What to do about it", (gaps.content,)),
    Chapter("labels", "Labels", "Labels", (labels.content,)),
    Chapter("curves", "Curves", "Curves", (curves.content,)),
    Chapter("training", "Training", "Training", (training.content,)),
    Chapter("data", "Data", "Data", (data.content,)),
    Chapter("slices", "Slices", "Slices", (slices.content,)),
    Chapter("hardest", "Hardest", "Hardest examples", (hardest.content,)),
    Chapter("trained", "Run", "What was trained", (trained.content,)),
)


def write(folder: Path) -> Path:
    """Write the page of a finished run into its folder, whole or not at all.

    Raises InputError where the run is not finished, Failure or InputError for a damaged file of the run.
    """
    if not (folder / "summary.json").is_file():
        remedy = "finish the training: run the same `teensafe train` command again"
        raise InputError(Problem(str(folder), "has no summary.json yet", "a finished run", remedy))
    target = folder / NAME
    write_text(target, _render(Finished.read(folder)), private=True)  # it shows texts
    return target


def _chapters(run: Finished) -> Iterator[tuple[Chapter, list[tuple[str, dict[str, Any]]]]]:
    """Each chapter that the run has something of, with (template, content) of its sections."""
    for chapter in CHAPTERS:
        found = [
            (f"sections/{section.__module__.rpartition('.')[2]}.html.j2", content)
            for section in chapter.sections
            if (content := section(run)) is not None
        ]
        if found:
            yield chapter, found


def _render(run: Finished) -> str:
    environment = templates(Path(__file__).parent)
    environment.filters |= {"visible": visible, **FORMS}
    environment.globals |= {"form": FORMS, "whisker": whisker}
    template = environment.get_template("page.html.j2")
    return template.render(name=run.folder.name, chapters=list(_chapters(run)))
