"""What to do about it: the weaknesses that `teensafe gaps` found and left in the run's folder."""

from __future__ import annotations

import json
from typing import Any

from train.errors import Failure, Problem
from train.report.finished import Finished
from train.tracking.run import judged_digest

FIRST = 5
"""Gaps that are shown unfolded; of unmeasured figures none are, only how many there are."""
METRICS = {
    "fpr": "wrongly flagged",
    "recall": "found",
    "fpr_rise": "more wrongly flagged",
    "recall_drop": "found less",
    "label_noise": "wrong labels",
}
CAUSES = {
    "too_few_positives": "too few harmful examples",
    "too_few_negatives": "too few harmless examples",
    "missing_language": "language missing in training",
    "vocabulary": "words the model cannot read",
    "label_noise": "wrong labels",
    "one_source": "learned from one source",
    "shortcut": "shortcut: judges by a giveaway",
    "obfuscation": "disguised text",
    "threshold_mismatch": "threshold does not fit here",
    "hard": "hard: no other cause found",
}


def content(run: Finished) -> dict[str, Any] | None:
    """None where nobody looked. Raises Failure for damaged files."""
    if not (run.folder / "gaps.json").exists():
        return None
    try:
        gaps, rest = (
            json.loads((run.folder / name).read_text(encoding="utf-8"))
            for name in ("gaps.json", "unmeasured.json")
        )
        lines = list(gaps)
        unmeasured, notes = len(rest["unmeasured"]), list(rest["notes"])
        stale = rest.get("judged") != judged_digest(run.final)
    except (OSError, ValueError, KeyError, TypeError) as error:
        what = f"gaps cannot be read ({type(error).__name__})"
        raise Failure(
            Problem(str(run.folder), what, "what `teensafe gaps` wrote", "teensafe gaps RUN")
        ) from error
    said = {"causes": CAUSES, "metrics": METRICS, "stale": stale}
    return {"lines": lines, "first": FIRST, "unmeasured": unmeasured, "notes": notes, **said}
