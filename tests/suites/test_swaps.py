"""Spread over swapped terms by hand; the shipped suite through the suite's own file."""

from __future__ import annotations

import numpy as np
import pytest

from tests.conftest import REPOSITORY
from train.data.reading import read
from train.recipe import load_suite
from train.suites.subgroups import worst
from train.suites.swaps import swaps


def test_figures_of_two_frames_by_hand(build):
    rows = build(
        [[0], [0], [0], [0], [1], [1], [0], [0], [1]],
        [[0.1], [0.5], [0.2], [0.2], [0.9], [0.6], [0.9], [0.1], [0.8]],
        group=["f", "f", "g", "g", "h", "h", "alone", "torn", "torn"],
        slices={"term": ["a", "b", "a", "b", "a", "b", "a", "a", "b"]},
    )
    figures, bounds = swaps(rows, "suite.identity")
    key = "suite.identity/label0"
    assert figures[f"{key}/spread/frame=allowed"] == pytest.approx((0.4 + 0) / 2)
    assert figures[f"{key}/deviation/frame=allowed"] == pytest.approx(0.2 / 2)
    assert figures[f"{key}/flag_changes/frame=allowed"] == 0.5  # flagged at .5
    assert figures[f"{key}/spread/frame=harmful"] == pytest.approx(0.3)
    assert figures[f"{key}/excess/term=b"] is None  # two frames are no evidence of others
    assert figures[f"{key}/n/frame=allowed"] == figures[f"{key}/negatives/term=a"] == 2
    assert figures[f"{key}/positives/frame=harmful"] == 1
    assert worst(figures, f"{key}/excess", "term", most=True) is None
    assert not bounds


def test_a_term_that_raises_every_score_is_beyond_doubt(build):
    dice = np.random.default_rng(0)
    frames, terms = 40, ["a", "b", "c", "d"]
    score = dice.random((frames, 1)) * 0.5 + np.array([0, 0, 0.2, 0]) + dice.normal(0, 0.01, (frames, 4))
    rows = build(
        np.zeros((frames * 4, 1)),
        np.clip(score, 0, 1).reshape(-1, 1),
        group=[f"f{i // 4}" for i in range(frames * 4)],
        slices={"term": terms * frames},
    )
    figures, bounds = swaps(rows, "s")
    assert worst(figures, "s/label0/excess", "term", most=True)[0] == "c"
    above = (rows.scores.reshape(frames, 4) - rows.scores.reshape(frames, 4).mean(1, keepdims=True)).mean(0)
    assert figures["s/label0/excess/term=c"] == pytest.approx(above[2])
    assert bounds["s/label0/excess/term=c"][0] > 0.1 > 0 > bounds["s/label0/excess/term=a"][1]
    low, high = bounds["s/label0/spread/frame=allowed"]
    assert 0.15 < low < figures["s/label0/spread/frame=allowed"] < high < 0.3


def test_the_shipped_suite_is_what_it_says_of_itself():
    suite = load_suite(REPOSITORY / "recipes" / "suites" / "identity.yaml")
    frames, allowed = set(), set()
    for name, source in suite.sources.items():
        for example in read(name, source):
            frames.add(example.group)
            if example.labels["hate"] == 0:
                allowed.add(example.group)
            assert (example.labels["harassment"] == 0) == (example.labels["hate"] == 0)
    assert suite.kind == "swaps" and {"term", "kind", "lang"} <= suite.sources["en"].slices.keys()
    assert (len(frames), len(allowed)) == (93, 68)
    assert all(str(count) in suite.about for count in (93, 68, 25))


def test_without_a_known_cell_nothing_is_said(build):
    rows = build([[np.nan], [np.nan]], [[0.1], [0.2]], group=["f", "f"], slices={"term": ["a", "b"]})
    assert swaps(rows, "s") == ({}, {})


def test_a_row_without_a_term_counts_in_its_frame_alone(build):
    rows = build([[0], [0], [0]], [[0.1], [0.5], [0.2]], group=["f"] * 3, slices={"term": ["a", "b", None]})
    figures, _ = swaps(rows, "s")
    assert figures["s/label0/spread/frame=allowed"] == pytest.approx(0.4)
    assert {key.partition("term=")[2] for key in figures if "term=" in key} == {"a", "b"}
