"""Routing texts to people: against definitions worked out text by text, scikit-learn, and in simulation."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import precision_score, recall_score

from train.evaluation.metrics import measure
from train.evaluation.routing import Routes, risk_coverage, routing

PI = 0.02


def _set(build, seed, n=400, levels=50, group=None, width=1):
    random = np.random.default_rng(seed)
    targets = (random.random((n, width)) < 0.3).astype(np.float32)
    scores = 1 / (1 + np.exp(-(random.normal(size=(n, width)) + 2.5 * targets - 1.5)))
    scores = scores.round(2) if levels == 50 else scores
    group = [f"g{k}" for k in (np.arange(n) if group is None else group)]
    return build(targets, scores, flags=scores >= 0.7, group=group)


def _aurc(wrong):
    """Mean over k of the error rate of the first k (Geifman & El-Yaniv 2017)."""
    return float(np.mean(np.cumsum(wrong) / np.arange(1, len(wrong) + 1)))


@settings(deadline=None)  # the cores are shared
@given(st.integers(0, 2**32 - 1), st.integers(1, 300))
def test_aurc_is_its_definition_and_the_excess_that_over_a_perfect_order(seed, n):
    random = np.random.default_rng(seed)
    positive, score = random.random(n) < 0.4, random.random(n)
    flag = score >= 0.6
    area, excess = Routes(positive, score, flag).aurc(np.ones(n, np.intp))
    wrong = (positive != flag)[np.argsort(-np.where(flag, score, 1 - score))]
    assert float(area) == pytest.approx(_aurc(wrong))
    assert float(excess) == pytest.approx(_aurc(wrong) - _aurc(np.sort(wrong)))
    assert float(excess) >= -1e-12


@settings(deadline=None, max_examples=30)  # the cores are shared
@given(st.integers(0, 2**32 - 1), st.integers(1, 6))
def test_equally_sure_decisions_stand_in_every_order(seed, n):
    random = np.random.default_rng(seed)
    positive, score = random.random(n) < 0.5, random.integers(1, 4, n) / 4
    flag = score >= 0.6
    sure = np.where(flag, score, 1 - score)
    orders = [order for order in map(list, permutations(range(n))) if (np.diff(sure[order]) <= 0).all()]
    expected = np.mean([_aurc((positive != flag)[order]) for order in orders])
    assert float(Routes(positive, score, flag).aurc(np.ones(n, np.intp))[0]) == pytest.approx(expected)


def _review(positive, score, flag, target, prevalence):
    """The least share, over every lower threshold there is and none."""
    shares = []
    for lower in [*score, np.inf]:
        seen = ~flag & (score >= lower)
        if (flag | seen)[positive].sum() >= target * positive.sum() - 1e-9:
            of = seen[positive].mean() * prevalence + (1 - prevalence) * (
                seen[~positive].mean() if (~positive).any() else np.nan
            )
            shares.append((seen.mean(), of))
    return min(shares)


@settings(deadline=None)  # the cores are shared
@given(
    st.integers(0, 2**32 - 1),
    st.integers(2, 60),
    st.sampled_from([4, 1000]),
    st.sampled_from([0.5, 0.95, 1.0]),
)
def test_the_review_share_is_the_least_that_reaches_the_recall(seed, n, levels, target):
    random = np.random.default_rng(seed)
    positive, score = random.random(n) < 0.5, random.integers(levels, size=n) / levels
    positive[0] = True
    flag = score >= 0.75
    if levels == 1000:
        flag = random.random(n) < 0.3  # flags that no threshold made, as a list of words does
    share, at_prevalence = Routes(positive, score, flag).review_share(target, 0.1, np.ones(n, np.intp))
    expected = _review(positive, score, flag, target, 0.1)
    np.testing.assert_allclose([share, at_prevalence], expected, equal_nan=True)


@settings(deadline=None, max_examples=50)  # the cores are shared
@given(st.integers(0, 2**32 - 1), st.integers(1, 80))
def test_a_count_is_as_many_rows(seed, n):
    """Many counts at once say what each says alone, and what repeated rows say."""
    random = np.random.default_rng(seed)
    positive, score = random.random(n) < 0.5, random.integers(1, 12, n) / 12
    flag = score >= 0.7
    counts = random.integers(0, 4, (3, n))
    together = Routes(positive, score, flag).figures(0.9, PI, counts)
    for k, row in enumerate(counts):
        rows = np.repeat(np.arange(n), row)
        if not len(rows):
            assert all(np.isnan(values[k]) for values in together.values())
            continue
        alone = Routes(positive[rows], score[rows], flag[rows]).figures(0.9, PI, np.ones(len(rows), np.intp))
        for metric, values in together.items():
            np.testing.assert_allclose(values[k], alone[metric], equal_nan=True, err_msg=metric)


def test_precision_at_the_prevalence_is_sklearns_of_reweighted_texts(build):
    rows = _set(build, 0)
    figures, _ = routing(rows, "test", PI, resamples=5)
    positive, flag = rows.targets[:, 0] > 0.5, rows.flags[:, 0]
    weight = np.where(positive, PI / positive.mean(), (1 - PI) / (~positive).mean())
    expected = precision_score(positive, flag, sample_weight=weight)
    assert figures[f"test/label0/precision@prevalence={PI}"] == pytest.approx(expected)
    own, _ = routing(rows, "test", float(positive.mean()), resamples=5)
    (key,) = (key for key in own if "/precision@" in key)
    assert own[key] == pytest.approx(measure(rows, "test")["test/label0/precision"])
    key = f"review_share@recall=0.95,prevalence={positive.mean():g}"
    assert own[f"test/label0/{key}"] == pytest.approx(own["test/label0/review_share@recall=0.95"])


def test_flags_that_find_enough_need_nobody(build):
    rows = _set(build, 1)
    reached = recall_score(rows.targets[:, 0], rows.flags[:, 0])
    figures, bounds = routing(rows, "test", PI, target_recall=0.5 * reached, resamples=100)
    key = f"test/label0/review_share@recall={0.5 * reached:g}"
    assert figures[key] == 0.0
    assert key not in bounds  # nothing but 0 was seen


def test_keys_and_labels(build):
    rows = _set(build, 2, width=3)
    rows.targets[:, 1] = np.nan
    rows.targets[:, 2] = 0.0
    figures, bounds = routing(rows, "suite.x", {"label0": PI}, target_recall=0.9, resamples=50)
    named = ("aurc", "excess_aurc", "review_share@recall=0.9")
    at = (f"precision@prevalence={PI}", f"review_share@recall=0.9,prevalence={PI}")
    assert set(figures) == {f"suite.x/label0/{m}" for m in (*named, *at)} | {
        f"suite.x/label2/{m}" for m in named
    }
    assert figures["suite.x/label2/review_share@recall=0.9"] is None  # no positive to find
    assert {key for key in figures if key.startswith("suite.x/label0")} == set(bounds)
    for key, (low, high) in bounds.items():
        assert low < high
        assert low <= figures[key] <= high
    assert routing(rows, "suite.x", {"label0": PI}, 0.9, resamples=50) == (figures, bounds)
    assert routing(rows.select(np.zeros(len(rows), bool)), "suite.x", PI) == ({}, {})


def test_copies_within_groups_do_not_shrink_the_intervals(build):
    rows = _set(build, 3)
    once, copied = (
        routing(part, "t", PI, resamples=200) for part in (rows, rows.select(np.repeat(np.arange(400), 5)))
    )
    for key, pair in once[1].items():
        if "aurc" in key:  # the mean over 1 to k of copies is not that of single texts
            assert copied[1][key] == pytest.approx(pair, rel=0.05)
        else:
            assert copied[1][key] == pytest.approx(pair)


def test_few_groups_have_no_interval(build):
    rows = _set(build, 4, group=np.arange(400) % 19)
    assert routing(rows, "t", PI, resamples=20)[1] == {}


def test_no_false_alarm_is_not_certainty(build):
    """500 allowed texts without a flag say little of 98 in 100 texts."""
    positive = np.arange(600) < 100
    scores = np.where(positive, 0.9, 0.1)[:, None]
    figures, bounds = routing(build(positive[:, None], scores), "t", PI, resamples=50)
    key = f"t/label0/precision@prevalence={PI}"
    assert figures[key] == 1.0
    low, high = bounds[key]
    assert 0.6 < low < 0.75  # FPR may be 0.7%, recall 96%
    assert high == 1.0


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 3], ids=["rows", "groups"])
def test_intervals_cover_the_truth(build, size):
    """Groups of texts drawn from a pool whose own figures are the truth."""
    random = np.random.default_rng(0)
    pool = _set(build, 5, n=6000, levels=0, group=np.arange(6000) // size)
    truth, _ = routing(pool, "t", 0.1, resamples=1)
    covered = dict.fromkeys(truth, 0)
    for _ in range(200):
        chosen = random.integers(6000 // size, size=900 // size)
        drawn = pool.select((chosen[:, None] * size + np.arange(size)).ravel())
        drawn.group[:] = np.repeat([f"g{k}" for k in range(len(chosen))], size)
        _, bounds = routing(drawn, "t", 0.1, resamples=200)
        for key, (low, high) in bounds.items():
            covered[key] += low <= truth[key] <= high
    for key, hits in covered.items():
        assert hits / 200 > 0.89, key  # 95% promised; the error of 200 draws is 1.5%


def test_the_curve_is_thinned_and_ends_at_the_error_rate(build):
    rows = _set(build, 6, n=3000, levels=0)
    coverage, error = risk_coverage(rows, "label0")
    assert len(coverage) == len(error) == 200
    assert (np.diff(coverage) > 0).all()
    assert coverage[-1] == 1.0
    wrong = rows.flags[:, 0] != (rows.targets[:, 0] > 0.5)
    assert error[-1] == pytest.approx(wrong.mean())
    figures, _ = routing(rows, "t", PI, resamples=1)
    assert np.trapezoid(error, coverage) == pytest.approx(figures["t/label0/aurc"], abs=0.003)
    few = risk_coverage(_set(build, 6, n=40), "label0")
    assert len(few[0]) <= 40
