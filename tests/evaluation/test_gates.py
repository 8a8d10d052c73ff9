"""A gate holds only where its bound does, and says which figure decided."""

from __future__ import annotations

import pytest
from scipy.stats import beta

from train.evaluation.gates import Gate, answer, answer_paired, placeless
from train.evaluation.intervals import intervals
from train.evaluation.metrics import measure
from train.evaluation.slices import by_slice


def rate(hits: int, n: int) -> tuple[dict[str, float | int], dict[str, tuple[float, float]]]:
    figures = {"suite.x/any/fpr": hits / n, "suite.x/any/n": n}
    return figures, {"suite.x/any/fpr": (0.0, hits / n)}


@pytest.mark.parametrize(
    ("text", "key", "at_most", "limit", "baseline"),
    [
        ("suite.benign-teen/any/fpr <= 0.02", "suite.benign-teen/any/fpr", True, 0.02, None),
        ("test/hate/recall/lang=* >= .3", "test/hate/recall/lang=*", False, 0.3, None),
        ("test/hate/fpr/place=a/b = c<=1e-2", "test/hate/fpr/place=a/b = c", True, 0.01, None),
        ("test/macro/auprc >= minilm-0a1b2c3d - 0.01", "test/macro/auprc", False, 0.01, "minilm-0a1b2c3d"),
        ("test/any/fpr <= /runs/old one + 0.005", "test/any/fpr", True, 0.005, "/runs/old one"),
    ],
)
def test_a_gate_is_a_line(text: str, key: str, at_most: bool, limit: float, baseline: str | None) -> None:
    assert Gate.parse(text) == Gate(text, key, at_most, limit, baseline)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("fpr <= 0.02", "is no gate"),
        ("suite.x/any/fpr < 0.02", "is no gate"),
        ("suite.x/any/fpr <= ", "is no gate"),
        ("suite.x/any/fpr <= 2%", "neither a number nor"),
        ("test/macro/auprc >= old + 0.01", "`>=` goes with"),
        ("test/any/fpr <= old - 0.01", "`<=` with"),
    ],
)
def test_what_is_no_gate_is_said(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Gate.parse(text)


def test_a_rate_has_to_be_shown_not_only_seen() -> None:
    gate = Gate.parse("suite.x/any/fpr <= 0.02")
    for hits, n, outcome in (
        (0, 148, "not shown"),
        (0, 149, "held"),
        (5, 200, "broken"),
        (3, 200, "not shown"),
    ):
        found = answer(gate, *rate(hits, n))
        assert found.outcome == outcome
        assert found.bound == pytest.approx(beta.ppf(0.95, hits + 1, n - hits))
        assert found.key == "suite.x/any/fpr" and f"of {n}" in found.said
    assert answer(gate, *rate(0, 29)).outcome == "not shown"
    assert answer(gate, {}, {}).said == "no such figure was made"


def test_the_group_interval_counts_where_it_is_worse() -> None:
    figures, _ = rate(2, 1000)
    wide = {"suite.x/any/fpr": (0.0, 0.05)}
    narrow = {"suite.x/any/fpr": (0.0, 0.003)}
    assert answer(Gate.parse("suite.x/any/fpr <= 0.01"), figures, narrow).outcome == "held"
    assert answer(Gate.parse("suite.x/any/fpr <= 0.01"), figures, wide).outcome == "not shown"


def test_many_texts_of_few_groups_hold_no_gate() -> None:
    """They have no interval, and the exact bound would take them as independent."""
    found = answer(Gate.parse("suite.x/any/fpr <= 0.01"), {"suite.x/any/fpr": 0.0, "suite.x/any/n": 5000}, {})
    assert found.outcome == "not shown" and "too few groups" in found.said


@pytest.mark.parametrize("metric", ["auprc", "auroc", "f1", "precision"])
def test_a_figure_of_too_few_positives_holds_no_gate_whatever_its_interval(metric: str) -> None:
    key = f"test/hate/{metric}"
    figures = {key: 0.9, "test/hate/positives": 29, "test/hate/negatives": 900}
    gate = Gate.parse(f"{key} >= 0.5")
    assert "29 texts, under 30" in answer(gate, figures, {key: (0.8, 0.95)}).said
    assert answer(gate, figures | {"test/hate/positives": 30}, {key: (0.8, 0.95)}).held


def test_a_change_in_disguise_rests_on_the_class_it_is_about() -> None:
    key, of = "test/hate/recall_drop/perturbation=case", "/perturbation=case"
    figures = {key: 0.01, f"test/hate/positives{of}": 30, f"test/hate/negatives{of}": 4}
    assert answer(Gate.parse(f"{key} <= 0.1"), figures, {key: (0.0, 0.05)}).held


def test_a_ranking_figure_needs_its_interval() -> None:
    gate = Gate.parse("test/macro/auprc >= 0.7")
    assert answer(gate, {"test/macro/auprc": 0.8}, {}).outcome == "not shown"
    assert answer(gate, {"test/macro/auprc": 0.8}, {"test/macro/auprc": (0.69, 0.9)}).outcome == "not shown"
    assert answer(gate, {"test/macro/auprc": 0.8}, {"test/macro/auprc": (0.71, 0.9)}).outcome == "held"
    assert answer(gate, {"test/macro/auprc": None}, {}).outcome == "not shown"


def test_of_several_values_the_worst_is_asked_and_one_that_cannot_be_told_is_not_held(build) -> None:
    n = 400
    lang = ["en"] * 180 + ["de"] * 180 + ["ko"] * 40
    found = [i % 10 < (9 if i < 180 else 5) for i in range(n)]
    rows = build([[1.0]] * n, [[0.9]] * n, flags=[[f] for f in found], slices={"lang": lang})
    figures, bounds = by_slice(rows, "test")
    figures |= measure(rows, "test")
    bounds |= intervals(rows, "test")
    gate = Gate.parse("test/label0/recall/lang=* >= 0.3")
    assert answer(gate, figures, bounds).key == "test/label0/recall/lang=ko"
    assert answer(gate, figures, bounds).outcome == "held"
    few = figures | {"test/label0/positives/lang=ko": 29}
    assert answer(gate, few, bounds).outcome == "not shown"


@pytest.mark.parametrize(
    ("difference", "low", "high", "outcome"),
    [(0.0, -0.009, 0.02, "held"), (0.0, -0.011, 0.02, "not shown"), (-0.02, -0.04, 0.001, "broken")],
)
def test_not_worse_than_another_run(difference: float, low: float, high: float, outcome: str) -> None:
    gate = Gate.parse("test/macro/auprc >= old - 0.01")
    found = answer_paired(gate, lambda run, key: (difference, low, high, 500))
    assert (found.outcome, found.bound) == (outcome, low)
    other = Gate.parse("test/any/fpr <= old + 0.01")
    assert answer_paired(other, lambda run, key: (-difference, -high, -low, 500)).outcome == outcome


@pytest.mark.parametrize(
    ("run", "name"),
    [
        ("/old-1a2b", "old-1a2b"),
        ("/home/somebody/runs/old-1a2b/", "old-1a2b"),
        ("../runs/old/baselines/tfidf", "old/baselines/tfidf"),
    ],
)
def test_a_gate_is_told_without_where_its_baseline_lies(run: str, name: str) -> None:
    text = f"test/hate/recall/place=a/b >= {run} - 0.01"
    assert placeless(text) == f"test/hate/recall/place=a/b >= {name} - 0.01"
    found = answer_paired(Gate.parse(text), lambda run, key: (0.0, -0.005, 0.02, 500))
    assert found.gate == placeless(text) and run not in found.said
    assert answer_paired(Gate.parse(text), lambda run, key: (0.0, None, None, 9)).gate == placeless(text)


def test_other_gates_are_told_as_they_are() -> None:
    for text in ("test/hate/fpr/place=a/b <= 0.1", "/home/somebody <= 0"):
        assert placeless(text) == text
