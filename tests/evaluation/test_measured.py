"""Figures of any rows agree with a set's own, and a difference is taken draw by draw."""

from __future__ import annotations

import numpy as np
import pytest

from train.evaluation.intervals import intervals
from train.evaluation.measured import area, mean, share, told
from train.evaluation.metrics import measure


def test_areas_and_shares_are_those_of_measure_and_intervals(random_predictions):
    rows = random_predictions(700, width=1, unknown=0)
    positive, score, flag = rows.targets[:, 0] > 0.5, rows.scores[:, 0], rows.flags[:, 0]
    plus, minus = np.flatnonzero(positive), np.flatnonzero(~positive)
    found = {"auroc": area(plus, minus, score), "recall": share(plus, flag), "fpr": share(minus, flag)}
    values, bounds = told(found, rows.group)
    figures, sure = measure(rows, "t"), intervals(rows, "t")
    for metric in found:
        assert values[metric] == pytest.approx(figures[f"t/label0/{metric}"])
        assert bounds[metric] == pytest.approx(sure[f"t/label0/{metric}"])


def test_the_difference_of_two_scores_of_one_text_is_surer_than_each():
    dice = np.random.default_rng(0)
    hard = dice.normal(size=400)
    rows, group = np.arange(400), np.array([f"g{i}" for i in range(400)], dtype=object)
    first, second = mean(rows, hard), mean(rows, hard + 0.1 + dice.normal(0, 0.01, 400))
    values, bounds = told({"first": first, "change": second - first}, group)
    assert values["change"] == pytest.approx(0.1, abs=0.01)
    assert bounds["change"][1] - bounds["change"][0] < 0.1 * (bounds["first"][1] - bounds["first"][0])


def test_few_groups_empty_rows_and_certain_shares():
    group = np.array([f"g{i % 30}" for i in range(300)], dtype=object)
    rows, none = np.arange(300), np.arange(0)
    never = np.zeros(300, dtype=bool)
    found = {
        "few": share(np.arange(10), never),
        "empty": share(none, never),
        "no pair": area(rows, none, np.ones(300)),
        "gap": share(rows, never) - share(none, never),
        "never": share(rows, never),
        "above never": share(rows, rows % 2 == 0) - share(rows, never),
        "constant": mean(rows, np.ones(300)),
    }
    values, bounds = told(found, group)
    assert {key for key, value in values.items() if value is None} == {"empty", "no pair", "gap"}
    assert values["never"] == 0 and values["above never"] == 0.5 and values["constant"] == 1
    assert bounds.keys() == {"never"}  # exact, over its 30 groups
    assert bounds["never"] == (0, pytest.approx(1 - 0.025 ** (1 / 30)))
