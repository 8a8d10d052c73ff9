from __future__ import annotations

import numpy as np
import pytest

from tests.gaps.conftest import predictions_of
from train.gaps.noise import Noise, noise


def judged(random: np.random.Generator, **sources: tuple[float, float, float]) -> dict[str, Noise]:
    """name -> (base rate, distance of the classes in standard deviations, share of flips); 400 texts each."""
    positive, logit, source = [], [], []
    for name, (base, apart, flips) in sources.items():
        truth = random.random(400) < base
        logit.append(np.where(truth, apart / 2, -apart / 2) + random.normal(size=400))
        positive.append(truth ^ (random.random(400) < flips))
        source += [name] * 400
    predictions = predictions_of(np.concatenate(positive), np.concatenate(logit), source=source)
    return {found.source: found for found in noise(predictions, "x")}


@pytest.mark.parametrize("base", [0.1, 0.3, 0.5, 0.9])
@pytest.mark.parametrize("apart", [0.1, 1, 2, 4])
def test_no_source_is_accused_for_its_base_rate_or_for_being_hard(base: float, apart: float) -> None:
    for seed in range(10):
        random = np.random.default_rng(seed)
        found = judged(random, easy=(0.5, 4, 0), one=(base, apart, 0), rare=(0.2, 3, 0))
        assert min(source.p for source in found.values()) > 0.05


@pytest.mark.parametrize("base", [0.3, 0.5, 0.7])
def test_flipped_labels_are_found_and_counted(base: float) -> None:
    for seed in range(10):
        random = np.random.default_rng(seed)
        found = judged(random, easy=(0.5, 4, 0), flipped=(base, 4, 0.2), rare=(0.2, 4, 0))
        assert found["flipped"].p < 0.001
        assert found["flipped"].share == pytest.approx(0.2, abs=0.09)
        assert min(found["easy"].p, found["rare"].p) > 0.5


def test_what_is_contradicted_is_the_flips(random: np.random.Generator) -> None:
    truth = np.arange(800) % 2 == 0
    flipped = (np.arange(800) < 400) & (random.random(800) < 0.2)
    logit = np.where(truth, 3, -3) + random.normal(size=800)
    predictions = predictions_of(truth ^ flipped, logit, source=["b"] * 400 + ["a"] * 400)
    (b,) = (found for found in noise(predictions, "x") if found.source == "b")
    assert flipped[b.contradicted].all()
    assert (~flipped[b.rows]).sum() > 300


def test_one_source_has_nothing_to_be_compared_with(random: np.random.Generator) -> None:
    assert judged(random, alone=(0.5, 4, 0.2)) == {}
    assert judged(random, one=(0.5, 4, 0.2), tiny=(0.02, 4, 0)) == {}  # too few positives to be judged
