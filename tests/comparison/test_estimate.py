"""The difference of two sides: does its interval cover, with seeds and texts both at work."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import ttest_ind

from train.comparison.estimate import Estimate, estimate


def test_of_checkpoints_only_texts_count():
    random = np.random.default_rng(0)
    drawn = random.random((2, 500))
    found = estimate(np.array([0.5]), np.array([0.7]), drawn[:1], drawn[1:], of_recipes=False)
    assert found is not None
    assert found.value == pytest.approx(0.2)
    assert found.error == pytest.approx(np.std(drawn[1] - drawn[0], ddof=1))
    assert found.df == math.inf
    low, high = found.interval(0.95) or (0, 0)
    assert (low + high) / 2 == pytest.approx(0.2)
    assert high - low == pytest.approx(2 * 1.959964 * found.error)


def test_where_texts_say_all_the_same_it_is_welchs_test():
    """Resamples that move every run alike leave nothing but the seeds."""
    random = np.random.default_rng(0)
    for size_a, size_b in ((3, 3), (3, 5)):
        a, b = random.normal(size=size_a), random.normal(1, 2, size=size_b)
        moved = random.normal(size=200)
        found = estimate(a, b, a[:, None] + moved, b[:, None] + moved, of_recipes=True)
        welch = ttest_ind(b, a, equal_var=False)
        assert found is not None
        assert found.p() == pytest.approx(welch.pvalue)
        assert found.df == pytest.approx(welch.df)
        assert found.interval(0.95) == pytest.approx(tuple(welch.confidence_interval(0.95)))


def test_a_recipe_is_never_surer_than_its_checkpoints():
    random = np.random.default_rng(0)
    for _ in range(50):
        a, b = random.normal(size=(2, 3)) * 0.01
        drawn_a, drawn_b = random.normal(size=(2, 3, 100)) + random.normal(size=(2, 1, 100))
        errors = [estimate(a, b, drawn_a, drawn_b, kind).error for kind in (True, False)]
        assert errors[0] >= errors[1]


def test_what_cannot_be_known_is_not_made_up():
    same = np.full((1, 100), 0.9)
    found = estimate(np.array([0.9]), np.array([0.9]), same, same, of_recipes=False)
    assert found == Estimate(0.0, 0.0, math.inf)
    assert found.interval(0.95) is None
    assert found.p() == 1.0
    undefined = np.full((1, 100), np.nan)
    assert estimate(np.array([0.9]), np.array([0.9]), same, undefined, of_recipes=False) is None
    holes = np.where(np.arange(100) < 50, np.nan, np.arange(100.0))[None]
    found = estimate(np.array([0.9]), np.array([0.9]), 0 * holes, holes, of_recipes=False)
    assert found is not None
    assert found.error == pytest.approx(np.std(np.arange(50, 100), ddof=1))


SCENES = {  # standard deviations of seed, of text (the sides' own), of both together
    "seeds": (0.1, 0.0, 0.0),
    "texts": (0.0, 1.0, 0.0),
    "seeds on texts": (0.0, 0.0, 1.0),
    "all": (0.1, 1.0, 1.0),
}


@pytest.mark.parametrize("scene", SCENES)
def test_intervals_of_three_seeds_against_three_cover_the_truth(scene):
    """A figure is a mean over 100 texts of what a run makes of each; B is truly 0.3 above A."""
    seed_sd, side_sd, both_sd = SCENES[scene]
    random, texts, covered, draws = np.random.default_rng(7), 100, 0, 800
    for _ in range(draws):
        weights = random.multinomial(texts, [1 / texts] * texts, size=100) / texts
        shared, sides = random.normal(size=texts), []
        for truth in (0.0, 0.3):
            of_side = truth + shared + side_sd * random.normal(size=texts)
            runs = of_side + seed_sd * random.normal(size=(3, 1)) + both_sd * random.normal(size=(3, texts))
            sides.append((runs.mean(axis=1), runs @ weights.T))
        (a, drawn_a), (b, drawn_b) = sides
        low, high = estimate(a, b, drawn_a, drawn_b, of_recipes=True).interval(0.95)
        covered += low <= 0.3 <= high
    assert covered / draws > 0.92  # over 2,000 draws: 96.8, 93.8, 98.4 and 95.5%; the error of 800 is 0.8%
