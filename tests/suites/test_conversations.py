"""Conversations: by hand, against plain loops over them, and against eRisk's own script for F-latency."""

from __future__ import annotations

from statistics import median

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.evaluation.conftest import _build
from train.evaluation.intervals import clopper_pearson, group_counts
from train.example import TURN
from train.suites.conversations import PERCENT_SEEN, conversations, penalty, prefixes, turn_by_turn
from train.suites.rows import TestSet

UNKNOWN = float("nan")


def unfolded(told, groups=None):
    """Predictions of one label from (target, onset or None, a flag for each turn)."""
    rows = [(c, k, *one) for c, one in enumerate(told) for k in range(1, len(one[2]) + 1)]
    return _build(
        targets=[[target] for _, _, target, _, _ in rows],
        scores=[[0.9 if flags[k - 1] else 0.1] for _, k, _, _, flags in rows],
        group=[str(groups[c]) if groups else str(c) for c, *_ in rows],
        labels=("grooming",),
        slices={
            "conversation": [f"c{c}" for c, *_ in rows],
            "turn": [str(k) for _, k, *_ in rows],
            "turns": [str(len(flags)) for *_, flags in rows],
            "onset": [None if onset is None else str(onset) for *_, onset, _ in rows],
        },
    )


def flags(first, turns):
    """Flagged from turn `first` on; None: never."""
    return [first is not None and k >= first for k in range(1, turns + 1)]


def plainly(told):
    """recall by turn and by share, f_latency, delay: from the definitions, as eRisk's script has them."""
    first = [next((k for k, flag in enumerate(f, 1) if flag), None) for _, _, f in told]
    harm = [c for c, one in enumerate(told) if one[0] == 1]
    fair = [c for c, one in enumerate(told) if one[0] == 0]
    hits = [c for c in harm if first[c]]
    found = {}
    for k in range(1, 1 + max((len(told[c][2]) for c in harm), default=0)):
        found[f"recall/turns={k}"] = sum((first[c] or 99) <= k for c in harm) / len(harm)
    if harm:
        for p in PERCENT_SEEN:
            by = [(first[c] or 99) / len(told[c][2]) <= p / 100 for c in harm]
            found[f"recall/turns={p}%"] = sum(by) / len(harm)
    dated = [c for c in hits if told[c][1] is not None]
    found["delay"] = median(first[c] - told[c][1] for c in dated) if dated else None
    found["f_latency"] = None
    if harm and fair and not hits:
        found["f_latency"] = 0
    elif harm and fair:
        p = -np.log(1 / 3) / max(median(len(told[c][2]) for c in harm) - 1, 1e-9)
        precision = len(hits) / (len(hits) + sum(first[c] is not None for c in fair))
        recall = len(hits) / len(harm)
        late = median(-1 + 2 / (1 + np.exp(-p * (first[c] - 1))) for c in hits)
        found["f_latency"] = 2 * precision * recall / (precision + recall) * (1 - late)
    return found


@given(st.lists(st.text(alphabet="ab: \n", max_size=4), min_size=1, max_size=6))
def test_prefixes_end_in_the_whole(turns):
    text = TURN.join(turns)
    found = prefixes(text)
    assert found[-1] == text and len(found) == len(turns)
    for seen, prefix in enumerate(found, 1):
        assert prefix.split(TURN) == turns[:seen]


def test_turn_by_turn():
    def strings(*values):
        return np.array(values, dtype=object)

    test = TestSet(
        "suite.talks",
        ("grooming",),
        [TURN.join(["A: x", "B: y"]), "A: z"],
        strings("s:one", "s:two"),
        strings("p", "q"),
        strings("s", "s"),
        np.zeros(2, bool),
        {"onset": strings("2", None)},
        np.array([[1], [0]], np.float32),
    )
    found = turn_by_turn(test)
    assert found.name == "suite.talks.turns"
    assert list(found.texts) == ["A: x", f"A: x{TURN}B: y", "A: z"]
    assert list(found.ids) == ["s:one#1", "s:one#2", "s:two#1"] and list(found.group) == ["p", "p", "q"]
    assert {name: list(values) for name, values in found.slices.items()} == {
        "onset": ["2", "2", None],
        "conversation": ["s:one", "s:one", "s:two"],
        "turn": ["1", "2", "1"],
        "turns": ["2", "2", "1"],
    }
    rows = found.predictions(np.array([[0.1], [0.9], [0.1]]), np.array([[False], [True], [False]]))
    figures, _ = conversations(rows, "s")
    assert figures["s/grooming/recall/turns=1"] == 0 and figures["s/grooming/recall/turns=2"] == 1
    assert figures["s/grooming/found/onset=at"] == 1 and figures["s/grooming/delay"] == 0


def test_the_penalty_is_that_of_erisk():
    """Its script has p = .0078 written in: 0 at the first turn, .5 at turn 1 + ln 3 / .0078."""
    turn = np.array([1, 5, 50, 141.8, 500])
    assert penalty(turn, 1 + np.log(3) / 0.0078) == pytest.approx(2 / (1 + np.exp(-0.0078 * (turn - 1))) - 1)
    assert penalty(np.array([1, 9]), 9) == pytest.approx([0, 0.5])
    assert penalty(np.array([1, 2]), 1) == pytest.approx([0, 1])  # all of one turn


