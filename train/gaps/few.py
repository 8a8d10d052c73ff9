"""Cause: training held too few of the texts that the figure is about."""

from __future__ import annotations

import math

from train.gaps.gap import Action, Cause, Evidence, Trial
from train.gaps.ground import Ground

ENOUGH_TO_LEARN = math.ceil(math.log(0.05) / math.log(0.95))
"""59: with fewer, a way of saying it that a twentieth of the texts share is in none of them with more than 5%
probability (.95^59 = .05), and what was never seen is not learned."""
LANGUAGE = ("lang", "language")
"""Names of slices whose values are languages."""


def few(ground: Ground, trial: Trial) -> Evidence | None:
    """Of the label as a whole, else of the slice. Recall is about positives, the false positive rate about
    negatives. A language in which training had too few, of a label it had enough of, is a missing language.
    """
    side = 0 if trial.metric == "recall" else 1
    kind = ("positives", "negatives")[side]
    for slice in dict.fromkeys((None, trial.slice, *trial.also)):
        counts = ground.of(trial.label, slice)
        if counts is None or counts[side] >= ENOUGH_TO_LEARN:
            continue
        had = counts[side]
        language = slice is not None and slice.partition("=")[0] in LANGUAGE
        cause: Cause = ("too_few_positives", "too_few_negatives")[side]
        where = f" with {slice}" if slice else ""
        return Evidence(
            "missing_language" if language else cause,
            f"training {kind}{where}",
            had,
            ENOUGH_TO_LEARN,
            f"training held {had:,} {kind} of {trial.label}{where}; below {ENOUGH_TO_LEARN}, a wording that "
            "one in twenty uses may not have occurred once",
            Action(
                "collect",
                max(ENOUGH_TO_LEARN - had, 3 * had),  # four times as many: half of an error that falls
                f"{kind} of {trial.label}{where}",  # with the root of their number
                _where(trial.label, kind, slice),
            ),
        )
    return None


def _where(label: str, kind: str, slice: str | None) -> dict[str, str]:
    name, _, value = (slice or "").partition("=")
    return {"label": label, "cell": kind.removesuffix("s")} | ({name: value} if slice else {})
