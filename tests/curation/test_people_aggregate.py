"""Votes to cells: the mean, and Dawid-Skene where it has something to go by."""

from __future__ import annotations

import numpy as np
import pytest

from tests.curation.people import simulated
from train.curation.people.aggregate import People, cells
from train.curation.people.annotators import confusions, pseudonym
from train.curation.people.votes import Vote, table

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
TRUTH = np.random.default_rng(3).random(600) < 0.4
SKILL = [(0.95, 0.95), (0.9, 0.95), (0.9, 0.9), (0.6, 0.55), (0.55, 0.6), (0.2, 0.9)]
"""Three who read, two who guess, one who overlooks most: chances to be right on a yes and on a no."""


def brier(said: dict[str, float]) -> float:
    return float(np.mean([(said[f"s:{n}"] - yes) ** 2 for n, yes in enumerate(TRUTH)]))


def test_dawid_skene_beats_the_mean_where_skill_differs() -> None:
    votes = table(simulated(TRUTH, SKILL, each=4))
    mean, weighed = (cells(votes, People(aggregate=rule))["hate"] for rule in ("mean", "dawid-skene"))  # type: ignore[arg-type]
    assert len(weighed.weighed) == 600 and not mean.weighed
    assert brier(weighed.said) < 0.6 * brier(mean.said), (brier(weighed.said), brier(mean.said))


def test_the_order_of_votes_decides_nothing() -> None:
    votes = simulated(TRUTH[:200], SKILL, each=3)
    backwards = table([*reversed(votes)])
    for rule in ("mean", "dawid-skene"):
        assert cells(table(votes), People(aggregate=rule)) == cells(backwards, People(aggregate=rule))


def test_items_with_votes_of_people_nobody_knows_keep_the_mean() -> None:
    votes = simulated(TRUTH, SKILL, each=3)
    votes += [
        Vote("s:0", "hate", None, 1.0),
        Vote("s:1", "hate", "rare", 0.0),
        Vote("s:2", "hate", "p", 0.5),
    ]
    weighed, mean = (cells(table(votes), People(aggregate=rule))["hate"] for rule in ("dawid-skene", "mean"))  # type: ignore[arg-type]
    assert weighed.weighed == mean.said.keys() - {"s:0", "s:1"}, "an unsure vote takes nothing away"
    assert [weighed.said[item] for item in ("s:0", "s:1")] == [mean.said[item] for item in ("s:0", "s:1")]


@pytest.mark.parametrize(
    "votes",
    [
        simulated(TRUTH, SKILL[:2], each=2),
        [Vote(f"s:{n}", "hate", f"p{p}", 0.0) for n in range(50) for p in range(4)],
        [Vote(f"s:{n}", "hate", None, 1.0) for n in range(50)],
    ],
    ids=["two people", "all alike", "nobody known"],
)
def test_without_something_to_go_by_it_is_the_mean(votes: list[Vote]) -> None:
    found = cells(table(votes), People(aggregate="dawid-skene"))["hate"]
    assert not found.weighed
    assert found.said == cells(table(votes), People())["hate"].said


def test_rounds_skipped_and_fewer_than_asked_for() -> None:
    votes = [Vote("s:0", "hate", f"p{n}", value) for n, value in enumerate((1.0, 0.0, 0.5, None))]
    votes += [Vote("s:0", "hate", "judge", 1.0, 1), Vote("s:1", "hate", "p1", None)]
    assert cells(table(votes), People())["hate"].said == {"s:0": 1.0}
    assert cells(table(votes), People(adjudicated="count"))["hate"].said == {"s:0": 0.625}
    assert cells(table(votes), People(adjudicated="count", least=5)) == {"hate": ({}, frozenset())}
    assert cells(table([]), People()) == {}


def test_annotators_stand_under_names_that_tell_nobody() -> None:
    who = ["ann@example.org", None, "ann@example.org", "bob", "ann@example.org", "bob"]
    values = np.array([1.0, 0.0, 1.0, 0.0, 0.5, np.nan])
    found = confusions(who, values, np.array([1.0, 1.0, 0.2, 0.2, 0.9, 0.9]), b"key")
    by = {pseudonym(name, b"key"): name for name in ("ann@example.org", "bob")}
    counted = {by[one.pop("annotator")]: [*one.values()] for one in found}
    assert counted == {"ann@example.org": [3, 1, 0, 1, 0], "bob": [1, 0, 0, 0, 1]}
    assert pseudonym("bob", b"other") not in by and len(pseudonym("bob", b"key")) == 12
