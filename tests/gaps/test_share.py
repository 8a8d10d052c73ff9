from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest, false_discovery_control

from train.evaluation.intervals import clopper_pearson
from train.gaps.share import Share, discoveries, ratio_below, share


def test_independent_texts_are_worth_themselves() -> None:
    hit = np.arange(500) < 60
    found = share(hit, np.arange(500))
    assert found.worth == pytest.approx(500, rel=1e-9)
    assert found.interval() == pytest.approx(clopper_pearson(60, 500, 0.95))
    assert found.above(0.1) == pytest.approx(binomtest(60, 500, 0.1, "greater").pvalue)
    assert found.below(0.15) == pytest.approx(binomtest(60, 500, 0.15, "less").pvalue)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_where_all_agree_texts_are_worth_their_groups(value: float) -> None:
    found = share(np.full(200, bool(value)), np.arange(200) // 5)
    assert (found.value, found.worth) == (value, 40)
    assert found.interval() == pytest.approx(clopper_pearson(round(40 * value), 40, 0.95))


def test_bounds_and_p_values_agree() -> None:
    found = share(np.arange(300) % 7 == 0, np.arange(300) // 2)
    for target in (0.05, 0.1, 0.13, 0.2):
        assert (found.above(target) < 0.05) == (found.low() > target)
        assert (found.below(target) < 0.05) == (found.high() < target)


def test_the_interval_covers_with_groups_that_agree(random: np.random.Generator) -> None:
    """Of 1,000 draws of 40 groups of 10 texts, whose chances vary between groups, at least 93% are in."""
    group, covered = np.arange(400) // 10, 0
    for _ in range(1000):
        hit = random.random(400) < random.beta(1, 3, size=40)[group]
        low, high = share(hit, group).interval()
        covered += low <= 0.25 <= high
    assert covered >= 930


def test_ratio_below_keeps_its_level_and_sees_nothing_found(random: np.random.Generator) -> None:
    def drawn(n: int, rate: float) -> Share:
        return share(random.random(n) < rate, np.arange(n))

    wrong = [ratio_below(drawn(60, 0.4), drawn(400, 0.5), 0.8) < 0.05 for _ in range(1000)]
    assert 0.03 < np.mean(wrong) < 0.07
    assert ratio_below(Share(0.0, 60, 60, 60), Share(0.5, 400, 400, 400), 0.8) < 1e-6
    assert ratio_below(Share(0.0, 60, 60, 60), Share(0.0, 400, 400, 400), 0.8) == 1.0


def test_discoveries_are_those_of_benjamini_and_hochberg(random: np.random.Generator) -> None:
    for _ in range(50):
        p = random.random(40) ** random.integers(1, 6)
        assert (discoveries(p) == (false_discovery_control(p) <= 0.05)).all()
    assert not discoveries(np.array([])).size
