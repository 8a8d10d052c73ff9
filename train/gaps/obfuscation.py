"""Cause: disguised writing. The robustness figures of a run's summary go in, tests of them come out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from scipy.special import ndtr

from train.evaluation.metrics import ENOUGH
from train.gaps.gap import Action, Evidence, Trial
from train.gaps.ground import Ground
from train.gaps.performance import needed
from train.gaps.share import SURE
from train.gaps.targets import LARGEST_CHANGE

_KEY = re.compile(r"(?P<set>[^/]+)/(?P<label>[^/]+)/(?P<metric>recall_drop|fpr_rise)/perturbation=(?P<of>.+)")
_SIDES = 2 * 1.96


def disguised(
    figures: Mapping[str, Any],
    intervals: Mapping[str, Any],
    ground: Ground,
    labels: tuple[str, ...],
    prevalence: Mapping[str, float],
) -> Iterator[Trial]:
    """Of each `<set>/<label>/<recall_drop or fpr_rise>/perturbation=<k>`: n beside it is the positives or
    the negatives. The p-value takes the 95% interval for that of a normal distribution."""
    for key, value in figures.items():
        match = _KEY.fullmatch(key)
        if not match or value is None or match["label"] not in labels:
            continue
        name, label, metric, of = match["set"], match["label"], match["metric"], match["of"]
        place = f"/perturbation={of}"
        positives, negatives = (
            int(figures.get(f"{name}/{label}/{kind}{place}") or 0) for kind in ("positives", "negatives")
        )
        n = positives if metric == "recall_drop" else negatives
        ci = intervals.get(key)
        enough = ci is not None and n >= ENOUGH
        error = (ci[1] - ci[0]) / _SIDES if ci is not None and enough else 0.0
        # not the share of positives that were perturbed: they are a sample with more of them than its set
        carries = prevalence.get(label, figures.get(f"{name}/{label}/prevalence") or 0.5)
        trained = ground.of(label, None) or (0, 0)
        yield Trial(
            set=name,
            label=label,
            slice=f"perturbation={of}",
            metric=metric,
            value=value,
            ci=(float(ci[0]), float(ci[1])) if ci is not None and enough else None,
            n=n,
            positives=positives,
            target=LARGEST_CHANGE,
            stake=carries if metric == "recall_drop" else 1 - carries,
            shortfall=max(0.0, value - SURE * error - LARGEST_CHANGE) if enough else 0.0,
            p=_above(value, error) if enough else None,
            proven=enough and value + SURE * error <= LARGEST_CHANGE,
            needed=needed("fpr", LARGEST_CHANGE, None, None),
            told=Evidence(
                "obfuscation",
                metric,
                value,
                LARGEST_CHANGE,
                f"{of} changes {value:.0%} of the decisions on {label}",
                Action(
                    "augment",
                    trained[0 if metric == "recall_drop" else 1],
                    f"a copy of each training text of {label} with {of} applied, and the matching step of "
                    "model.normalise where there is one",
                    {"label": label, "perturbation": of},
                ),
            ),
        )


def _above(value: float, error: float) -> float:
    if error <= 0:
        return 0.0 if value > LARGEST_CHANGE else 1.0
    return float(ndtr((LARGEST_CHANGE - value) / error))