def test_f_latency_by_hand():
    """Lengths 5, 5, 9: the penalty is .5 at turn 5, so p = ln(3) / 4, and at turn 3 it is
    (sqrt 3 - 1) / (sqrt 3 + 1) = .268. Found at turns 3 and 5, one missed, one of two benign ones flagged:
    F1 = 2/3."""
    told = [
        (1, 3, flags(3, 5)),
        (1, 4, flags(5, 5)),
        (1, None, flags(None, 9)),
        (0, None, flags(2, 8)),
        (0, None, flags(None, 4)),
    ]
    figures, bounds = conversations(unfolded(told), "s")
    at_3 = (np.sqrt(3) - 1) / (np.sqrt(3) + 1)
    expected = {
        "speed": 1 - (at_3 + 0.5) / 2,
        "f_latency": 2 / 3 * (1 - (at_3 + 0.5) / 2),
        "false_alarms": 500,
        "delay": 0.5,  # 0 and 1 turns
        "found/onset=before": 0,
        "found/onset=at": 0.5,
        "found/onset=after": 0.5,
        "positives/onset=at": 2,
        "recall/turns=2": 0,
        "recall/turns=3": 1 / 3,
        "recall/turns=9": 2 / 3,
        "recall/turns=50%": 0,
        "recall/turns=75%": 1 / 3,
        "recall/turns=100%": 2 / 3,
        "positives/turns=75%": 3,
        "positives": 3,
        "negatives": 2,
    }
    for metric, value in expected.items():
        assert figures[f"s/grooming/{metric}"] == pytest.approx(value), metric
        assert figures[f"s/any/{metric}"] == pytest.approx(value), metric
    exact = [1000 * end for end in clopper_pearson(1, 2, 0.95)]
    assert bounds == {f"s/{label}/false_alarms": pytest.approx(exact) for label in ("grooming", "any")}


def test_whoever_flags_everything_at_once_is_fast_and_alarms():
    figures, _ = conversations(unfolded([(1, 3, flags(1, 6)), (0, None, flags(1, 6))] * 4), "s")
    assert figures["s/any/speed"] == 1 and figures["s/any/f_latency"] == pytest.approx(2 / 3)
    assert figures["s/any/false_alarms"] == 1000 and figures["s/any/delay"] == -2


def test_a_flag_that_is_taken_back_counts_from_where_it_was():
    figures, _ = conversations(unfolded([(1, 3, [False, True, False, False]), (0, None, [False])]), "s")
    assert figures["s/grooming/delay"] == -1 and figures["s/grooming/found/onset=before"] == 1


conversation = st.tuples(
    st.sampled_from([1, 0, UNKNOWN, 0.5]),
    st.sampled_from([None, 1, 3, 6]),
    st.lists(st.booleans(), min_size=1, max_size=8),
)


@given(st.lists(conversation, min_size=1, max_size=9))
def test_plain_loops_agree(told):
    figures, _ = conversations(unfolded(told), "s")
    if not any(target in (0, 1) for target, _, _ in told):
        assert not any(key.startswith("s/grooming/") for key in figures)
        return
    for metric, value in plainly(told).items():
        assert figures[f"s/grooming/{metric}"] == (value if value is None else pytest.approx(value)), metric


def test_intervals_resample_pairs():
    """Percentiles over conversations that stand as often as their pair was drawn, computed one by one."""
    random = np.random.default_rng(3)
    told, pairs = [], np.repeat(np.arange(35), 2)
    for target in [1, 0] * 35:
        first = int(random.integers(1, 14)) if random.random() < (0.9 if target else 0.3) else None
        told.append((target, int(random.integers(2, 8)) if target else None, flags(first, 9)))
    _, bounds = conversations(unfolded(told, [f"{pair:02}" for pair in pairs]), "s")
    drawn = [
        plainly([told[row] for row in np.repeat(np.arange(70), counts[pairs])])
        for some in group_counts(pairs, 1000, 0)
        for counts in some
    ]
    for metric in ("recall/turns=5", "recall/turns=75%", "f_latency", "delay"):
        expected = np.quantile([one[metric] for one in drawn], [0.025, 0.975])
        assert bounds[f"s/grooming/{metric}"] == pytest.approx(tuple(expected)), metric


def test_edges():
    only_harm, bounds = conversations(unfolded([(1, None, [True])]), "s")  # of one turn, no onset, no benign
    assert only_harm["s/grooming/f_latency"] is None and only_harm["s/grooming/speed"] == 1
    assert only_harm["s/grooming/false_alarms"] is only_harm["s/grooming/delay"] is None
    assert only_harm["s/grooming/found/onset=at"] is None and bounds == {}
    only_fair, _ = conversations(unfolded([(0, None, flags(None, 3))]), "s")
    assert only_fair["s/any/recall/turns=100%"] is only_fair["s/any/f_latency"] is None
    assert only_fair["s/any/false_alarms"] == 0
    unknown, bounds = conversations(unfolded([(UNKNOWN, 2, [True, True])]), "s")
    assert unknown["s/any/positives"] == unknown["s/any/negatives"] == 0 and bounds == {}
    assert {value for key, value in unknown.items() if "positives" not in key and "negatives" not in key} == {
        None
    }


def test_long_conversations_are_told_to_turn_20_and_by_share():
    figures, _ = conversations(unfolded([(1, None, flags(30, 60)), (0, None, [False])]), "s")
    assert "s/any/recall/turns=20" in figures and "s/any/recall/turns=21" not in figures
    assert figures["s/any/recall/turns=50%"] == 1 and figures["s/any/recall/turns=25%"] == 0


def test_a_suite_without_onsets():
    rows = unfolded([(1, 2, [True]), (0, None, [False])])
    del rows.slices["onset"]
    figures, _ = conversations(rows, "s")
    assert figures["s/any/delay"] is None and figures["s/any/positives/onset=at"] == 0
