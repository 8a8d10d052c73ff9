"""The points that are drawn are points of scikit-learn's curves, and their area is the figure beside them."""

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import average_precision_score, precision_recall_curve

from train.evaluation.curves import calibration, precision_recall
from train.evaluation.metrics import ece, reliability


def area(recall, precision):
    return float((np.diff(recall, prepend=0) * precision).sum())


@pytest.mark.parametrize("levels", [3, 40, 100_000])
def test_precision_and_recall_are_sklearns(build, levels):
    random = np.random.default_rng(levels)
    target = (random.random(900) < 0.3).astype(np.float32)
    score = np.round((target + random.normal(size=900)) / 8 + 0.5, 12).clip(0, 1)
    score = np.floor(score * levels) / levels
    recall, precision = precision_recall(build(target[:, None], score[:, None]), "label0", most=10_000)
    reference = list(zip(*precision_recall_curve(target, score)[:2], strict=True))
    assert {(p, r) for r, p in zip(recall, precision, strict=True)} <= set(reference)
    assert area(recall, precision) == pytest.approx(average_precision_score(target, score), abs=1e-12)
    assert (np.diff(recall) > 0).all()
    assert recall[-1] == 1


def test_a_long_curve_is_thinned_and_keeps_its_ends_and_its_area(build):
    random = np.random.default_rng(0)
    target = (random.random(20_000) < 0.2).astype(np.float32)
    score = 1 / (1 + np.exp(-(2 * target + random.normal(size=20_000))))
    rows = build(target[:, None], score[:, None])
    whole, thin = (precision_recall(rows, "label0", most) for most in (10**6, 200))
    assert len(thin[0]) <= 200
    assert (thin[0][0], thin[0][-1]) == (whole[0][0], 1)
    assert area(*thin) == pytest.approx(area(*whole), abs=0.005)


def test_ties_at_a_half_and_unknown_cells_are_on_no_curve(build):
    target = np.array([1, 0, 0.5, np.nan, 1, 0], dtype=np.float32)[:, None]
    score = np.array([0.9, 0.8, 0.95, 0.99, 0.7, 0.1])[:, None]
    recall, precision = precision_recall(build(target, score), "label0")
    assert recall.tolist() == [0.5, 1.0]
    assert precision.tolist() == [1.0, pytest.approx(2 / 3)]
    rows, _, _ = calibration(build(target, score), "label0")
    assert rows.tolist() == [5]


def test_bins_are_those_of_the_calibration_error_and_of_sklearn(build):
    random = np.random.default_rng(1)
    score = random.random(1500)
    target = (random.random(1500) < score**2).astype(np.float32)
    rows, said, seen = calibration(build(target[:, None], score[:, None]), "label0")
    assert rows.tolist() == [100] * 15
    theirs = calibration_curve(target, score, n_bins=15, strategy="quantile")
    np.testing.assert_allclose(seen, theirs[0], atol=0.011)  # their bins may differ by a row
    np.testing.assert_allclose(said, theirs[1], atol=0.011)
    assert (rows * abs(said - seen)).sum() / 1500 == pytest.approx(ece(target, score), abs=1e-12)


def test_few_rows_make_few_bins(build):
    score = np.linspace(0.01, 0.99, 95)
    rows, said, _ = calibration(build(np.zeros((95, 1)), score[:, None]), "label0")
    assert len(rows) == 3
    assert rows.min() >= 30
    assert (np.diff(said) > 0).all()
    rows, _, _ = reliability(np.zeros(95), np.full(95, 0.4))
    assert rows.tolist() == [95]  # equal scores share a bin
