"""How the loss fell, and how the selecting metric rose."""

from __future__ import annotations

from typing import Any

from train.report import charts
from train.report.finished import Finished
from train.tracking.run import history


def content(run: Finished) -> dict[str, Any] | None:
    """None of a baseline, which was not trained."""
    if "baseline" in run.final:
        return None
    logged = history(run.folder)
    (metric,) = run.final["selected_by"]
    step = run.final["selected_step"]
    return {"charts": [charts.loss(logged, step), charts.progress(logged, metric, step)]}
