"""Votes of simulated and of real people, for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from train.curation.people.votes import Vote
from train.data.source import Source

CONVABUSE = {
    "delimiter": ";",
    "turns": [
        {"speaker": "bot", "text": "Input.prev_agent"},
        {"speaker": "user", "text": "Input.prev_user"},
        {"speaker": "bot", "text": "Input.agent"},
        {"speaker": "user", "text": "Input.user"},
    ],
    "aggregate": {
        "by": ["Input.conv_id", "Input.prev_agent", "Input.prev_user", "Input.agent", "Input.user"]
    },
    "group": "Input.conv_id",
    "labels": {
        "binary": {"column": "is_abuse", "map": {"-3": 1, "-2": 1, "-1": 1, "0": 0, "1": 0}},
        "scale": {"column": "is_abuse", "map": {"-3": 1, "-2": 0.75, "-1": 0.5, "0": 0.25, "1": 0}},
    },
    "licence": "CC BY 4.0",
    "bad_rows": "drop",
}


def convabuse(folder: Path) -> Source:
    return Source(path=str(folder / "convabuse" / "convabuse.csv"), **CONVABUSE)  # type: ignore[arg-type]


def simulated(truth: np.ndarray, right: list[tuple[float, float]], each: int, seed: int = 0) -> list[Vote]:
    """Votes on items "s:0", ...; right: of each annotator the chance of a right vote on a yes and on a no;
    `each` of them, drawn anew, vote on an item."""
    chance = np.random.default_rng(seed)
    votes = []
    for number, yes in enumerate(truth):
        for who in chance.choice(len(right), each, replace=False):
            correct = chance.random() < right[who][0 if yes else 1]
            votes.append(Vote(f"s:{number}", "hate", f"p{who}", float(bool(yes) == correct)))
    return votes
