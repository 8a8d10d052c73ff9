"""Does a label keep its limit: by scipy's exact binomial bounds, and in simulation."""

import numpy as np
import pytest
from scipy.stats import binomtest

from train.evaluation.intervals import clopper_pearson, intervals
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


@pytest.mark.parametrize(
    ("found", "flagged", "outcome"), [(450, 5, "holds"), (300, 60, "open"), (300, 200, "broken")]
)
def test_precision_at_a_prevalence(build, found, flagged, outcome):
    """The bound of precision is that of the worst recall and the worst false positive rate, 97.5% each."""
    limit = Constraint(min_precision=0.5, prevalence=0.05)
    stands = standing(record(build, 500, found, 2000, flagged), limit)
    assert (stands.outcome, stands.metric, stands.n) == (outcome, "precision", 2500)
    assert (stands.limit, stands.prevalence) == (0.5, 0.05)
    recall, fpr = binomtest(found, 500), binomtest(flagged, 2000)
    assert stands.value == pytest.approx(_precision(0.05, found / 500, flagged / 2000))
    recall, fpr = recall.proportion_ci(0.95), fpr.proportion_ci(0.95)  # two-sided: 97.5% each way
    assert stands.low <= _precision(0.05, recall.low, fpr.high) + 1e-9 < stands.value
    assert stands.high >= _precision(0.05, recall.high, fpr.low) - 1e-9 > stands.value


def _precision(prevalence, recall, fpr):
    return prevalence * recall / (prevalence * recall + (1 - prevalence) * fpr)


def test_precision_that_nothing_was_measured_of_is_open(build):
    limit = Constraint(min_precision=0.5, prevalence=0.05)
    for made in (record(build, 29, 20, 1000, 3), record(build, 100, 0, 1000, 0)):
        stands = standing(made, limit)
        assert (stands.outcome, stands.value, stands.low) == ("open", None, None)


def test_precision_in_simulation(build):
    """Of 300 sets at a precision a little below the limit, few are said to hold."""
    random = np.random.default_rng(0)
    limit = Constraint(min_precision=0.5, prevalence=0.05)  # recall .6 and FPR .0316 would just reach it
    held = 0
    for _ in range(300):
        hits, false = random.binomial(400, 0.6), random.binomial(1500, 0.0317)
        ends = {"recall": clopper_pearson(hits, 400, 0.95), "fpr": clopper_pearson(false, 1500, 0.95)}
        made = {"label": "hate", "positives": 400, "negatives": 1500}
        for metric, value in (("recall", hits / 400), ("fpr", false / 1500)):
            made |= {metric: value, f"{metric}_low": ends[metric][0], f"{metric}_high": ends[metric][1]}
        held += standing(made, limit).outcome == "holds"
    assert held / 300 <= 0.05


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
