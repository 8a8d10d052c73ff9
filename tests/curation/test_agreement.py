"""Agreement, held against published examples, against nltk, and against the definitions written out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nltk.metrics.agreement import AnnotationTask
from nltk.metrics.distance import binary_distance, interval_distance
from sklearn.metrics import cohen_kappa_score

from tests.curation.people import convabuse
from train.curation.people.agreement import Level, alpha, cohen, fleiss
from train.curation.people.votes import of_source

N = float("nan")
KRIPPENDORFF_2011 = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, N, N, N],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, N, 3],
        [N, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, N],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, N],
    ]
)
"""Four observers, twelve units: section C of the paper."""
FLEISS_1971 = [
    *([0, 0, 0, 6, 0], [0, 3, 0, 0, 3], [0, 1, 4, 0, 1], [0, 0, 0, 0, 6], [0, 3, 0, 3, 0]),
    *([2, 0, 4, 0, 0], [0, 0, 4, 0, 2], [2, 0, 3, 1, 0], [2, 0, 0, 4, 0], [0, 0, 0, 0, 6]),
    *([1, 0, 0, 5, 0], [1, 1, 0, 4, 0], [0, 3, 3, 0, 0], [1, 0, 0, 5, 0], [0, 2, 0, 3, 1]),
    *([0, 0, 5, 0, 1], [3, 0, 0, 1, 2], [5, 1, 0, 0, 0], [0, 2, 0, 4, 0], [1, 0, 2, 0, 3]),
    *([0, 0, 0, 0, 6], [0, 1, 0, 5, 0], [0, 2, 0, 1, 3], [2, 0, 0, 4, 0], [1, 0, 0, 4, 1]),
    *([0, 5, 0, 1, 0], [4, 0, 0, 0, 2], [0, 2, 0, 4, 0], [1, 0, 5, 0, 0], [0, 0, 0, 0, 6]),
]
"""Thirty patients, six psychiatrists each, five diagnoses: table 1 of the paper; kappa .430."""


def written_out(items: list[str], values: list[float], level: Level) -> float | None:
    """Krippendorff (2011), section C: o_ck sums, over units, ordered pairs of values / (m - 1)."""
    units: dict[str, list[float]] = {}
    for item, value in zip(items, values, strict=True):
        if value == value:
            units.setdefault(item, []).append(value)
    o: Counter[tuple[float, float]] = Counter()
    for said in units.values():
        for pair in permutations(range(len(said)), 2):
            o[said[pair[0]], said[pair[1]]] += 1 / (len(said) - 1)  # type: ignore[assignment]
    n_c: Counter[float] = Counter()
    for (c, _), weight in o.items():
        n_c[c] += weight
    n = sum(n_c.values())
    scale = sorted(n_c)

    def apart(c: float, k: float) -> float:
        if level == "nominal":
            return float(c != k)
        if level == "interval":
            return (c - k) ** 2
        low, high = sorted((c, k))
        return float((sum(n_c[g] for g in scale if low <= g <= high) - (n_c[low] + n_c[high]) / 2) ** 2)

    expected = sum(n_c[c] * n_c[k] * apart(c, k) for c in scale for k in scale)
    if not expected:
        return None
    return float(1 - (n - 1) * sum(w * apart(c, k) for (c, k), w in o.items()) / expected)


def by_nltk(items: list[str], values: list[float], distance: Callable[..., float]) -> float:
    """People who are not known: a vote's place among those of its item stands for its coder."""
    seen: Counter[str] = Counter()
    data = []
    for item, value in zip(items, values, strict=True):
        data.append((str(seen[item]), item, value))
        seen[item] += 1
    return float(AnnotationTask(data=data, distance=distance).alpha())


@pytest.mark.parametrize(
    ("level", "published"), [("nominal", 0.743), ("ordinal", 0.815), ("interval", 0.849)]
)
def test_the_published_example(level: Level, published: float) -> None:
    items = [f"u{unit}" for _ in range(4) for unit in range(12)]
    found = alpha(items, KRIPPENDORFF_2011.ravel(), level=level)
    assert found.value == pytest.approx(published, abs=0.0005)
    assert (found.items, found.votes) == (11, 40)
    assert not found.sufficient and found.low is None


@given(
    st.lists(st.tuples(st.integers(0, 6), st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0, N])), max_size=40),
    st.sampled_from(["nominal", "ordinal", "interval"]),
)
def test_alpha_is_its_definition(votes: list[tuple[int, float]], level: Level) -> None:
    items, values = [f"u{item}" for item, _ in votes], [value for _, value in votes]
    found, expected = (
        alpha(items, np.array(values, dtype=float), level=level).value,
        written_out(items, values, level),
    )
    assert found == (None if expected is None else pytest.approx(expected, abs=1e-9))


