"""The policy refuses what contradicts itself, and its problems name lines of its own file."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import POLICY, REPOSITORY
from train.document import build, read
from train.errors import Problem
from train.policy import Constraint, Policy


def problems_of(tmp_path: Path, text: str) -> list[Problem]:
    (tmp_path / "policy.yaml").write_text(text)
    problems: list[Problem] = []
    if tree := read(tmp_path / "policy.yaml", problems):
        build(Policy, tree, problems)
    return problems


def test_a_sound_policy_has_no_problems(tmp_path: Path) -> None:
    assert problems_of(tmp_path, POLICY) == []


@pytest.mark.parametrize(
    ("old", "new", "line", "what"),
    [
        ("max_fpr: 0.2}}\n  harass", "max_fpr: 2}}\n  harass", 13, "labels.hate.constraint.max_fpr: 2"),
        (
            "{max_fpr: 0.2}}\n  harass",
            "{}}\n  harass",
            13,
            "say exactly one of max_fpr, min_recall and min_precision",
        ),
        ("{max_fpr: 0.2}}\n  harass", "{max_fpr: 0.2, min_recall: 0.5}}\n  harass", 13, "say exactly one of"),
        ("{max_fpr: 0.2}}\n  harass", "{min_precision: 0.5}}\n  harass", 13, "prevalence go together"),
        ("{max_fpr: 0.2}}\n  harass", "{max_fpr: 0.2, prevalence: 0.1}}\n  harass", 13, "go together"),
        (
            "{max_fpr: 0.2}}\n  harass",
            "{min_precision: 0.1, prevalence: 0.1}}\n  harass",
            13,
            "must be above prevalence",
        ),
        ("excludes: [news]", "excludes: []", 13, "labels.hate.excludes: a list of 0"),
        (
            "  0: {name: allow, covers: everything else}\n",
            "",
            2,
            "tiers must be 0, 1, 2 and 3, not [1, 2, 3]",
        ),
        ("version: 1.0.0", "version: first", 4, "version: 'first'"),
        (
            "tier: 2, constraint: {max_fpr: 0.2}}\n  har",
            "tier: 0, constraint: {max_fpr: 0.2}}\n  har",
            13,
            "tier: 0",
        ),
        ("excludes: [news]", "excludes: [news], codes: {osa: [x]}", 2, "label hate has codes of ['osa']"),
        ("taxonomies: {}", "taxonomy: {}", 11, "taxonomy: unknown key"),
    ],
)
def test_a_contradiction_names_its_line(tmp_path: Path, old: str, new: str, line: int, what: str) -> None:
    assert old in POLICY
    found = problems_of(tmp_path, POLICY.replace(old, new))
    assert any(p.where.endswith(f"policy.yaml:{line}") and what in p.what for p in found), found


def test_a_constraint_reads_aloud() -> None:
    assert str(Constraint(max_fpr=0.01)) == "fpr <= 0.01"
    assert str(Constraint(min_recall=0.9)) == "recall >= 0.9"
    precision = Constraint(min_precision=0.5, prevalence=0.01)
    assert str(precision) == "precision >= 0.5 at prevalence 0.01"


def test_the_shipped_policy_is_sound(tmp_path: Path) -> None:
    assert problems_of(tmp_path, (REPOSITORY / "recipes/policies/teen-safety.yaml").read_text()) == []
