"""Does a label keep its limit: by scipy's exact binomial bounds, and in simulation."""

import numpy as np
import pytest
from scipy.stats import binomtest

from train.evaluation.intervals import intervals
from train.evaluation.metrics import measure
from train.evaluation.records import by_label
from train.evaluation.standing import standing
from train.policy import Constraint


def record(build, positives, found, negatives, flagged):
    target = np.repeat([1.0, 0.0], [positives, negatives])[:, None]
    flags = np.concatenate([np.arange(positives) < found, np.arange(negatives) < flagged])[:, None]
    rows = build(target, np.full(target.shape, 0.5), flags)
    (made,) = by_label(measure(rows, "test"), intervals(rows, "test"), "test")
    return made


@pytest.mark.parametrize(
    ("flagged", "outcome"), [(0, "holds"), (3, "holds"), (10, "open"), (16, "open"), (40, "broken")]
)
def test_a_false_positive_limit(build, flagged, outcome):
    found = standing(record(build, 50, 20, 1000, flagged), Constraint(max_fpr=0.01))
    assert (found.outcome, found.metric, found.limit, found.n) == (outcome, "fpr", 0.01, 1000)
    exact = binomtest(flagged, 1000, alternative="less").proportion_ci(0.95).high
    assert found.value == flagged / 1000
    assert found.high >= exact - 1e-9
    assert found.low <= binomtest(flagged, 1000, alternative="greater").proportion_ci(0.95).low + 1e-9


@pytest.mark.parametrize(("hits", "outcome"), [(200, "holds"), (185, "open"), (150, "broken")])
def test_a_recall_to_reach(build, hits, outcome):
    found = standing(record(build, 200, hits, 100, 5), Constraint(min_recall=0.9))
    assert (found.outcome, found.metric, found.n) == (outcome, "recall", 200)


def test_too_few_texts_or_groups_are_open(build):
    few = standing(record(build, 50, 20, 29, 0), Constraint(max_fpr=0.5))
    assert (few.outcome, few.value, few.low, few.n) == ("open", None, None, 29)
    target = np.repeat([1.0, 0.0], [50, 100])[:, None]
    rows = build(target, np.zeros(target.shape), group=["one"] * 150)
    (made,) = by_label(measure(rows, "test"), intervals(rows, "test"), "test")
    one_group = standing(made, Constraint(max_fpr=0.5))
    assert (one_group.outcome, one_group.value, one_group.low) == ("open", 0.0, None)


def test_the_more_cautious_bound_counts(build):
    """Texts that come in tens: the groups' interval is wider than that of as many independent texts."""
    flags = (np.arange(1000) // 10 % 25 == 0)[:, None]  # 4% of the groups, whole
    target = np.repeat([0.0, 1.0], [1000, 50])[:, None]
    flags = np.vstack([flags, np.ones((50, 1), bool)])
    groups = [f"g{i // 10}" for i in range(1050)]
    rows = build(target, np.full(target.shape, 0.5), flags, group=groups)
    (made,) = by_label(measure(rows, "test"), intervals(rows, "test"), "test")
    found = standing(made, Constraint(max_fpr=0.055))
    exact = binomtest(40, 1000, alternative="less").proportion_ci(0.95).high
    assert exact < 0.055 < found.high
    assert found.outcome == "open"
