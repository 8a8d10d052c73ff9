"""Languages at the English threshold, synthetic against real text, flags of what nobody labelled."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit

from train.evaluation.operating_points import apply, fit
from train.evaluation.transfer import at_english, flag_rates, synthetic_gaps
from train.policy import Constraint

CONSTRAINTS = {"label0": Constraint(max_fpr=0.05), "label1": Constraint(min_recall=0.8)}


def spoken(build, n, seed):
    """German scores lie lower; the second label is unknown in German."""
    dice = np.random.default_rng(seed)
    lang = np.where(dice.random(n) < 0.5, "en", "de")
    targets = (dice.random((n, 2)) < 0.4).astype(np.float32)
    z = 3 * targets - 1.5 + dice.normal(size=(n, 2)) - 1.5 * (lang == "de")[:, None]
    targets[lang == "de", 1] = np.nan
    return build(targets, expit(0.7 * z - 0.2), slices={"lang": lang})


def test_flags_are_those_of_points_that_were_fitted_on_english(build):
    calibration, test = spoken(build, 3000, 0), spoken(build, 3000, 1)
    figures, bounds = at_english(calibration, test, CONSTRAINTS, "test")
    english = calibration.slices["lang"] == "en"
    part = calibration.select(english)
    points = fit(CONSTRAINTS, part.targets, logit(part.scores), test.labels, part.group)
    _, flags = apply(points, logit(test.scores), test.labels)
    for lang in ("en", "de"):
        mine = test.slices["lang"] == lang
        y, flag = test.targets[mine, 0], flags[mine, 0]
        assert figures[f"test/label0/recall_at_english/lang={lang}"] == pytest.approx(flag[y > 0.5].mean())
        assert figures[f"test/label0/fpr_at_english/lang={lang}"] == pytest.approx(flag[y < 0.5].mean())
        assert figures[f"test/label0/positives/lang={lang}"] == (y > 0.5).sum()
    assert (
        bounds["test/label0/recall_at_english/lang=de"][1]
        < bounds["test/label0/recall_at_english/lang=en"][0]
    )
    assert {key.split("/")[-1] for key in figures if "label1" in key} == {"lang=en"}


def test_one_language_or_no_english_says_nothing(build):
    rows = spoken(build, 300, 0)
    german = rows.select(rows.slices["lang"] == "de")
    assert at_english(rows, german, CONSTRAINTS, "test") == ({}, {})
    assert at_english(german, rows, CONSTRAINTS, "test") == ({}, {})
    assert at_english(rows, build([[1, 0]], [[0.5, 0.5]]), CONSTRAINTS, "test") == ({}, {})


def test_made_texts_that_are_easier_stand_out(build):
    dice = np.random.default_rng(0)
    made = np.arange(1000) < 400
    target = (dice.random(1000) < 0.5).astype(float)
    score = expit((2 * target - 1) * np.where(made, 2, 0.5) + dice.normal(size=1000))
    rows = build(np.c_[target, np.where(made, target, np.nan)], np.c_[score, score], synthetic=made)
    figures, bounds = synthetic_gaps(rows, "test")
    assert {key.split("/")[1] for key in figures} == {"label0"}  # of label1 real text knows nothing
    assert figures["test/label0/positives/synthetic=true"] == int((target[made] == 1).sum())
    for metric in ("auroc_gap", "recall_gap"):
        low, high = bounds[f"test/label0/{metric}/synthetic=true"]
        assert 0.1 < low < figures[f"test/label0/{metric}/synthetic=true"] < high
    assert bounds["test/label0/fpr_gap/synthetic=true"][1] < 0


def test_flags_per_thousand_count_every_text(build):
    flags = np.zeros((1000, 3), dtype=bool)
    flags[:4, 1], flags[2:10, 2] = True, True
    targets = np.full((1000, 3), np.nan)
    targets[:500, 0] = 0
    rows = build(targets, np.full((1000, 3), 0.1), flags)
    figures, bounds = flag_rates(rows, "test")
    assert figures == {
        "test/label1/texts": 1000,
        "test/label2/texts": 1000,
        "test/any/texts": 1000,
        "test/label1/flags_per_1000": 4,
        "test/label2/flags_per_1000": 8,
        "test/any/flags_per_1000": 10,
    }
    low, high = bounds["test/label1/flags_per_1000"]
    assert low <= 1.1 and high >= 10.2  # the exact interval of 4 in 1,000
    assert flag_rates(rows.select(np.zeros(1000, dtype=bool)), "test") == ({}, {})
