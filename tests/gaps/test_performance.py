from __future__ import annotations

import numpy as np
import pytest

from tests.gaps.conftest import policy_of, predictions_of
from train.evaluation.predictions import Predictions
from train.gaps.finding import Found, search
from train.gaps.gap import Trial
from train.gaps.ground import Ground
from train.gaps.held import Held
from train.gaps.performance import cells, needed
from train.gaps.share import Share

KNOWN = Ground({("x", None): (500, 500)}, frozenset())


def measured(predictions: Predictions, **constraint: float) -> dict[tuple[str | None, str], Trial]:
    policy = policy_of(predictions.labels, **constraint)
    fair = np.ones(len(predictions), bool)
    found = [cell.trial for cell in cells(predictions, fair, "held-out", policy, {})]
    return {(test.slice, test.metric): test for test in found}


def searched(predictions: Predictions, prevalence: dict[str, float] | None = None, tier: int = 2) -> Found:
    policy = policy_of(predictions.labels, tier)
    held = [Held("held-out", predictions)]
    return search(held, KNOWN, policy, None, None, {}, {}, prevalence or {})


def halves(wrong: int, **fields: object) -> Predictions:
    """400 texts: en and de by turns, half of each positive; of de the first `wrong` positives are missed."""
    number = np.arange(400)
    positive, german = number % 4 < 2, number % 2 == 1
    flag = positive.copy()
    flag[np.flatnonzero(positive & german)[:wrong]] = False
    lang = np.where(german, "de", "en")
    return predictions_of(positive, np.where(flag, 2, -2), slices={"lang": lang}, **fields)


def test_a_slice_is_held_against_the_rest() -> None:
    found = measured(halves(60))
    assert found["lang=de", "recall"].value == pytest.approx(0.4)
    assert found["lang=de", "recall"].target == pytest.approx(0.8)
    assert found["lang=de", "recall"].p < 1e-6
    assert found["lang=en", "recall"].p > 0.99
    assert (found[None, "recall"].target, found[None, "fpr"].target) == (0.5, 0.05)


def test_a_policy_that_asks_for_recall_gets_its_floor_everywhere() -> None:
    found = measured(halves(60), min_recall=0.9)
    assert {test.target for (_, metric), test in found.items() if metric == "recall"} == {0.9}
    assert {test.target for (_, metric), test in found.items() if metric == "fpr"} == {0.1}


def test_slices_of_the_same_texts_are_one_place() -> None:
    predictions = halves(0, source=["s", "t"] * 200)
    found = measured(predictions)
    assert {place for place, _ in found} == {None, "lang=en", "lang=de"}
    assert found["lang=de", "fpr"].also == ("source=t",)


def test_harm_is_tier_by_stake_by_shortfall() -> None:
    (gap,) = searched(halves(60), tier=3).gaps
    high = Share(0.4, 100, 100, 100).high()
    assert gap["shortfall"] == pytest.approx(0.8 - high)
    assert gap["harm"] == pytest.approx(3 * 0.5 * (0.8 - high))
    assert (gap["cause"], gap["action"]["where"]["lang"]) == ("hard", "de")
    (gap,) = searched(halves(60), {"x": 0.01}).gaps
    assert (gap["prevalence"], gap["harm"]) == (0.01, pytest.approx(2 * 0.01 * (0.8 - high)))


def test_examples_are_the_misses_the_clearest_first() -> None:
    predictions = halves(60)
    predictions.scores[predictions.flags[:, 0] == 0] *= 0.5
    last = np.flatnonzero((predictions.targets[:, 0] == 1) & ~predictions.flags[:, 0])[-1]
    predictions.scores[last] = 0.001
    (gap,) = searched(predictions).gaps
    assert len(gap["examples"]) == 20 and gap["examples"][0] == str(last)


def test_what_is_wrong_everywhere_is_one_gap() -> None:
    """All negatives flagged, in every language: the whole is a gap, and no language is one beside it."""
    positive = np.arange(400) % 4 < 2
    predictions = predictions_of(positive, np.full(400, 2.0), slices={"lang": ["en", "de"] * 200})
    found = searched(predictions)
    assert [(gap["slice"], gap["metric"]) for gap in found.gaps] == [(None, "fpr")]
    assert not [place for place in found.unmeasured if place["metric"] == "fpr"]


def test_too_few_texts_are_unmeasured_and_never_passed() -> None:
    number = np.arange(400)
    lang = np.where(number < 390, np.where(number % 2, "en", "de"), "pl")  # all right: 5 positives of pl
    predictions = predictions_of(number % 4 < 2, np.where(number % 4 < 2, 2, -2), slices={"lang": lang})
    found = searched(predictions)
    assert found.gaps == []
    few = {place["metric"]: place for place in found.unmeasured if place["slice"] == "lang=pl"}
    assert (few["recall"]["n"], few["fpr"]["n"]) == (4, 6)
    assert min(place["needed"] for place in few.values()) >= 30


def test_texts_in_fewer_than_twenty_groups_are_unmeasured() -> None:
    found = searched(halves(60, group=np.arange(400) // 25))
    assert found.gaps == []
    assert len(found.unmeasured) == 6


def test_a_label_without_a_real_text_is_unmeasured() -> None:
    nothing = predictions_of(np.full((3, 1), np.nan), np.zeros(3), slices={"lang": ["en"] * 3})
    found = searched(nothing)
    assert [(place["slice"], place["metric"], place["n"]) for place in found.unmeasured] == [
        (None, "recall", 0),
        (None, "fpr", 0),
    ]


def test_needed_texts_prove_a_limit_kept_with_room() -> None:
    n = needed("fpr", 0.01, None, None)
    assert Share(0.005, n, n, n).high() <= 0.01 < Share(0.005, n - 1, n - 1, n - 1).high()
    assert needed("fpr", 0.01, None, Share(0.1, 60, 20, 20)) == 3 * n  # three texts of a group tell like one
    assert needed("fpr", 0.01, None, Share(0.01, 10 * n, 10 * n, 10 * n)) > 10 * n  # right at the limit


def drawn(seed: int, group_size: int) -> Predictions:
    """Eight labels that are right at their targets in 36 slice values: nothing is wrong anywhere."""
    random, n, width = np.random.default_rng(seed), 2000, 8
    group = np.arange(n) // group_size
    common = random.random((n, width))[group]  # half of a group's decisions are made together
    chance = np.where(random.random((n, width)) < 0.5, common, random.random((n, width)))
    positive = random.random((n, width)) < 0.3
    flag = chance < np.where(positive, 0.6, 0.05)
    slices = {name: random.integers(count, size=n) for name, count in (("lang", 8), ("kind", 22))}
    source = random.integers(6, size=n)
    logit = random.normal(size=(n, width)) + 2 * flag
    labels = [f"l{j}" for j in range(width)]
    return predictions_of(positive, logit, flag, labels, slices=slices, source=source, group=group)


@pytest.mark.parametrize("group_size", [1, 4])
def test_chance_makes_no_gaps(group_size: int) -> None:
    """Of 20 runs without a weakness, each held against 600 targets, one in twenty may have a gap: that is the
    rate promised. Over seeds 0 to 199 of both sizes, 7 of 400 had one."""
    assert sum(bool(searched(drawn(seed, group_size)).gaps) for seed in range(20)) <= 1
