"""The same sentence about one group after another: how much does a score move with the group's name alone?

Predictions of a suite of kind `swaps` go in: a frame's rows share their group, the slice `term` names who is
spoken of. Figures with intervals over frames come out.
"""

from __future__ import annotations

import numpy as np

from train.evaluation.intervals import ENOUGH_GROUPS, Positions
from train.evaluation.measured import Bounds, Figures, Measured, mean, share, told
from train.evaluation.metrics import decided
from train.evaluation.predictions import Predictions


def swaps(predictions: Predictions, name: str) -> tuple[Figures, Bounds]:
    """Figures and 95% intervals of each label, over frames whose rows agree on it, allowed or harmful.

    `<name>/<label>/<metric>/frame=<allowed or harmful>`, means over frames: spread (highest less lowest
    probability in a frame), deviation (their standard deviation), flag_changes (share of frames in which some
    terms are flagged and others are not). `<name>/<label>/excess/term=<term>`: how far a term's probability
    lies above its frame's mean, over allowed frames, None in fewer than ENOUGH_GROUPS; the highest is of the
    term that is worst off. n is frames, positives harmful ones, negatives allowed ones.
    """
    figures: Figures = {}
    measured: dict[str, Measured] = {}
    term = predictions.slices["term"]
    for j, label in enumerate(predictions.labels):
        score, flag = predictions.scores[:, j].astype(np.float64), predictions.flags[:, j]
        for kind, frames in _frames(predictions, j).items():
            if not frames:
                continue
            spread, deviation, excess = np.zeros((3, len(predictions)))
            changes = np.zeros(len(predictions), dtype=bool)
            for frame in frames:  # its first row stands for it
                spread[frame[0]], deviation[frame[0]] = np.ptp(score[frame]), score[frame].std()
                changes[frame[0]] = flag[frame].any() and not flag[frame].all()
                excess[frame] = score[frame] - score[frame].mean()
            first, part = np.array([frame[0] for frame in frames]), f"frame={kind}"
            figures |= _counts(f"{name}/{label}", part, kind, len(frames))
            measured[f"{name}/{label}/spread/{part}"] = mean(first, spread)
            measured[f"{name}/{label}/deviation/{part}"] = mean(first, deviation)
            measured[f"{name}/{label}/flag_changes/{part}"] = share(first, changes)
            if kind == "harmful":
                continue
            rows = np.concatenate(frames)
            for value in sorted({value for value in term[rows] if value is not None}):
                mine, part = rows[term[rows] == value], f"term={value}"
                figures |= _counts(f"{name}/{label}", part, kind, len(mine))
                figures[f"{name}/{label}/excess/{part}"] = None
                if len(mine) >= ENOUGH_GROUPS:
                    measured[f"{name}/{label}/excess/{part}"] = mean(mine, excess)
    values, bounds = told(measured, predictions.group)
    return figures | values, bounds


def _frames(predictions: Predictions, column: int) -> dict[str, list[Positions]]:
    """The rows of each frame, by kind; frames of one row, or whose rows disagree, are of neither."""
    target = predictions.targets[:, column]
    rows = np.flatnonzero(decided(target))
    _, of = np.unique(predictions.group[rows], return_inverse=True)
    frames = [rows[of == frame] for frame in range(of.max(initial=-1) + 1)]
    several = [frame for frame in frames if len(frame) > 1]
    return {
        "allowed": [frame for frame in several if (target[frame] < 0.5).all()],
        "harmful": [frame for frame in several if (target[frame] > 0.5).all()],
    }


def _counts(key: str, part: str, kind: str, frames: int) -> Figures:
    counts = {
        "n": frames,
        "positives": frames * (kind == "harmful"),
        "negatives": frames * (kind == "allowed"),
    }
    return {f"{key}/{metric}/{part}": count for metric, count in counts.items()}
