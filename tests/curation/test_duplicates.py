"""Near-duplicates: what is found is near, what is near is found as the S-curve says, on this machine and
on Ray."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from itertools import combinations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import REPOSITORY
from tests.curation.curations import refusing, sentence
from train.curation import between
from train.curation.duplicates import ALL_PAIRS, NO_GRAM, Dedup, candidates, duplicates, jaccard, near_pairs
from train.curation.leaks import crossings
from train.curation.runner import over, use
from train.errors import Failure, InputError


def table(texts: list[str]) -> pa.Table:
    ids = [f"s:{i:04d}" for i in range(len(texts))]
    return pa.table({"id": pa.array(ids, pa.string()), "normal": pa.array(texts, pa.string())})


def clusters(texts: list[str], runner: str = "native") -> list[str]:
    columns, _, _ = duplicates(table(texts), Dedup(), runner)
    found: list[str] = columns.column("cluster").to_pylist()
    return found


def test_equal_and_near_texts_are_one_cluster() -> None:
    text = "the river runs under the old bridge behind the school every single morning"
    said = [
        text,
        "x y",
        text.upper() + "  !!",
        text + " again",
        "something else entirely about football",
        "X  y",
    ]
    columns, counts, found = duplicates(table(said), Dedup(), "native")
    assert columns.column("cluster").to_pylist() == [
        "s:0000",
        "s:0001",
        "s:0000",
        "s:0000",
        "s:0004",
        "s:0001",
    ]
    assert columns.column("duplicate_of").to_pylist() == [None, None, None, None, None, "s:0001"]
    assert (counts["exact_duplicates"], counts["clusters"], counts["rows_in_clusters"]) == (1, 2, 5)
    assert found["largest_cluster"] == 3


def test_what_is_found_is_what_the_sets_say() -> None:
    """Against all pairs of 150 texts compared one by one: nothing found that is not near, and of the near
    pairs no fewer than the S-curve says."""
    draw = random.Random(5)
    texts: list[str] = []
    for _ in range(50):
        first = sentence(draw, 12)
        words = first.split()
        for k in (1, 3):
            changed = list(words)
            for at in draw.sample(range(12), k):
                changed[at] = sentence(draw, 1)
            texts += [" ".join(changed)]
        texts.append(first)
    texts = list(dict.fromkeys(texts))
    spec = Dedup()
    found = {tuple(pair) for pair in near_pairs(texts, spec, "native")[0].tolist()}
    every = np.array([*combinations(range(len(texts)), 2)])
    similarity = jaccard(texts, every[:, 0], every[:, 1])
    near = {tuple(pair) for pair in every[similarity >= spec.threshold].tolist()}
    assert found <= near
    assert len(near) > 30
    assert len(found) >= 0.98 * len(near)


def grams(text: str) -> set[str]:
    framed = f" {' '.join(text.split())} "
    return {framed[i : i + 5] for i in range(len(framed) - 4)}


@given(
    st.lists(st.sampled_from(["river", "window", "pen", "a", "garden"]), min_size=2, max_size=8),
    st.integers(0, 7),
)
def test_similarity_is_that_of_the_sets(words: list[str], at: int) -> None:
    one, other = " ".join(words), " ".join([*words[: at % len(words)], "moon", *words[at % len(words) :]])
    both = grams(one), grams(other)
    expected = len(both[0] & both[1]) / len(both[0] | both[1])
    assert jaccard([one, other], np.array([0]), np.array([1]))[0] == pytest.approx(expected)


def test_bands_keep_the_recall_that_is_promised() -> None:
    for threshold in (0.5, 0.6, 0.7, 0.8, 0.9):
        spec = Dedup(threshold=threshold)
        assert spec.candidate(threshold) >= 0.99
        assert spec.candidate(threshold, spec.rows + 1) < 0.99
        assert spec.candidate(threshold / 2) < spec.candidate(threshold)


def test_candidates_have_a_band_in_common() -> None:
    """Against the definition, pair by pair, where no bucket is large."""
    spec, draw = Dedup(), np.random.default_rng(2)
    signs = draw.integers(0, 4, (60, spec.permutations), dtype=np.uint32)
    signs[[7, 9]] = NO_GRAM
    bands = signs.reshape(60, -1, spec.rows)
    alike = {
        (a, b)
        for a, b in combinations(range(60), 2)
        if (bands[a] == bands[b]).all(axis=1).any() and (a, b) != (7, 9)
    }
    assert len(alike) > 100
    assert {tuple(pair) for pair in candidates(signs, spec).tolist()} == alike


@pytest.mark.parametrize(
    "texts", [[], ["one text alone"], ["!!", "??", "\U0001f600", "\U0001f600 \U0001f600"]]
)
def test_texts_without_words_are_near_to_none(texts: list[str]) -> None:
    assert clusters(texts) == [f"s:{i:04d}" for i in range(len(texts))]


@pytest.mark.parametrize("n", [2, ALL_PAIRS, ALL_PAIRS + 1, 5000])
def test_a_template_of_many_texts_costs_few_pairs(n: int) -> None:
    spec = Dedup()
    pairs = candidates(np.ones((n, spec.permutations), dtype=np.uint32), spec)
    assert len(pairs) <= max(n * (n - 1) // 2 if n <= ALL_PAIRS else 0, 2 * n)
    assert (pairs[:, 0] < pairs[:, 1]).all()
    assert set(pairs.ravel().tolist()) == set(range(n))


def test_what_sources_share_is_counted() -> None:
    """Against the definition, written out pair by pair."""
    rows = pa.table(
        {
            "id": ["a:0", "a:1", "a:2", "b:0", "b:1", "b:2"],
            "source": ["a", "a", "a", "b", "b", "b"],
            "claim": ["train", "test", "any", "train", "test", "test"],
            "cluster": ["a:0", "a:0", "a:2", "a:0", "a:2", "b:2"],
            "duplicate_of": [None, "a:0", None, "a:0", None, None],
            "label.hate": pa.array([1.0, 0.0, 0.0, 0.0, 1.0, None], pa.float32()),
        }
    )
    found = {(one["a"], one["b"]): one for one in between.between(rows)}
    assert found["a", "a"] == {
        "a": "a",
        "b": "a",
        "exact": 1,
        "near": 0,
        "leaked": 1,
        "contradictions": {"hate": 1},
    }
    assert found["a", "b"] == {
        "a": "a",
        "b": "b",
        "exact": 1,
        "near": 1,
        "leaked": 2,
        "contradictions": {"hate": 1},
    }
    assert ("b", "b") not in found


def test_every_crossing_is_found() -> None:
    def rows(**changed: list[str | None]) -> pa.Table:
        sound: dict[str, list[str | None]] = {
            "id": ["a", "b", "c", "d"],
            "cluster": ["a", "a", "c", "d"],
            "group": ["g", "g", "h", "i"],
            "split": ["train", "train", "test", None],
            "near_suite": [None, None, "xstest", "xstest"],
        }
        return pa.table({name: pa.array(v, pa.string()) for name, v in (sound | changed).items()})

    assert not [*crossings(rows(), ["c"])]
    (one,) = crossings(rows(cluster=["a", "a", "a", "d"]))
    assert (one.rule, one.rows) == ("leak.cluster", ("a", "b", "c"))
    (one,) = crossings(rows(group=["g", "h", "h", "i"]))
    assert (one.rule, one.rows) == ("leak.group", ("b", "c"))
    (one,) = crossings(rows(near_suite=["xstest", None, None, None]))
    assert (one.rule, one.rows) == ("leak.suite", ("a",))
    (one,) = crossings(rows(), ["a", "c"])
    assert (one.rule, one.rows) == ("leak.frozen", ("a",))


def test_an_error_in_a_process_comes_out_as_itself_and_others_are_done() -> None:
    done = []
    with pytest.raises(InputError, match="there: is wrong"):
        for _, result in over("native", refusing, ["a", "bad", "c"]):
            done.append(result)
    assert sorted(done) == ["aa", "cc"]
    with pytest.raises(Failure, match="there: failed"):
        [*over("native", refusing, ["a", "worse", "bad"])]


@pytest.mark.parametrize("address", ["127.0.0.1:9", "rai", "127.0.0.1:99999"])
def test_a_cluster_that_does_not_answer_is_one_clear_error(address: str) -> None:
    with pytest.raises(
        InputError, match=f"--runner: nothing answers at {address}\n    expected: native, ray"
    ):
        use(address)


@pytest.mark.slow
def test_ray_gives_the_same() -> None:
    """Begun on this machine, and joined by its address from another process."""
    draw = random.Random(7)
    texts = [sentence(draw, 10) for _ in range(300)]
    texts += [f"{text} again" for text in texts[:60]]
    program = f"""
import ray
from tests.curation.test_duplicates import *
try:
    [*over("ray", refusing, ["a", "bad"])]
except InputError as error:
    print(error.problems[0].what)
joined = f"from tests.curation.test_duplicates import *; print(clusters({texts!r}, sys.argv[1]))"
subprocess.run([sys.executable, "-c", joined, ray.get_runtime_context().gcs_address], check=True)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.splitlines() == ["is wrong", str(clusters(texts))]
