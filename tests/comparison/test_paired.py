"""Tests of two models' flags: against scipy, the papers' formulas, and brute force."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.stats import binom, binomtest, norm

from train.comparison.paired import FEW, holm, mcnemar, paired_interval


def test_mcnemar_is_the_exact_binomial_test_where_texts_are_few():
    for only_a, only_b in itertools.product(range(13), repeat=2):
        expected = binomtest(only_a, only_a + only_b).pvalue if only_a + only_b else 1.0
        assert only_a + only_b < FEW
        assert mcnemar(only_a, only_b) == pytest.approx(expected)
        assert mcnemar(only_a, only_b) == mcnemar(only_b, only_a)


def test_mcnemar_is_mid_p_where_they_are_many():
    for only_a, only_b in ((0, 25), (10, 20), (13, 12), (40, 60), (30, 30), (1500, 1600), (0, 4000)):
        n, fewer = only_a + only_b, min(only_a, only_b)
        expected = min(1.0, 2 * binom.cdf(fewer, n, 0.5) - binom.pmf(fewer, n, 0.5))
        assert mcnemar(only_a, only_b) == pytest.approx(expected)
    chi_square = norm.sf(100 / math.sqrt(3100)) * 2  # the asymptotic test, where it holds
    assert mcnemar(1500, 1600) == pytest.approx(chi_square, rel=0.01)


def _likeliest(only_a: int, only_b: int, n: int, rate: float) -> float:
    """The share of texts that A alone flags under which the counts are likeliest, given B - A."""

    def unlikely(share: float) -> float:
        seen = ((only_a, share), (only_b, share + rate), (n - only_a - only_b, 1 - 2 * share - rate))
        return -sum(count * math.log(of) for count, of in seen if count)

    bounds = (max(0.0, -rate) + 1e-12, (1 - rate) / 2 - 1e-12)
    return float(minimize_scalar(unlikely, bounds=bounds, method="bounded", options={"xatol": 1e-10}).x)


def test_the_interval_holds_what_the_score_test_does_not_reject():
    """Tango statistic at each end, its variance at the likeliest nuisance by brute force: the quantile."""
    for only_a, only_b, n in ((2, 12, 50), (0, 5, 300), (7, 3, 40), (60, 20, 200)):
        for rate in paired_interval(only_a, only_b, n, 0.95):
            variance = n * (2 * _likeliest(only_a, only_b, n, rate) + rate - rate**2)
            assert abs(only_b - only_a - n * rate) / math.sqrt(variance) == pytest.approx(1.96, abs=2e-3)


def test_agreement_on_every_text_is_not_certainty():
    z2 = norm.ppf(0.975) ** 2
    assert paired_interval(0, 0, 100, 0.95) == pytest.approx((-z2 / (100 + z2), z2 / (100 + z2)))
    assert paired_interval(0, 9, 9, 0.95)[1] == 1.0
    assert paired_interval(9, 0, 9, 0.95)[0] == -1.0


def test_the_interval_covers_rare_differences():
    """100 texts, 1% flagged by A alone and 3% by B alone, where a bootstrap of so few runs narrow."""
    draws = np.random.default_rng(0).multinomial(100, [0.01, 0.03, 0.96], size=1500)
    ends = [paired_interval(int(a), int(b), 100, 0.95) for a, b, _ in draws]
    covered = np.mean([low <= 0.02 <= high for low, high in ends])
    assert 0.93 < covered < 0.99


def test_holm_is_closed_testing_with_bonferroni():
    """Adjusted p: the largest, over all sets of hypotheses that hold this one, of size times smallest p."""
    random = np.random.default_rng(0)
    for size in (1, 2, 5, 7):
        p = (random.random(size) ** 2).round(3).tolist()
        sets = [s for n in range(1, size + 1) for s in itertools.combinations(range(size), n)]
        expected = [max(min(1.0, len(s) * min(p[j] for j in s)) for s in sets if i in s) for i in range(size)]
        assert holm(p) == pytest.approx(expected)
    assert holm([]) == []
