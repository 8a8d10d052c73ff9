"""What a disguise costs: predictions of the same texts, clean and perturbed, go in; drops and rises come out.

Thresholds stay where they are. A drop is judged on the very positives, and a rise on the very negatives, that
the clean rate is of, and its interval draws the same groups for both sides. A sample holds positives of other
labels in another share than its set. So a label is judged on the positives that were drawn for it alone, and
on negatives of allowed texts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256

import numpy as np
import numpy.typing as npt

from train.evaluation.intervals import ENOUGH_GROUPS, clopper_pearson
from train.evaluation.metrics import Bools, Figure, Floats, allowed
from train.evaluation.predictions import Predictions, Strings
from train.suites.perturbations import KINDS, perturb

CHANGED = "changed"
"""The slice of perturbed predictions that says whether the text is another: yes or no."""
_ANY = "any"
_CHANGE = {"recall": "recall_drop", "fpr": "fpr_rise"}

Positions = npt.NDArray[np.intp]


def sample(
    predictions: Predictions, *, most_positives: int = 300, most_allowed: int = 1000, seed: int = 0
) -> Positions:
    """Rows to perturb, ascending: of each label's positives and of the allowed texts, so many at most.

    Groups come in an order that (seed, group) alone decides, the same for all labels, and whole, but for the
    one that reaches the limit.
    """
    sides = _sides(predictions, most_positives, most_allowed, seed)
    return np.flatnonzero(np.logical_or.reduce([rows for _, of in sides for rows in of.values()]))


def disguises(
    texts: Sequence[str], ids: Sequence[str], *, seed: int = 0, kinds: Sequence[str] = KINDS
) -> Iterator[tuple[str, list[str], Strings]]:
    """(kind, the texts under it, the slice CHANGED [n]) for each kind."""
    for kind in kinds:
        said = [perturb(text, kind, seed=seed, key=id) for text, id in zip(texts, ids, strict=True)]
        changed = ["no" if new == old else "yes" for new, old in zip(said, texts, strict=True)]
        yield kind, said, np.array(changed, dtype=object)


def robustness(
    clean: Predictions,
    perturbed: Mapping[str, Predictions],
    name: str,
    *,
    most_positives: int = 300,
    most_allowed: int = 1000,
    seed: int = 0,
    level: float = 0.95,
    resamples: int = 1000,
) -> tuple[dict[str, Figure], dict[str, tuple[float, float]]]:
    """Figures and intervals under `<name>/<label or any>/<metric>/perturbation=<kind>`.

    perturbed: by kind, the rows of `clean` in the same order with the slice CHANGED. most_positives,
    most_allowed, seed: those of `sample`, which names the rows that are judged. Metrics of a label:
    recall and fpr under the perturbation, recall_drop (clean - perturbed), fpr_rise (perturbed - clean), n,
    positives, negatives, and changed (share of those n texts that are another). Of any: fpr and fpr_rise
    of allowed texts with any flag, n and changed. None is a figure that is not defined; a label without a
    positive or negative is left out. Raises ValueError for other rows.
    """
    if any(not np.array_equal(said.ids, clean.ids) for said in perturbed.values()):
        raise ValueError("perturbed predictions are not of the clean ones' rows")
    figures: dict[str, Figure] = {}
    bounds: dict[str, tuple[float, float]] = {}
    weights = _resampled(clean.group, resamples, seed)
    for label, sides in _sides(clean, most_positives, most_allowed, seed):
        judged = np.logical_or.reduce(list(sides.values()))
        if not judged.any():
            continue
        flags = np.column_stack([_flags(said, label) for said in (clean, *perturbed.values())])
        rates = {metric: _rates(flags[rows], weights[:, rows]) for metric, rows in sides.items()}
        for k, (kind, said) in enumerate(perturbed.items(), start=1):
            found = {"n": int(judged.sum()), CHANGED: float((said.slices[CHANGED][judged] == "yes").mean())}
            if label != _ANY:
                found |= {"positives": int(sides["recall"].sum()), "negatives": int(sides["fpr"].sum())}
            figures |= {
                f"{name}/{label}/{metric}/perturbation={kind}": value for metric, value in found.items()
            }
            for metric, (rate, drawn) in rates.items():
                change = _CHANGE[metric]
                more, less = (0, k) if metric == "recall" else (k, 0)
                groups = len(set(clean.group[sides[metric]]))
                for m, value, values in (
                    (metric, rate[k], drawn[:, k]),
                    (change, rate[more] - rate[less], drawn[:, more] - drawn[:, less]),
                ):
                    key = f"{name}/{label}/{m}/perturbation={kind}"
                    figures[key] = float(value) if groups else None
                    if groups >= ENOUGH_GROUPS and (
                        pair := _interval(value, values, groups, level, m == change)
                    ):
                        bounds[key] = pair
    return figures, bounds


def _sides(
    clean: Predictions, most_positives: int, most_allowed: int, seed: int
) -> Iterator[tuple[str, dict[str, Bools]]]:
    """(label or any, metric -> rows [n] it is a share of)."""
    place = {group: sha256(f"{seed}\n{group}".encode()).digest() for group in set(clean.group)}
    order = np.array(sorted(range(len(clean)), key=lambda row: place[clean.group[row]]), dtype=np.intp)

    def first(most: int, rows: Bools) -> Bools:
        chosen = np.zeros(len(rows), dtype=bool)
        chosen[order[rows[order]][:most]] = True
        return chosen

    benign = first(most_allowed, allowed(clean)[0])
    for label, target in zip(clean.labels, clean.targets.T, strict=True):
        yield label, {"recall": first(most_positives, target > 0.5), "fpr": benign & (target < 0.5)}
    yield _ANY, {"fpr": benign}


def _flags(said: Predictions, label: str) -> Bools:
    return allowed(said)[1] if label == _ANY else said.flags[:, said.labels.index(label)]


def _resampled(group: Strings, resamples: int, seed: int) -> npt.NDArray[np.float32]:
    """How often each row stands in each resample of whole groups [resamples, n]."""
    names, of = np.unique(group, return_inverse=True)
    shares = np.full(len(names), 1 / max(1, len(names)))
    drawn = np.random.default_rng(seed).multinomial(len(names), shares, size=resamples)
    return drawn.astype(np.float32)[:, of]


def _rates(flags: Bools, weights: npt.NDArray[np.float32]) -> tuple[Floats, Floats]:
    """Shares of the rows that are flagged, in each column of flags [m, k]: [k], and in each resample
    [resamples, k]; NaN without a row."""
    rows = weights.sum(axis=1, keepdims=True, dtype=np.float64)
    hits = (weights @ flags.astype(np.float32)).astype(np.float64)
    drawn = np.divide(hits, rows, out=np.full(hits.shape, np.nan), where=rows > 0)
    return flags.sum(axis=0) / max(1, len(flags)), drawn


def _interval(
    value: float, drawn: Floats, groups: int, level: float, difference: bool
) -> tuple[float, float] | None:
    """Percentiles; where every resample says the same, what the exact bound says of so many groups."""
    low, high = np.nanquantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    if low < high:
        return float(low), float(high)
    if not difference:
        return clopper_pearson(round(value * groups), groups, level)
    unseen = clopper_pearson(0, groups, level)[1]  # no text changed sides: at most so many do
    return (-unseen, unseen) if value == 0 else None
