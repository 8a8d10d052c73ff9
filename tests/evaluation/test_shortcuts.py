"""A score that has learned the source sounds the alarm; one that ranks alike everywhere does not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from train.evaluation.shortcuts import alarms, source_areas, telling_words


def scored(build, shift):
    dice = np.random.default_rng(0)
    source = dice.choice(["a", "b", "c"], 3000)
    target = (dice.random(3000) < 0.4).astype(float)
    z = 2 * target + dice.normal(size=3000) + shift * (source == "b")
    return build(target[:, None], expit(z)[:, None], source=source)


def test_a_planted_shortcut_is_found_on_both_sides(build):
    figures, bounds = source_areas(scored(build, 1.0), "test")
    found = {(alarm.source, alarm.among): alarm for alarm in alarms(figures, bounds, "test")}
    assert {("b", "negatives"), ("b", "positives")} <= found.keys()
    assert found["b", "negatives"].auc == figures["test/label0/source_auc/source=b"] > 0.7
    assert found["b", "negatives"].low > 0.6
    assert {alarm.source for alarm in found.values() if alarm.auc > 0.5} == {"b"}
    assert figures["test/label0/n/source=a"] > 900


def test_no_shift_and_a_small_shift_are_no_alarm(build):
    for shift in (0, 0.2):
        figures, bounds = source_areas(scored(build, shift), "test")
        assert len(bounds) == 6 and not list(alarms(figures, bounds, "test"))


def test_one_source_has_none_to_be_told_from(build):
    rows = scored(build, 0)
    assert source_areas(rows.select(rows.source == "a"), "test") == ({}, {})


def test_words_that_tell_a_source_and_words_that_do_not():
    dice = np.random.default_rng(0)
    source = np.array(["a", "b", "c"] * 200, dtype=object)
    plain = ["the", "a", "so", "very", "today", "now", "then", "again"]
    texts = [" ".join([*dice.choice(plain, 8), "rt" if of == "c" else "so"]) for of in source]
    group = np.array([f"g{i}" for i in range(600)], dtype=object)
    figures, bounds = telling_words(texts, source, group, "test")
    assert figures["test/any/text_source_auc/source=c"] == pytest.approx(1)
    assert bounds["test/any/text_source_auc/source=a"][0] < 0.76 < 1  # a and b are told from c alone
    assert figures["test/any/positives/source=c"] == 200
    assert telling_words(texts[:2], source[:2], group[:2], "test") == ({}, {})


def test_texts_of_one_group_are_never_seen_and_judged():
    """Each group has a word of its own, and nothing else tells the source: only a leak could."""
    source = np.array(["a", "b"] * 150, dtype=object)
    group = np.array([f"{s}{i // 10}" for i, s in enumerate(source)], dtype=object)
    figures, _ = telling_words([f"said {g}x in here" for g in group], source, group, "test")
    assert abs(figures["test/any/text_source_auc/source=a"] - 0.5) < 0.2