def test_one_value_alone_is_no_agreement() -> None:
    """Everybody says no: it may be agreement, or a sheet nobody read. Neither alpha nor kappa can tell."""
    items, values = [f"u{n // 3}" for n in range(300)], np.zeros(300)
    found = alpha(items, values)
    assert (found.value, found.low, found.items, found.sufficient) == (None, None, 100, False)
    of_all = fleiss(items, values)
    assert of_all is not None and of_all.kappa is None
    who = np.array([f"p{n % 3}" for n in range(300)])
    assert {kappa for kappa, _ in cohen(items, who, values).values()} == {None}


def test_convabuse_by_three_ways(real_data: Path) -> None:
    """The raw votes of the real file: ours, the definition written out, and nltk's."""
    votes = of_source("convabuse", convabuse(real_data)).to_pylist()
    figures = {}
    for label, level, distance in (
        ("binary", "nominal", binary_distance),
        ("scale", "interval", interval_distance),
        ("scale", "ordinal", None),
    ):
        its = [vote for vote in votes if vote["label"] == label]
        items, values = [vote["item"] for vote in its], [vote["value"] for vote in its]
        found = alpha(items, np.array(values), level=level)  # type: ignore[arg-type]
        assert found.value == pytest.approx(written_out(items, values, level), abs=1e-9)  # type: ignore[arg-type]
        if distance is not None:
            assert found.value == pytest.approx(by_nltk(items, values, distance), abs=1e-9)
        assert found.sufficient and found.low is not None and found.high is not None
        assert found.low < found.value < found.high  # type: ignore[operator]
        figures[label, level] = (round(found.value or 0, 4), found.items, found.votes)
    assert figures == {
        ("binary", "nominal"): (0.6847, 3869, 11_900),
        ("scale", "interval"): (0.7591, 3869, 11_900),
        ("scale", "ordinal"): (0.6918, 3869, 11_900),
    }


def test_the_interval_covers_and_knows_groups() -> None:
    """Of 200 samples of conversations of known agreement the interval holds the truth in most; items that
    resemble one another make it wider than the same items taken for independent."""
    chance = np.random.default_rng(1)

    def sample(conversations: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        hard = np.repeat(chance.random(conversations) < 0.3, 5)  # all turns of a conversation, or none
        truth = chance.random(len(hard)) < 0.4
        wrong = chance.random((len(hard), 3)) < np.where(hard, 0.4, 0.03)[:, None]
        items = np.repeat([f"i{n}" for n in range(len(hard))], 3)
        groups = np.repeat([f"g{n}" for n in range(conversations)], 15)
        return items, (truth[:, None] ^ wrong).ravel().astype(float), groups

    truth = alpha(*sample(8000)[:2]).value
    assert truth is not None
    covered, width, narrow = 0, 0.0, 0.0
    for _ in range(60):
        items, values, groups = sample(60)
        found, alone = alpha(items, values, groups), alpha(items, values)
        assert found.low is not None and found.high is not None and alone.low is not None
        covered += found.low <= truth <= found.high
        width, narrow = width + found.high - found.low, narrow + (alone.high or 0) - alone.low
    assert covered >= 51  # 57 of 60 are expected of a 95% interval
    assert width > 1.1 * narrow
    assert alpha(items, values, groups) == found


def test_few_groups_have_no_interval() -> None:
    values = np.random.default_rng(0).integers(0, 2, 400).astype(float)
    items = np.repeat([f"i{n}" for n in range(200)], 2)
    found = alpha(items, values, np.repeat([f"g{n}" for n in range(10)], 40))
    assert found.sufficient and found.low is None


def test_fleiss_of_the_paper() -> None:
    items = [f"u{n}" for n, row in enumerate(FLEISS_1971) for _ in range(sum(row))]
    values = np.array(
        [value for row in FLEISS_1971 for value, count in enumerate(row) for _ in range(count)], float
    )
    found = fleiss(items, values)
    assert found is not None and found.kappa is not None
    assert (round(found.kappa, 3), found.items, found.people) == (0.43, 30, 6)
    more = fleiss([*items, "a", "a", "b"], np.array([*values, 0, 1, 2.0]))  # of other numbers of votes
    assert more == found
    assert fleiss(items[:60], values[:60]) is None


def test_cohen_of_those_who_share_enough() -> None:
    chance = np.random.default_rng(2)
    truth = chance.integers(0, 2, 100).astype(float)
    said = {
        "a": truth,
        "b": np.where(chance.random(100) < 0.8, truth, 1 - truth),
        "c": truth[:29],
        None: truth,
    }
    votes = [(f"u{n}", who, value) for who, values in said.items() for n, value in enumerate(values)]
    items, who, values = (np.array(column, dtype=object) for column in zip(*votes, strict=True))
    found = cohen(items, who, values.astype(float))
    assert found == {("a", "b"): (pytest.approx(cohen_kappa_score(said["a"], said["b"])), 100)}
