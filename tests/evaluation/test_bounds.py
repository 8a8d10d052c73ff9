"""Bounds of shares: scipy's for independent texts, and what groups that resemble each other leave of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from train.evaluation.bounds import design_effect, fewest, most_errors, upper


@pytest.mark.parametrize(("errors", "n"), [(0, 1), (0, 300), (3, 300), (299, 300), (300, 300)])
def test_the_bound_is_scipys(errors, n):
    assert upper(errors, n) == pytest.approx(
        binomtest(errors, n, alternative="less").proportion_ci(0.95).high
    )


@settings(deadline=None)  # the cores are shared
@given(st.integers(0, 3000), st.floats(0.001, 0.5))
def test_the_most_errors_are_the_most_that_keep_the_limit(n, limit):
    most = most_errors(n, limit)
    assert most < 0 or binom.cdf(most, n, limit) <= 0.05 + 1e-9
    assert binom.cdf(most + 1, n, limit) > 0.05 - 1e-9


@pytest.mark.parametrize("limit", [0.001, 0.01, 0.02, 0.1, 0.5])
def test_the_fewest_texts_are_just_enough(limit):
    assert most_errors(fewest(limit), limit) == 0
    assert most_errors(fewest(limit) - 1, limit) == -1


def test_one_in_a_hundred_takes_299():
    assert fewest(0.01) == 299


def test_an_effect_leaves_as_many_errors_as_fewer_texts_would():
    assert most_errors(3000, 0.01, 10.0) // 10 == most_errors(300, 0.01)
    assert most_errors(298, 0.01, 1.0) == -1
    assert most_errors(2980, 0.01, 10.0) == -1


@settings(deadline=None)  # the cores are shared
@given(st.integers(0, 2**32 - 1), st.integers(1, 300), st.sampled_from([2, 10, 10_000]))
def test_texts_of_their_own_have_exactly_no_effect(seed, n, levels):
    random = np.random.default_rng(seed)
    assert design_effect(random.integers(levels, size=n), random.permutation(n), 0.05) == 1.0


@pytest.mark.parametrize("size", [2, 7, 20])
def test_copies_count_as_one(size):
    score = np.repeat(np.random.default_rng(0).random(500), size)
    group = np.repeat(np.arange(500), size)
    for rate in (0.01, 0.1, 0.5):
        assert design_effect(score, group, rate) == pytest.approx(size)


def test_an_effect_is_the_variance_over_that_of_independent_texts():
    """Over 4,000 draws of 40 groups of 5; the largest of three estimates is a little above their mean."""
    threshold, shares, effects = 1.0, [], []
    for seed in range(4000):
        random = np.random.default_rng(seed)
        group = np.repeat(np.arange(40), 5)
        score = 0.8**0.5 * random.normal(size=40)[group] + 0.2**0.5 * random.normal(size=200)
        shares.append((score >= threshold).mean())
        if seed < 400:
            effects.append(design_effect(score, group, 0.1587))
    share = float(np.mean(shares))
    true = np.var(shares) / (share * (1 - share) / 200)
    assert true < np.mean(effects) < 1.25 * true


def test_independent_texts_in_groups_lose_little():
    random = np.random.default_rng(0)
    found = [
        design_effect(random.random(2000), np.sort(random.integers(400, size=2000)), 0.05) for _ in range(50)
    ]
    assert 1.0 <= np.mean(found) < 1.2


def test_the_order_of_rows_and_the_names_of_groups_do_not_matter():
    random = np.random.default_rng(1)
    score, group = random.random(300), random.integers(60, size=300)
    order = random.permutation(300)
    names = np.array([f"g{k}" for k in group], dtype=object)
    assert design_effect(score[order], names[order], 0.1) == pytest.approx(design_effect(score, group, 0.1))


def test_scores_that_tell_nothing_apart_are_taken_for_wholly_alike():
    group = np.repeat([0, 1, 2], [1, 2, 5])
    assert design_effect(np.full(8, 0.5), group, 0.1) == (1 + 4 + 25) / 8
