"""The same sentence about one group after another: how much does a score move with the group's name alone?

Predictions of a suite of kind `swaps` go in: a frame's rows share their group, the slice `term` names who is
spoken of. Figures with intervals over frames come out.
"""

from __future__ import annotations

import numpy as np

from train.evaluation.measured import Bounds, Figures, Measured, mean, share, told
from train.evaluation.metrics import decided
from train.evaluation.predictions import Predictions


def swaps(predictions: Predictions, name: str) -> tuple[Figures, Bounds]:
    """Figures and 95% intervals, over frames whose known cells agree, `<kind>` being allowed or harmful:

    `<name>/<label>/<metric>/frame=<kind>`: spread (highest less lowest probability in a frame), deviation
    (their standard deviation), both as means over frames, and flag_changes, the share of frames in which some
    terms are flagged and others are not. `<name>/<label>/excess/term=<term>`: how far a term's probability
    lies above its frame's mean, as a mean over allowed frames; the highest is of the term that is worst off.
    n is frames; positives are harmful ones, negatives allowed ones.
    """
    figures: Figures = {}
    measured: dict[str, Measured] = {}
    _, of = np.unique(predictions.group, return_inverse=True)
    term = predictions.slices["term"]
    for j, label in enumerate(predictions.labels):
        rows = np.flatnonzero(decided(predictions.targets[:, j]))
        frames = [rows[of[rows] == frame] for frame in np.unique(of[rows])]
        # of each frame one row stands for it, where there are two terms to compare and one answer to both
        frames = [frame for frame in frames if len(frame) > 1 and len(set(predictions.targets[frame, j] > 0.5)) == 1]
        score, flag = predictions.scores[:, j].astype(np.float64), predictions.flags[:, j]
        spread, deviation, above = np.zeros((3, len(predictions)))
        changes = np.zeros(len(predictions), dtype=bool)
        for frame in frames:
            first, found = frame[0], score[frame]
            spread[first], deviation[first] = np.ptp(found), found.std()
            changes[first] = len(set(flag[frame])) > 1
            above[frame] = found - found.mean()
        for harmful in (False, True):
            chosen = [frame for frame in frames if (predictions.targets[frame[0], j] > 0.5) == harmful]
            if not chosen:
                continue
            part, first = f"frame={'harmful' if harmful else 'allowed'}", np.array([frame[0] for frame in chosen])
            figures |= _counts(f"{name}/{label}", part, len(chosen), harmful)
            measured[f"{name}/{label}/spread/{part}"] = mean(first, spread)
            measured[f"{name}/{label}/deviation/{part}"] = mean(first, deviation)
            measured[f"{name}/{label}/flag_changes/{part}"] = share(first, changes)
            if harmful:
                continue
            members = np.concatenate(chosen)
            for value in sorted(set(term[members])):
                mine = members[term[members] == value]
                figures |= _counts(f"{name}/{label}", f"term={value}", len(mine), harmful)
                measured[f"{name}/{label}/excess/term={value}"] = mean(mine, above)
    values, bounds = told(measured, predictions.group)
    return figures | values, bounds


def _counts(key: str, part: str, frames: int, harmful: bool) -> Figures:
    counts = {"n": frames, "positives": frames * harmful, "negatives": frames * (not harmful)}
    return {f"{key}/{metric}/{part}": count for metric, count in counts.items()}
