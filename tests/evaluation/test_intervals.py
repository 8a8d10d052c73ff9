"""Bootstrap intervals: do they cover, do they respect groups, do they stay silent when they should."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit
from scipy.stats import norm

from train.evaluation.intervals import clopper_pearson, group_counts, intervals, resampled
from train.evaluation.metrics import brier, measure
from train.evaluation.predictions import Predictions


def _repeat(rows: Predictions, times: int) -> Predictions:
    """Every row `times` times, in its own group."""
    return rows.select(np.repeat(np.arange(len(rows)), times))


def _regrouped(rows: Predictions, group: list[str]) -> Predictions:
    return Predictions(**{**vars(rows), "group": np.array(group, dtype=object)})


def test_keys_are_keys_of_measure_and_intervals_hold_the_figure(random_predictions):
    rows = random_predictions(2500, width=3)
    figures, found = measure(rows, "test.a"), intervals(rows, "test.a", resamples=200)
    per_label = [
        "auprc",
        "auroc",
        "auroc_within",
        "f1",
        "precision",
        "recall",
        "fpr",
        "recall@fpr=0.01",
        "brier",
    ]
    expected = {f"test.a/{label}/{metric}" for label in rows.labels for metric in per_label}
    expected |= {f"test.a/macro/{metric}" for metric in ("auprc", "auroc", "f1")}
    expected |= {"test.a/any/fpr", "test.a/any/recall"}
    assert set(found) == expected
    for key, (low, high) in found.items():
        assert type(low) is type(high) is float
        assert 0 <= low < figures[key] < high <= 1


def test_brier_is_resampled_by_group_over_known_cells_with_their_soft_targets(random_predictions):
    rows = random_predictions(300)
    _, group = np.unique(rows.group, return_inverse=True)
    drawn = resampled(rows, resamples=50, seed=7)
    for j, label in enumerate(rows.labels):
        known = np.isfinite(rows.targets[:, j])
        counts = np.concatenate(list(group_counts(group, 50, 7)))[:, group[known]]
        one_by_one = [brier(rows.targets[known, j], rows.scores[known, j], weights) for weights in counts]
        np.testing.assert_allclose(drawn[f"{label}/brier"], one_by_one, rtol=1e-12)


def test_equal_arguments_give_equal_intervals(random_predictions):
    rows = random_predictions(300)
    assert intervals(rows, "t", resamples=100, seed=3) == intervals(rows, "t", resamples=100, seed=3)
    assert intervals(rows, "t", resamples=100, seed=3) != intervals(rows, "t", resamples=100, seed=4)


def test_a_wider_level_is_a_wider_interval(random_predictions):
    rows = random_predictions(300)
    narrow, wide = (intervals(rows, "t", level=level, resamples=300) for level in (0.8, 0.99))
    assert all(wide[k][0] <= narrow[k][0] and narrow[k][1] <= wide[k][1] for k in narrow)


def test_duplicates_within_a_group_do_not_shrink_the_interval(random_predictions):
    rows = random_predictions(300)
    before, after = intervals(rows, "t", seed=1), intervals(_repeat(rows, 5), "t", seed=1)
    for key, pair in before.items():
        assert after[key] == pytest.approx(pair, abs=1e-12)
    as_rows = _regrouped(_repeat(rows, 5), [f"g{i}" for i in range(1500)])
    for key, (low, high) in intervals(as_rows, "t", seed=1).items():
        if key in before:
            assert high - low < 0.7 * (before[key][1] - before[key][0])


def test_too_few_groups_give_no_interval(random_predictions):
    rows = random_predictions(600, unknown=0.0)
    assert not intervals(_regrouped(rows, [f"g{i % 19}" for i in range(600)]), "t", resamples=50)
    assert intervals(_regrouped(rows, [f"g{i % 20}" for i in range(600)]), "t", resamples=50)


def test_only_figures_with_groups_behind_them_have_an_interval(build):
    n = 200
    benign = np.zeros((n, 1))
    scores = np.random.default_rng(0).random((n, 1))
    assert set(intervals(build(benign, scores), "suite.x", resamples=100)) == {
        "suite.x/label0/fpr",
        "suite.x/any/fpr",
    }
    few_positive = (np.arange(n) < 19)[:, None]
    assert set(intervals(build(few_positive, scores), "t", resamples=100)) == {"t/label0/fpr", "t/any/fpr"}
    few_flags = build((np.arange(n) < 90)[:, None], scores, flags=(np.arange(n) % 20 == 0)[:, None])
    found = intervals(few_flags, "t", resamples=100)
    assert "t/label0/precision" not in found
    assert "t/label0/recall" in found


def test_nothing_seen_is_not_certainty(build):
    n = 200
    positive = np.arange(n) < 100
    found = intervals(build(positive[:, None], np.where(positive, 0.9, 0.1)[:, None]), "t", resamples=100)
    assert found["t/label0/fpr"] == pytest.approx(clopper_pearson(0, 100, 0.95))
    assert found["t/label0/fpr"][1] > 0.03
    assert found["t/label0/recall"][0] < 0.97
    assert "t/label0/auprc" not in found  # 1.0 in every resample: the bootstrap cannot say how sure


def test_macro_needs_an_interval_of_every_sufficient_label(build):
    n = 400
    random = np.random.default_rng(0)
    targets = np.column_stack([np.arange(n) % 3 == 0, np.arange(n) < 100])
    group = ["one thread" if i < 90 else f"g{i}" for i in range(n)]  # label1: 100 positives, 11 groups
    rows = build(targets, random.random((n, 2)), group=group)
    assert measure(rows, "t")["t/label1/sufficient"]
    found = intervals(rows, "t", resamples=50)
    assert "t/label0/auprc" in found
    assert not {key for key in found if key.startswith(("t/macro/", "t/label1/auprc"))}


def test_no_rows_no_intervals(build):
    assert intervals(build(np.zeros((0, 1)), np.zeros((0, 1))), "t") == {}


def test_the_order_of_memory_does_not_matter(random_predictions, monkeypatch):
    rows = random_predictions(300)
    whole = intervals(rows, "t", resamples=64)
    monkeypatch.setattr("train.evaluation.intervals._CELLS_AT_ONCE", 300 * 10)
    assert intervals(rows, "t", resamples=64) == whole


@pytest.mark.parametrize("size", [1, 2], ids=["rows", "pairs"])
def test_intervals_cover_the_truth(build, size):
    """Scores N(0, 1) and N(1.5, 1); rows of a group share their label and .6 of their scores' variance."""
    draws, groups = 250, 200
    truth = {"auroc": norm.cdf(1.5 / 2**0.5), "recall": norm.cdf(0.5), "fpr": norm.cdf(-1.0)}
    covered = dict.fromkeys(truth, 0)
    for seed in range(draws):
        random = np.random.default_rng(seed)
        group = np.repeat(np.arange(groups), size)
        positive = (random.random(groups) < 0.4)[group]
        shared, own = random.normal(size=groups)[group], random.normal(size=len(group))
        scores = expit(1.5 * positive + 0.6**0.5 * shared + 0.4**0.5 * own)[:, None]
        rows = build(positive[:, None], scores, flags=scores >= expit(1.0), group=list(map(str, group)))
        found = intervals(rows, "t", resamples=200, seed=10_000 + seed)
        for metric, value in truth.items():
            low, high = found[f"t/label0/{metric}"]
            covered[metric] += low <= value <= high
    for metric, hits in covered.items():
        assert hits / draws > 0.9, metric  # measured over 1,000 draws: 93 to 95%; the error of 250 is 1.5%


def test_clopper_pearson_matches_scipy():
    from scipy.stats import binomtest

    for hits, trials in ((0, 30), (3, 30), (30, 30)):
        expected = binomtest(hits, trials).proportion_ci(0.95, "exact")
        assert clopper_pearson(hits, trials, 0.95) == pytest.approx((expected.low, expected.high))
