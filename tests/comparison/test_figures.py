"""Differences of two sides on a set: against plain loops, and what they say of better, worse and equal."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from train.comparison.figures import compared, differences, slice_differences
from train.comparison.verdict import title


def _better(rows, by, seed=1):
    """The same texts scored anew, the truth mixed in by `by`."""
    noise = np.random.default_rng(seed).normal(size=rows.scores.shape)
    scores = 1 / (1 + np.exp(-(by * (2 * np.nan_to_num(rows.targets) - 1) + noise)))
    return replace(rows, scores=scores, flags=scores >= 0.5)


def _of(records, label, metric):
    (found,) = (r for r in records if (r["label"], r["metric"]) == (label, metric))
    return found


@pytest.fixture(scope="module")
def rows(random_predictions):
    rows = random_predictions(400, width=3)
    return replace(rows, group=np.array([f"g{i // 2}" for i in range(400)], dtype=object))


def test_the_interval_is_of_paired_resamples_of_groups(rows):
    a, b = _better(rows, 0.8), _better(rows, 1.2, seed=2)
    record = _of(compared([a], [b], "test", of_recipes=False), "label0", "auprc")
    known = np.isfinite(rows.targets[:, 0])
    truth = rows.targets[:, 0] > 0.5
    random, drawn = np.random.default_rng(5), []
    for _ in range(400):
        groups = random.integers(200, size=200)
        picked = np.concatenate([2 * groups, 2 * groups + 1])
        picked = picked[known[picked]]
        drawn.append(
            average_precision_score(truth[picked], b.scores[picked, 0])
            - average_precision_score(truth[picked], a.scores[picked, 0])
        )
    error = (record["high"] - record["low"]) / (2 * 1.96)
    assert error == pytest.approx(np.std(drawn), rel=0.12)  # of 400 and 1,000 resamples
    assert record["difference"] == pytest.approx(record["b"] - record["a"])
    assert record["relative"] == pytest.approx(record["b"] / record["a"] - 1)


def test_rates_count_disagreements_and_take_the_wider_interval(rows):
    a, b = _better(rows, 0.8), _better(rows, 1.2, seed=2)
    record = _of(differences([a], [b], "test", False), "label1", "fpr")
    negative = rows.targets[:, 1] < 0.5
    only_a = (a.flags[:, 1] & ~b.flags[:, 1] & negative).sum()
    only_b = (b.flags[:, 1] & ~a.flags[:, 1] & negative).sum()
    assert (record["only_a"], record["only_b"]) == (only_a, only_b)
    assert record["difference"] == pytest.approx((only_b - only_a) / negative.sum())
    assert record["p"] >= record["mcnemar"]
    expected = 2 * np.arcsin(record["b"] ** 0.5) - 2 * np.arcsin(record["a"] ** 0.5)
    assert record["h"] == pytest.approx(expected)
    assert record["h_low"] < record["h"] < record["h_high"]


def test_a_better_model_is_better_and_the_mirror_says_worse(rows):
    weak, strong = _better(rows, 0.5), _better(rows, 2.0, seed=2)
    for one, other, said in ((weak, strong, "better"), (strong, weak, "worse")):
        records = differences([one], [other], "test", of_recipes=False)
        assert _of(records, "macro", "auprc")["outcome"] == said
        assert _of(records, "label0", "fpr")["outcome"] == said  # less is better
        assert all(r["p_holm"] >= r["p"] for r in records if r["p"] is not None)
    there, back = (differences([x], [y], "test", False) for x, y in ((weak, strong), (strong, weak)))
    for one, other in zip(there, back, strict=True):
        assert one["difference"] == pytest.approx(-other["difference"])
        assert one["low"] == pytest.approx(-other["high"])


def test_the_same_model_is_equivalent_in_rates_and_open_where_nothing_moved(random_predictions):
    rows = random_predictions(3000)
    records = differences([rows], [rows], "test", of_recipes=False)
    assert _of(records, "label0", "recall")["outcome"] == "equivalent"
    assert 0 < _of(records, "label0", "recall")["high"] < 0.01
    assert _of(records, "macro", "auprc")["outcome"] == "open"  # 0 in every resample: no interval


def test_seeds_of_one_recipe_do_not_differ(rows):
    runs = [_better(rows, 1.0, seed=seed) for seed in range(6)]
    records = differences(runs[:3], runs[3:], "test", of_recipes=True)
    assert not [r for r in records if r["outcome"] in ("better", "worse")]
    assert _of(records, "label0", "recall")["only_a"] is None  # of many runs there is no one table


def test_too_few_texts_are_insufficient_and_macro_says_of_how_many_labels(rows):
    few = rows.targets.copy()
    few[:, 1] = np.where(np.arange(400) < 20, 1.0, 0.0)  # 20 positives
    few[:, 2] = np.where(np.arange(400) < 40, 1.0, 0.0)  # 40, but a few threads
    group = rows.group.copy()
    group[:40] = [f"t{i // 14}" for i in range(40)]
    rows = replace(rows, targets=few, group=group)
    records = differences([_better(rows, 1.0)], [_better(rows, 2.0)], "test", of_recipes=False)
    assert _of(records, "label1", "auprc")["outcome"] == "insufficient"
    assert _of(records, "label1", "fpr")["outcome"] != "insufficient"
    assert _of(records, "label2", "auprc")["low"] is None
    macro = _of(records, "macro", "auprc")
    assert (macro["labels"], macro["of"]) == (1, 2)
    assert macro["a"] == _of(records, "label0", "auprc")["a"]
    assert title(macro) == "macro AUPRC (1 of 2 labels)"


def test_slices_are_a_family_of_their_own(rows):
    lang = np.array([["en", "de"][i // 2 % 2] for i in range(400)], dtype=object)
    rows = replace(rows, slices={"lang": lang, "one": np.array(["x"] * 400, dtype=object)})
    records = slice_differences([_better(rows, 0.5)], [_better(rows, 2.0, 2)], "test", of_recipes=False)
    assert {(r["slice"], r["value"]) for r in records} == {("lang", "de"), ("lang", "en")}
    assert {r["metric"] for r in records} == {"recall", "fpr"}
    smallest = min(records, key=lambda r: r["p"])
    assert smallest["p_holm"] == pytest.approx(min(1, smallest["p"] * len(records)))
    assert any(r["outcome"] == "better" for r in records)
