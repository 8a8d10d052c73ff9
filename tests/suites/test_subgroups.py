"""Areas of subgroups against scikit-learn; what is too little stays unsaid; a planted bias is named."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from train.suites.subgroups import METRICS, subgroups, worst


def test_areas_and_rates_are_those_of_the_published_definition(random_predictions):
    rows = random_predictions(1500, width=2, seed=3)
    inside = np.random.default_rng(0).random(1500) < 0.3
    figures, bounds = subgroups(rows, {"identity=x": inside}, "test")
    for j, label in enumerate(rows.labels):
        y, score, flag = rows.targets[:, j], rows.scores[:, j], rows.flags[:, j]
        known = np.isfinite(y)
        parts = {
            "subgroup_auc": inside,
            "bpsn_auc": np.where(y > 0.5, ~inside, inside),
            "bnsp_auc": np.where(y > 0.5, inside, ~inside),
        }
        for metric, part in parts.items():
            key = f"test/{label}/{metric}/identity=x"
            assert figures[key] == pytest.approx(roc_auc_score(y[known & part], score[known & part]))
            assert bounds[key][0] < figures[key] < bounds[key][1]
        negative = y < 0.5
        gap = flag[negative & inside].mean() - flag[negative & ~inside].mean()
        assert figures[f"test/{label}/fpr_gap/identity=x"] == pytest.approx(gap)
        assert figures[f"test/{label}/recall/identity=x"] == pytest.approx(flag[(y > 0.5) & inside].mean())
        assert figures[f"test/{label}/n/identity=x"] == int((known & inside).sum())


def test_the_background_is_of_the_sources_that_know_the_group(build):
    n = 400
    target = (np.arange(n) % 2).astype(float)
    source = np.where(np.arange(n) < 200, "here", "elsewhere")
    score = np.where(
        source == "here", 0.3 + 0.4 * target, 0.9 - 0.8 * target
    )  # the other source ranks backwards
    inside = (np.arange(n) < 200) & (np.arange(n) % 4 < 2)
    figures, _ = subgroups(build(target[:, None], score[:, None], source=source), {"identity=x": inside}, "t")
    assert figures["t/label0/bpsn_auc/identity=x"] == 1.0


def test_too_few_texts_are_none_or_nothing(build):
    target, inside = np.zeros(300), np.zeros(300, dtype=bool)
    target[:150], inside[140:190] = 1, True  # 10 positives and 40 negatives mention it
    rows = build(target[:, None], np.linspace(1, 0, 300)[:, None])
    figures, bounds = subgroups(rows, {"identity=x": inside, "identity=y": np.arange(300) < 29}, "t")
    assert {key for key in figures if key.endswith("=y")} == set()
    said = {metric for metric in METRICS if figures[f"t/label0/{metric}/identity=x"] is not None}
    assert said == {"bpsn_auc", "fpr", "fpr_gap"}  # the figures that rest on its negatives alone
    assert {key.split("/")[2] for key in bounds} <= said


def test_a_group_whose_mention_alone_raises_scores_is_the_worst(build):
    dice = np.random.default_rng(1)
    target = (dice.random(2000) < 0.4).astype(float)
    mentioned = {f"identity={name}": dice.random(2000) < 0.2 for name in ("a", "b", "c")}
    score = 0.2 + 0.3 * target + 0.25 * mentioned["identity=b"] + 0.1 * dice.random(2000)
    figures, bounds = subgroups(build(target[:, None], score[:, None]), mentioned, "test")
    assert worst(figures, "test/label0/bpsn_auc", "identity", most=False)[0] == "b"
    assert worst(figures, "test/label0/fpr_gap", "identity", most=True)[0] == "b"
    high = bounds["test/label0/bpsn_auc/identity=b"][1]
    assert high < bounds["test/label0/bpsn_auc/identity=a"][0]
    assert worst(figures, "test/label0/bpsn_auc", "dialect", most=False) is None


def test_the_background_is_of_the_languages_that_have_the_group(build):
    """One source of two languages; the words of the group are of one, and the model is bad at the other."""
    n = 400
    target = (np.arange(n) % 2).astype(float)
    lang = np.where(np.arange(n) < 200, "en", "de")
    score = np.where(lang == "en", 0.3 + 0.4 * target, 0.9 - 0.8 * target)
    inside = (np.arange(n) < 200) & (np.arange(n) % 4 < 2)
    rows = build(target[:, None], score[:, None], slices={"lang": list(lang)})
    figures, _ = subgroups(rows, {"identity=x": inside}, "t")
    assert figures["t/label0/bpsn_auc/identity=x"] == figures["t/label0/bnsp_auc/identity=x"] == 1.0
    assert figures["t/label0/fpr_gap/identity=x"] == figures["t/label0/recall_gap/identity=x"] == 0
