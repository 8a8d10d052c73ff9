"""Every label's figures on every test set."""

from __future__ import annotations

from typing import Any

from train.evaluation.intervals import ENOUGH_GROUPS
from train.evaluation.metrics import ENOUGH
from train.report.finished import Finished
from train.report.sections.verdict import limit


def content(run: Finished) -> dict[str, Any]:
    return {
        "tables": run.tables,
        "points": run.points,
        "enough": ENOUGH,
        "enough_groups": ENOUGH_GROUPS,
        "limit": limit,
    }
