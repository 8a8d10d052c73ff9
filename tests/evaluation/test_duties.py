"""Duties and tiers: by hand, against plain loops, and which of a policy's duties nothing is known of."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import REPOSITORY
from tests.evaluation.conftest import _build
from train.document import build, read
from train.evaluation.duties import by_duty, duties
from train.policy import Policy

UNKNOWN = float("nan")
CODES = {
    "a": (2, ["illegal:x", "priority:y"]),
    "b": (3, ["illegal:x"]),
    "c": (1, ["priority:z", "own:kind"]),
    "d": (2, []),
}
KINDS = {
    "duty:illegal": "ab",
    "duty:priority": "ac",
    "duty:own": "c",
    "tier:3": "b",
    "tier:2": "ad",
    "tier:1": "c",
}
POLICY = Policy.model_validate(
    {
        "schema": 1,
        "name": "toy",
        "version": "1.0.0",
        "description": "four labels",
        "tiers": {tier: {"name": str(tier), "covers": "some"} for tier in range(4)},
        "taxonomies": {"uk_osa": "the Act"},
        "labels": {
            name: {
                "title": name,
                "definition": name,
                "excludes": ["news"],
                "tier": tier,
                "constraint": {"max_fpr": 0.1},
                "codes": {"uk_osa": codes},
            }
            for name, (tier, codes) in CODES.items()
        },
    }
)


def test_by_hand():
    rows = _build(
        targets=[[1, 0], [0, 0], [0, UNKNOWN], [UNKNOWN, UNKNOWN], [1, UNKNOWN]],
        scores=[[0.1, 0.9], [0.9, 0.1], [0.1, 0.9], [0.9, 0.9], [0.1, 0.1]],
        labels=("a", "b"),
    )
    figures, bounds = by_duty(rows, POLICY, "t")
    # illegal: the first is found under b, though a holds; the third's flag is of an unknown cell
    assert figures == {
        "t/duty:illegal/n": 4,
        "t/duty:illegal/positives": 2,
        "t/duty:illegal/negatives": 2,
        "t/duty:illegal/recall": 0.5,
        "t/duty:illegal/fpr": 0.5,
        "t/duty:priority/n": 4,
        "t/duty:priority/positives": 2,
        "t/duty:priority/negatives": 2,
        "t/duty:priority/recall": 0,
        "t/duty:priority/fpr": 0.5,
        "t/tier:3/n": 2,
        "t/tier:3/positives": 0,
        "t/tier:3/negatives": 2,
        "t/tier:3/recall": None,
        "t/tier:3/fpr": 0.5,
        "t/tier:2/n": 4,
        "t/tier:2/positives": 2,
        "t/tier:2/negatives": 2,
        "t/tier:2/recall": 0,
        "t/tier:2/fpr": 0.5,
    }
    assert bounds == {}


cell = st.tuples(st.sampled_from([0.0, 1.0, 0.5, UNKNOWN]), st.booleans())


@given(st.lists(st.tuples(cell, cell, cell, cell), min_size=1, max_size=12), st.permutations("abcd"))
def test_plain_loops_agree(drawn, labels):
    rows = _build(
        [[target for target, _ in row] for row in drawn],
        [[0.9 if flag else 0.1 for _, flag in row] for row in drawn],
        labels=tuple(labels),
    )
    figures, _ = by_duty(rows, POLICY, "t")
    for part, of in KINDS.items():
        hits, misses, alarms, passes = 0, 0, 0, 0
        for row in drawn:
            cells = [cell for label, cell in zip(labels, row, strict=True) if label in of]
            known = [(target, flag) for target, flag in cells if target == target]
            if any(target == 1 for target, _ in known):
                found = any(flag for _, flag in cells)
                hits, misses = hits + found, misses + (not found)
            elif known and all(target == 0 for target, _ in known):
                wrong = any(flag for _, flag in known)
                alarms, passes = alarms + wrong, passes + (not wrong)
        if not hits + misses + alarms + passes:
            assert not any(key.startswith(f"t/{part}/") for key in figures)
            continue
        assert figures[f"t/{part}/positives"] == hits + misses
        assert figures[f"t/{part}/negatives"] == alarms + passes
        assert figures[f"t/{part}/recall"] == (hits / (hits + misses) if hits + misses else None)
        assert figures[f"t/{part}/fpr"] == (alarms / (alarms + passes) if alarms + passes else None)


def test_intervals_are_of_groups():
    rows = _build(
        targets=[[1], [1], [0], [0]] * 30,
        scores=[[0.9], [0.1], [0.1], [0.1]] * 30,
        group=[str(i // 8) for i in range(120)],
        labels=("b",),
    )
    assert by_duty(rows, POLICY, "t")[1] == {}  # 15 groups
    alone = _build(rows.targets, rows.scores, labels=("b",))
    _, bounds = by_duty(alone, POLICY, "t")
    low, high = bounds["t/duty:illegal/recall"]
    assert low < 0.5 < high and bounds["t/tier:3/recall"] == (low, high)
    assert bounds["t/duty:illegal/fpr"] == pytest.approx((0, 0.0596), abs=1e-4)  # none of 60: exact


def test_what_is_not_covered_is_named():
    targets = [[1, UNKNOWN]] * 29 + [[0, UNKNOWN]] * 5
    rows = _build(targets, np.full((34, 2), 0.1), labels=("a", "c"))
    found = {duty.code: duty for duty in duties(rows, POLICY)}
    assert list(found) == ["illegal:x", "priority:y", "priority:z", "own:kind"]
    assert found["illegal:x"].labels == ("a", "b") and found["illegal:x"].trained == ("a",)
    assert (found["illegal:x"].positives, found["illegal:x"].negatives) == (29, 5)
    assert [duty.outcome for duty in found.values()] == [
        "insufficient",
        "insufficient",
        "not measured",
        "not measured",
    ]
    more = _build([*targets, [1, UNKNOWN]], np.full((35, 2), 0.1), labels=("a", "c"))
    assert [duty.outcome for duty in duties(more, POLICY)][:2] == ["in part", "measured"]
    other = _build([[0]], [[0.1]], labels=("d",))
    assert {duty.outcome for duty in duties(other, POLICY)} == {"not trained"}
    assert not any("duty" in key for key in by_duty(other, POLICY, "t")[0])


def test_the_project_policy_speaks_of_every_kind():
    path = REPOSITORY / "recipes/policies/teen-safety.yaml"
    policy = build(Policy, read(path, []), [])
    found = duties(_build([[1]], [[0.9]], labels=("grooming",)), policy)
    assert found[0].code == "illegal:csea" and len(found) == 17
    assert found[0].labels == ("minor_sexual_exploitation", "grooming") and found[0].trained == ("grooming",)
    assert {duty.code.partition(":")[0] for duty in found} == {
        "illegal",
        "primary-priority",
        "priority",
        "non-designated",
    }
