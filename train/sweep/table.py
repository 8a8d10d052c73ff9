"""A sweep on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

MOST = 20
"""Runs that are listed; the page has all."""
STATES = {"done": "finished", "pruned": "ended early", "failed": "failed"}
UNLIKE = "Not all were judged by the same dev texts and labels: their figures do not rank them."


def table(document: Mapping[str, Any]) -> Table:
    """A row a run, the best first."""
    runs = document["runs"]
    drawn = Table(title=f"{document['name']}: {title(document)}", box=box.SIMPLE_HEAD, show_edge=False)
    drawn.title_justify = drawn.caption_justify = "left"
    notes = [] if document["alike"] else [UNLIKE]
    if len(runs) > MOST:
        notes.append(f"the first {MOST} of {len(runs)}; the page has all")
    drawn.caption = "\n".join(notes) or None
    for key in document["keys"]:
        drawn.add_column(escape(key), overflow="fold")
    drawn.add_column(document["metric"], justify="right", no_wrap=True)
    drawn.add_column("at step", justify="right", no_wrap=True)
    drawn.add_column("run ends with", no_wrap=True)
    for row in runs[:MOST]:
        values = (escape(row["values"][key]) for key in document["keys"])  # lists look like markup
        of = f"{row['at'] or '–'} of {row['steps']}"
        ending = row["run"].rpartition("-")[2] if row["run"] else STATES[row["status"]]
        drawn.add_row(*values, figure(row), of, ending)
    return drawn


def title(document: Mapping[str, Any]) -> str:
    """How many runs, and what became of them."""
    counts = [
        f"{count} {words}"
        for state, words in STATES.items()
        if (count := sum(row["status"] == state for row in document["runs"]))
    ]
    return f"{len(document['runs'])} of {document['of']} runs, {', '.join(counts) or 'none finished'}"


def figure(row: Mapping[str, Any]) -> str:
    """A run's dev figure with its 95% interval."""
    if row["figure"] is None:
        return "–"
    between = row["interval"]
    return f"{row['figure']:.3f}" + (f" ({between[0]:.2f} to {between[1]:.2f})" if between else "")
