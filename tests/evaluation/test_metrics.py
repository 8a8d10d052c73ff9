"""Every figure against scikit-learn and against the definition, written out the slow way."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
)

from train.evaluation import metrics
from train.evaluation.metrics import measure
from train.evaluation.predictions import Predictions


@st.composite
def cells(draw: st.DrawFn, weighted: bool = True) -> tuple[Any, Any, Any, Any]:
    """(positive, score with many ties, flag, weights), with a positive and a negative of weight > 0."""
    n = draw(st.integers(2, 40))
    levels = draw(st.sampled_from([1, 2, 4, 9, 1000]))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    positive = random.random(n) < draw(st.sampled_from([0.1, 0.5, 0.9]))
    positive[:2] = True, False
    weights = random.integers(0, 4, n) if weighted else np.ones(n, int)
    weights[:2] = 1 + weights[:2]
    return positive, random.integers(0, levels, n) / levels, random.random(n) < 0.4, weights


@settings(max_examples=60, deadline=None)
@given(cells())
def test_ranking_and_counting_agree_with_sklearn(drawn):
    positive, score, flag, weights = drawn
    same = {"rel": 1e-12, "abs": 1e-12}
    for kind, reference in (("auprc", average_precision_score), ("auroc", roc_auc_score)):
        ours = getattr(metrics, kind)(positive, score, weights)
        assert ours == pytest.approx(reference(positive, score, sample_weight=weights), **same)
    of = {"y_true": positive, "y_pred": flag, "sample_weight": weights, "zero_division": np.nan}
    assert metrics.f1(positive, flag, weights) == pytest.approx(
        f1_score(**{**of, "zero_division": 0}), **same
    )
    assert metrics.recall(positive, flag, weights) == pytest.approx(recall_score(**of), **same)
    expected = recall_score(**{**of, "y_true": ~positive})
    assert metrics.fpr(positive, flag, weights) == pytest.approx(expected, **same)
    if (weights * flag).any():
        assert metrics.precision(positive, flag, weights) == pytest.approx(precision_score(**of), **same)
    else:
        assert metrics.precision(positive, flag, weights) is None
    expected = brier_score_loss(positive, score, sample_weight=weights)
    assert metrics.brier(positive.astype(float), score, weights) == pytest.approx(expected, **same)


@settings(max_examples=60, deadline=None)
@given(cells(), st.sampled_from([0.01, 0.1, 0.29, 0.5]))
def test_recall_at_fpr_is_the_best_of_all_thresholds(drawn, limit):
    positive, score, _, weights = drawn
    best = 0.0
    for threshold in np.unique(score):
        flag = score >= threshold
        if (weights * (flag & ~positive)).sum() <= limit * (weights * ~positive).sum() + 1e-9:
            best = max(best, (weights * (flag & positive)).sum() / (weights * positive).sum())
    assert metrics.recall_at_fpr(positive, score, limit, weights) == pytest.approx(best)


@settings(max_examples=60, deadline=None)
@given(cells())
def test_weights_are_repeated_rows(drawn):
    positive, score, flag, weights = drawn
    soft = np.clip(positive * 0.6 + 0.1, 0, 1)

    def figures(positive, score, flag, soft, weights):
        return [
            metrics.auprc(positive, score, weights),
            metrics.auroc(positive, score, weights),
            metrics.recall_at_fpr(positive, score, 0.2, weights),
            metrics.f1(positive, flag, weights),
            metrics.precision(positive, flag, weights),
            metrics.recall(positive, flag, weights),
            metrics.fpr(positive, flag, weights),
            metrics.brier(soft, score, weights),
            metrics.ece(soft, score, weights),
        ]

    repeated = [np.repeat(values, weights) for values in (positive, score, flag, soft)]
    once, many = figures(positive, score, flag, soft, weights), figures(*repeated, None)
    np.testing.assert_allclose(np.array(once, float), np.array(many, float), rtol=1e-12, atol=1e-15)


@settings(max_examples=60, deadline=None)
@given(cells())
def test_many_weight_vectors_at_once_equal_one_by_one(drawn):
    positive, score, flag, weights = drawn
    many = np.random.default_rng(0).integers(0, 3, (5, len(weights)))
    curve = metrics.Ranking(positive, score).curve(many)
    decisions = metrics.Decisions(positive, flag, many)
    for k, row in enumerate(many):
        one = metrics.Ranking(positive, score).curve(row)
        np.testing.assert_allclose(curve.auprc()[k], one.auprc())
        np.testing.assert_allclose(curve.auroc()[k], one.auroc())
        np.testing.assert_allclose(curve.recall_at_fpr(0.1)[k], one.recall_at_fpr(0.1))
        np.testing.assert_allclose(decisions.f1()[k], metrics.Decisions(positive, flag, row).f1())


@settings(max_examples=60, deadline=None)
@given(cells(), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_auroc_within_sources_counts_the_pairs_of_each_source(drawn, sources, seed):
    positive, score, _, weights = drawn
    source = np.random.default_rng(seed).integers(0, sources, len(score)).astype(str)
    won = pairs = 0.0
    for i in np.flatnonzero(positive):
        for j in np.flatnonzero(~positive & (source == source[i])):
            pairs += weights[i] * weights[j]
            won += weights[i] * weights[j] * ((score[i] > score[j]) + (score[i] == score[j]) / 2)
    within = metrics.WithinSources(positive, score, source)
    assert float(within.auroc(weights)) == pytest.approx(won / pairs if pairs else np.nan, nan_ok=True)
    many = within.auroc(np.stack([weights, np.ones(len(score), int)]))
    assert many[0] == pytest.approx(float(within.auroc(weights)), nan_ok=True)
    assert many[1] == pytest.approx(float(within.auroc()), nan_ok=True)
    if sources == 1:
        assert float(within.auroc(weights)) == pytest.approx(metrics.auroc(positive, score, weights))


def test_auroc_is_the_share_of_pairs_won():
    random = np.random.default_rng(3)
    positive, score = random.random(60) < 0.3, random.integers(0, 7, 60)
    plus, minus = score[positive][:, None], score[~positive][None]
    assert metrics.auroc(positive, score) == pytest.approx((plus > minus).mean() + (plus == minus).mean() / 2)


def test_tied_scores_are_one_threshold():
    positive, score = np.array([True, False, False, True]), np.full(4, 0.7)
    assert metrics.auprc(positive, score) == 0.5
    assert metrics.auroc(positive, score) == 0.5
    assert metrics.recall_at_fpr(positive, score, 0.4) == 0.0


def test_undefined_is_none():
    yes, no, score = np.ones(3, bool), np.zeros(3, bool), np.array([0.1, 0.5, 0.9])
    for positive in (yes, no, np.zeros(0, bool)):
        some = score[: len(positive)]
        for figure in (metrics.auprc, metrics.auroc, metrics.f1, metrics.precision):
            assert figure(positive, some > 0.4 if figure in (metrics.f1, metrics.precision) else some) is None
        assert metrics.recall_at_fpr(positive, some, 0.1) is None
    assert metrics.recall(no, yes) is None
    assert metrics.fpr(yes, yes) is None
    assert (metrics.recall(yes, yes), metrics.fpr(no, no)) == (1.0, 0.0)
    assert metrics.brier(score[:0], score[:0]) is None
    assert metrics.ece(score[:0], score[:0]) is None


def test_brier_uses_the_soft_value():
    assert metrics.brier(np.array([0.5, 0.25]), np.array([0.5, 0.75])) == pytest.approx(0.125)


def test_ece_is_zero_when_calibrated_and_the_gap_when_not():
    score = np.repeat(np.linspace(0.05, 0.95, 10), 100)
    target = np.concatenate([np.arange(100) < round(s * 100) for s in np.linspace(0.05, 0.95, 10)])
    assert metrics.ece(target.astype(float), score) == pytest.approx(0, abs=1e-12)
    assert metrics.ece(np.full(1000, 0.3), np.full(1000, 0.45)) == pytest.approx(0.15)
    shifted = np.clip(score + 0.04, 0, 1)
    assert metrics.ece(target.astype(float), shifted) == pytest.approx(0.04)


def test_ece_bins_hold_equal_masses_of_distinct_scores():
    random = np.random.default_rng(5)
    score, target = random.random(1500) ** 8, (random.random(1500) < 0.1).astype(float)
    order = np.argsort(score)
    gaps = [abs((score[part] - target[part]).mean()) for part in np.split(order, metrics.ECE_BINS)]
    assert metrics.ece(target, score) == pytest.approx(np.mean(gaps))


def test_unknown_cells_change_nothing(random_predictions):
    rows = random_predictions(500, width=3)
    before = measure(rows, "test")
    unknown, random = np.isnan(rows.targets), np.random.default_rng(9)
    scores = np.where(unknown, random.random(unknown.shape), rows.scores)
    flags = np.where(unknown, random.random(unknown.shape) < 0.5, rows.flags)
    assert (flags != rows.flags).any()
    assert measure(Predictions(**{**vars(rows), "scores": scores, "flags": flags}), "test") == before


def test_measure_equals_sklearn_on_each_labels_known_cells(random_predictions):
    rows = random_predictions(3000, width=2, rate=0.2)
    figures = measure(rows, "test.a")
    for j, label in enumerate(rows.labels):
        known = np.isfinite(rows.targets[:, j])
        y, p, flag = rows.targets[known, j], rows.scores[known, j], rows.flags[known, j]
        of = {metric: figures[f"test.a/{label}/{metric}"] for metric in ("auprc", "auroc", "f1", "brier")}
        assert of["auprc"] == pytest.approx(average_precision_score(y, p))
        assert of["auroc"] == pytest.approx(roc_auc_score(y, p))
        assert of["f1"] == pytest.approx(f1_score(y, flag))
        assert of["brier"] == pytest.approx(brier_score_loss(y, p))
        assert figures[f"test.a/{label}/n"] == known.sum()
        assert figures[f"test.a/{label}/positives"] + figures[f"test.a/{label}/negatives"] == known.sum()
        assert figures[f"test.a/{label}/prevalence"] == pytest.approx(y.mean())
        assert figures[f"test.a/{label}/recall@fpr=0.01"] is not None
    both = [figures[f"test.a/{label}/auprc"] for label in rows.labels]
    assert figures["test.a/macro/auprc"] == pytest.approx(np.mean(both))
    assert figures["test.a/macro/labels"] == 2


def test_measure_is_plain_json(random_predictions, build):
    empty = build(np.zeros((0, 2)), np.zeros((0, 2)))
    ties = build(np.full((4, 1), 0.5), np.full((4, 1), 0.5))
    for rows in (random_predictions(50), random_predictions(50, rate=0.0), empty, ties):
        figures = measure(rows, "dev")
        json.dumps(figures, allow_nan=False)
        assert {type(value) for value in figures.values()} <= {int, float, bool, type(None)}
    assert measure(empty, "dev") == {
        **dict.fromkeys(
            ("dev/macro/auprc", "dev/macro/auroc", "dev/macro/f1", "dev/any/fpr", "dev/any/recall")
        ),
        "dev/any/positives": 0,
        "dev/macro/labels": 0,
        "dev/any/n": 0,
    }


def test_ties_at_a_half_are_known_but_neither_positive_nor_negative(build):
    figures = measure(build([[0.5], [0.51], [0.49], [0.5]], [[0.9], [0.8], [0.1], [0.0]]), "t")
    assert [figures[f"t/label0/{m}"] for m in ("n", "positives", "negatives")] == [4, 1, 1]
    assert figures["t/label0/auprc"] == 1.0
    assert figures["t/label0/brier"] == pytest.approx((0.4**2 + 0.29**2 + 0.39**2 + 0.5**2) / 4, rel=1e-6)


def test_labels_without_a_known_cell_are_left_out(build):
    figures = measure(build([[np.nan, 1], [np.nan, 0]], [[0.1, 0.2], [0.3, 0.4]]), "t")
    assert not [key for key in figures if key.startswith("t/label0/")]


@pytest.mark.parametrize(
    ("positives", "negatives", "sufficient"), [(30, 30, True), (29, 99, False), (99, 29, False)]
)
def test_macro_is_the_mean_of_sufficient_labels(build, positives, negatives, sufficient):
    n = positives + negatives
    first = np.arange(n) < positives
    always = np.arange(n) % 2 == 0
    rows = build(np.column_stack([first, always]), np.random.default_rng(0).random((n, 2)))
    figures = measure(rows, "t")
    assert figures["t/label0/sufficient"] is sufficient
    assert figures["t/label0/auprc"] is not None
    counted = [figures["t/label1/auprc"]] + [figures["t/label0/auprc"]] * sufficient
    assert figures["t/macro/auprc"] == pytest.approx(np.mean(counted))
    assert figures["t/macro/labels"] == len(counted)


def test_recall_at_fpr_needs_ten_false_positives_worth_of_negatives(build):
    for negatives, defined in ((999, False), (1000, True)):
        targets = np.arange(negatives + 5)[:, None] < 5
        figures = measure(build(targets, np.linspace(1, 0, negatives + 5)[:, None]), "t")
        assert (figures["t/label0/recall@fpr=0.01"] == 1.0) is defined
        assert (figures["t/label0/recall@fpr=0.01"] is None) is not defined
    assert "t/label0/recall@fpr=0.1" in measure(build(targets, np.ones((1005, 1))), "t", recall_fpr=0.1)


def test_any_finds_harm_only_under_a_label_that_holds(build):
    targets = [[1, 0], [1, np.nan], [0, 1], [1, 1], [0, 0], [0.5, np.nan]]
    flags = [[0, 1], [1, 0], [0, 1], [0, 1], [1, 1], [1, 1]]
    figures = measure(build(targets, np.full((6, 2), 0.5), flags), "t")
    assert figures["t/any/positives"] == 4
    assert figures["t/any/recall"] == 0.75  # not the first row: it is flagged for something else


def test_any_counts_flags_of_known_cells_on_allowed_rows(build):
    nan = np.nan
    targets = [[0, 0], [0, nan], [0, nan], [nan, nan], [0, 1], [0, 0.5], [0.2, 0]]
    flags = [[0, 0], [0, 1], [1, 0], [1, 1], [1, 0], [1, 0], [0, 1]]
    figures = measure(build(targets, np.full((7, 2), 0.5), flags), "suite.benign-teen")
    assert figures["suite.benign-teen/any/n"] == 4  # rows 0, 1, 2 and 6
    assert figures["suite.benign-teen/any/fpr"] == 0.5  # rows 2 and 6


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_measure_ignores_the_order_of_rows(seed):
    random = np.random.default_rng(seed)
    n = 60
    strings = np.array(["x"] * n, dtype=object)
    targets = random.choice([0, 0.25, 0.5, 0.75, 1, np.nan], (n, 2)).astype(np.float32)
    scores = random.integers(0, 6, (n, 2)) / 5
    zeros = np.zeros(n, bool)
    rows = Predictions(
        *(strings, strings, strings, strings, zeros), {}, ("a", "b"), targets, scores, scores >= 0.6
    )
    assert measure(rows.select(random.permutation(n)), "t") == pytest.approx(measure(rows, "t"))
