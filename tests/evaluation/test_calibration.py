"""Calibration recovers what was done to the logits, and is no more supple than the data can bear."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from train.evaluation.calibration import FOLDABLE, Calibration, choose, fit, foldable

ALL = (*FOLDABLE, "isotonic")


def fit_platt(targets, logits) -> tuple[float, float]:
    found = fit("platt", targets, logits)
    return found.scale, found.bias


def test_platt_recovers_a_known_transform_from_soft_targets():
    z = np.random.default_rng(0).normal(size=2000) * 3
    assert fit_platt(expit(0.4 * z - 1.3), z) == pytest.approx((0.4, -1.3), abs=2e-3)


def test_platt_recovers_a_known_transform_from_hard_targets():
    random = np.random.default_rng(1)
    z = random.normal(size=40_000) * 2
    assert fit_platt(random.random(40_000) < expit(1.7 * z + 0.6), z) == pytest.approx((1.7, 0.6), abs=0.06)


@pytest.mark.parametrize("seed", range(5))
def test_platt_agrees_with_logistic_regression(seed):
    random = np.random.default_rng(seed)
    z = random.normal(size=1500) * 2 - 1
    y = random.random(1500) < expit(0.8 * z - 0.5)
    reference = LogisticRegression(C=1e6, tol=1e-8).fit(z[:, None], y)
    expected = (float(reference.coef_[0, 0]), float(reference.intercept_[0]))
    assert fit_platt(y, z) == pytest.approx(expected, rel=2e-3, abs=2e-3)


@pytest.mark.parametrize("spread", [0.01, 1.0, 30.0, 1000.0])
def test_platt_stays_finite_and_in_order_on_separable_data(spread):
    z = np.array([-2.0, -1.5, -1.0, 1.0, 1.5, 2.0]) * spread
    scale, bias = fit_platt(z > 0, z)
    assert 0 < scale < 1e3
    assert abs(bias) < 10
    assert (np.diff(expit(scale * z + bias)) >= 0).all()


@pytest.mark.parametrize(
    "targets",
    [np.zeros(50), np.ones(50), np.full(50, 0.5), np.zeros(0), np.arange(50) < 25],
    ids=["no positive", "no negative", "only ties", "nothing", "backwards"],
)
def test_a_degenerate_fit_is_the_identity(targets):
    assert fit_platt(targets, np.linspace(-2, 2, len(targets))) == (1.0, 0.0)


@settings(deadline=None)  # the cores are shared
@given(st.integers(0, 2**32 - 1), st.floats(0.001, 1000), st.floats(-50, 50))
def test_platt_finds_the_minimum_whatever_the_scale(seed, spread, shift):
    random = np.random.default_rng(seed)
    z = random.normal(size=30) * spread + shift
    y = random.random(30)
    scale, bias = fit_platt(y, z)
    if (scale, bias) == (1.0, 0.0):
        return
    at = np.array([scale, bias])

    def loss(a: float, b: float) -> float:
        linear = a * z + b
        return (np.logaddexp(0, linear) - y * linear).sum() + ((a - 1) ** 2 + b**2) / 200

    for direction in np.eye(2):
        for step in (-1e-3, 1e-3):
            assert loss(*at) <= loss(*(at + step * direction * np.maximum(1, abs(at)))) + 1e-9


def test_temperature_recovers_a_known_scale_and_has_no_bias():
    z = np.random.default_rng(0).normal(size=2000) * 3
    found = fit("temperature", expit(0.4 * z), z)
    assert (found.scale, found.bias) == (pytest.approx(0.4, abs=2e-3), 0.0)


@pytest.mark.parametrize("seed", range(3))
def test_temperature_agrees_with_logistic_regression(seed):
    random = np.random.default_rng(seed)
    z = random.normal(size=1500) * 2 - 1
    y = random.random(1500) < expit(0.8 * z)
    reference = LogisticRegression(C=1e6, tol=1e-8, fit_intercept=False).fit(z[:, None], y)
    assert fit("temperature", y, z).scale == pytest.approx(float(reference.coef_[0, 0]), rel=2e-3)


@settings(deadline=None)  # the cores are shared
@given(st.integers(0, 2**32 - 1), st.sampled_from([5, 1000]), st.integers(5, 200))
def test_isotonic_goes_through_the_middles_of_sklearns_steps(seed, levels, n):
    random = np.random.default_rng(seed)
    z = random.integers(levels, size=n) / levels * 4 - 2
    y = (random.random(n) < expit(2 * z)).astype(np.float64)
    y[:2] = 0.0, 1.0
    theirs = IsotonicRegression(out_of_bounds="clip").fit(z, y).predict(z)
    found = fit("isotonic", y, z)
    if found.kind == "identity":
        assert np.ptp(theirs) < 1e-9
        return
    steps = np.unique(theirs.round(9))
    at, value = np.array(found.knots).T
    np.testing.assert_allclose(np.unique(value.round(9)), steps, atol=1e-8)
    for middle, p in found.knots:
        np.testing.assert_allclose(middle, z[np.abs(theirs - p) < 1e-9].mean(), atol=1e-9)
    assert (np.diff(found(np.sort(z))) >= 0).all()
    np.testing.assert_allclose(found(at), value)


@pytest.mark.parametrize("kind", ALL)
def test_nothing_to_learn_from_is_the_identity(kind):
    z = np.linspace(-2, 2, 50)
    for targets in (np.zeros(50), np.ones(50), np.full(50, 0.5), (np.arange(50) < 25).astype(float)):
        assert fit(kind, targets, z) == Calibration()
    assert choose(np.zeros(0), np.zeros(0), np.zeros(0), [kind]) == Calibration()


def _texts(transform, n=4000, seed=0, soft=False):
    random = np.random.default_rng(seed)
    z = random.normal(size=n) * 2
    p = transform(z)
    return (p if soft else (random.random(n) < p).astype(np.float64)), z, np.arange(n) // 2


@pytest.mark.parametrize("soft", [False, True])
def test_the_simplest_that_is_right_is_chosen(soft):
    for transform, kind in (
        (lambda z: expit(z), "identity"),
        (lambda z: expit(0.4 * z), "temperature"),
        (lambda z: expit(0.5 * z - 1.5), "platt"),
        (lambda z: 0.05 + 0.5 * expit(4 * (z + 1)) + 0.4 * expit(4 * (z - 3)), "isotonic"),
    ):
        assert choose(*_texts(transform, soft=soft), ALL).kind == kind


def test_only_what_is_asked_for_is_chosen():
    texts = _texts(lambda z: expit(0.5 * z - 1.5))
    assert choose(*texts, foldable(True)).kind == "platt"
    assert choose(*texts, foldable(False)).kind == "temperature"
    assert choose(*texts, ["identity"]) == Calibration()
    assert "isotonic" not in foldable(True)


def test_few_texts_do_not_bear_a_supple_fit():
    kinds = [choose(*_texts(expit, n=60, seed=seed), ALL).kind for seed in range(40)]
    assert kinds.count("identity") > 28  # one standard error is a coin that falls well 5 times in 6
    assert kinds.count("isotonic") < 4


def test_copies_are_no_evidence():
    """The same 60 texts 50 times over: as rows they would seem to bear the most supple fit."""
    y, z, _ = _texts(expit, n=60, seed=1)
    many = np.repeat(y, 50), np.repeat(z, 50)
    assert choose(*many, np.repeat(np.arange(60), 50), ALL).kind == choose(y, z, np.arange(60), ALL).kind
    assert choose(*many, np.arange(3000), ALL).kind == "isotonic"


def test_the_order_of_rows_does_not_matter():
    y, z, group = _texts(lambda z: expit(0.7 * z - 0.1), n=300)
    order = np.random.default_rng(5).permutation(300)
    names = np.array([f"g{k:04}" for k in group], dtype=object)
    found, other = choose(y, z, group, ALL), choose(y[order], z[order], names[order], ALL)
    assert (other.kind, other.scale, other.bias) == (
        found.kind,
        pytest.approx(found.scale),
        pytest.approx(found.bias),
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"scale": 0.0},
        {"scale": float("inf")},
        {"bias": float("nan")},
        {"knots": ((0.0, 0.1), (1.0, 0.2))},
        {"kind": "isotonic"},
        {"kind": "isotonic", "knots": ((0.0, 0.1),)},
        {"kind": "isotonic", "knots": ((0.0, 0.1), (0.0, 0.2))},
        {"kind": "isotonic", "knots": ((0.0, 0.2), (1.0, 0.1))},
        {"kind": "isotonic", "knots": ((0.0, 0.2), (1.0, float("nan")))},
    ],
)
def test_what_would_turn_the_order_of_texts_is_refused(wrong):
    with pytest.raises(ValueError, match=r"scale|isotonic"):
        Calibration(**wrong)
