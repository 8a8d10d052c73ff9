"""Equal texts as one example: means, contradictions, and which row stands for the others."""

from __future__ import annotations

import csv
from collections import defaultdict
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from tests.sources import corpus, jsonl
from train.data.encoding import Encoder
from train.data.plan import counts
from train.data.split import NAMES
from train.data.twins import unite

ROW = st.tuples(st.integers(0, 6), st.tuples(*[st.sampled_from([None, 0.0, 0.25, 0.5, 0.75, 1.0])] * 2))


@given(st.lists(ROW, min_size=1, max_size=40))
def test_unite_against_the_plainest_way(rows: list[tuple[int, tuple[float | None, ...]]]) -> None:
    cells = np.array([[np.nan if v is None else v for v in said] for _, said in rows], dtype=np.float32)
    found = unite(np.array([key * 1_000_003 for key, _ in rows]), cells)
    texts = list(dict.fromkeys(key for key, _ in rows))
    assert found.of.tolist() == [texts.index(key) for key, _ in rows]
    assert found.first.tolist() == [[key for key, _ in rows].index(text) for text in texts]
    for column in range(2):
        contradicted = 0
        for place, text in enumerate(texts):
            known = [said[column] for key, said in rows if key == text and said[column] is not None]
            expected = np.float32(sum(known) / len(known)) if known else np.float32(np.nan)  # type: ignore[arg-type]
            assert np.array_equal(found.targets[place, column], expected, equal_nan=True)
            contradicted += any(v > 0.5 for v in known) and any(v < 0.5 for v in known)
        assert found.contradictions[column] == contradicted


def test_one_known_cell_is_not_rounded() -> None:
    cells = np.array([[0.1, np.nan], [np.nan, np.nan], [0.3, 0.7]], dtype=np.float32)
    found = unite(np.array([5, 5, 9]), cells)
    assert found.targets.tobytes() == cells[[0, 2]].tobytes()


def test_of_a_synthetic_text_that_a_real_one_equals_nothing_stays(tmp_path: Path, encoder: Encoder) -> None:
    """Whatever the sources are called: no figure of real text rests on a made label."""
    made = jsonl(tmp_path / "made.jsonl", [{"t": f"Text  {i}", "h": 1, "g": i % 2} for i in range(90)])
    seen = jsonl(tmp_path / "seen.jsonl", [{"t": f"text {i}", "h": 0} for i in range(60)])
    found = corpus(
        encoder,
        a_made={
            "path": made,
            "text": "t",
            "labels": {"hate": "h", "grooming": "g"},
            "licence": "MIT",
            "synthetic": True,
        },
        z_seen={"path": seen, "text": "t", "labels": {"hate": "h"}, "licence": "MIT"},
    )
    assert found.source.tolist() == ["z_seen"] * 60 + ["a_made"] * 30
    assert found.synthetic.tolist() == [False] * 60 + [True] * 30
    assert found.texts(np.array([0, 60])) == ["text 0", "Text  60"]
    assert np.isnan(found.targets[:60, 0]).all() and (found.targets[:60, 1] == 0).all()
    assert found.contradictions == {}
    assert found.left_out == {"a_made": {"equal to a real text": 60}}
    cells = {(c["source"], c["label"], c["split"]): c for c in counts(found)}
    for split in NAMES:
        assert cells["z_seen", "grooming", split]["known"] == cells["z_seen", "hate", split]["positives"] == 0
    assert sum(cells["a_made", "grooming", split]["known"] for split in NAMES) == 30
    found.write_split(tmp_path / "split.parquet")
    table = pq.read_table(tmp_path / "split.parquet").to_pylist()
    by_id = {row["id"]: row for row in table}
    for i in range(60):
        row = by_id[f"a_made:{i}"]
        said = (row["split"], row["united_with"], row["left_out"])
        assert said == (None, f"z_seen:{i}", "equal to a real text")


def test_each_source_is_booked_with_what_it_says_itself(tmp_path: Path, encoder: Encoder) -> None:
    """Also one whose rows are all united with another's."""
    rows = [{"t": f"text {i}", "h": i % 2, "g": 1 - i % 2} for i in range(100)]
    path = jsonl(tmp_path / "a.jsonl", rows)
    entry = {"path": path, "text": "t", "licence": "MIT"}
    found = corpus(
        encoder, a=entry | {"labels": {"hate": "h"}}, b=entry | {"labels": {"hate": "h", "grooming": "g"}}
    )
    assert set(found.source) == {"a"} and len(found.row) == 100
    cells = counts(found)
    totals = {
        (source, label): [
            sum(c[kind] for c in cells if (c["source"], c["label"]) == (source, label))
            for kind in ("rows", "known", "positives", "negatives")
        ]
        for source in "ab"
        for label in ("grooming", "hate")
    }
    assert totals == {
        ("a", "grooming"): [100, 0, 0, 0],
        ("a", "hate"): [100, 100, 50, 50],
        ("b", "grooming"): [100, 100, 50, 50],
        ("b", "hate"): [100, 100, 50, 50],
    }
    found.write_split(tmp_path / "split.parquet")
    table = pq.read_table(tmp_path / "split.parquet").to_pylist()
    assert list(table[0]) == ["id", "group", "source", "split", "united_with", "left_out"]
    by_id = {row["id"]: row for row in table}
    for i in range(100):
        a, b = by_id[f"a:{i}"], by_id[f"b:{i}"]
        assert (a["united_with"], b["united_with"]) == (None, f"a:{i}")
        assert a["split"] == b["split"] is not None
        assert a["left_out"] is b["left_out"] is None


def test_the_real_tweets_that_read_alike(real_data: Path, encoder: Encoder) -> None:
    """The figures of the corpus against the csv module and dictionaries."""
    path = real_data / "davidson" / "labeled_data.csv"
    said = defaultdict(list)
    with path.open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            hate, offensive, count = (
                int(row[name]) for name in ("hate_speech", "offensive_language", "count")
            )
            key = " ".join(row["tweet"].casefold().split())
            said[key].append((Fraction(hate + offensive, count), Fraction(hate, count)))
    means = [[sum(votes) / len(votes) for votes in zip(*rows, strict=True)] for rows in said.values()]
    half = Fraction(1, 2)
    contradicted = [
        sum(
            any(row[k] > half for row in rows) and any(row[k] < half for row in rows)
            for rows in said.values()
        )
        for k in (0, 1)
    ]
    positive = [sum(mean[k] > half for mean in means) for k in (0, 1)]
    assert (len(means), positive) == (24_771, [20_608, 1_421])
    labels = {
        "harassment": {"votes": ["hate_speech", "offensive_language"], "of": "count"},
        "hate": {"votes": "hate_speech", "of": "count"},
    }
    found = corpus(encoder, davidson={"path": str(path), "text": "tweet", "labels": labels, "licence": "MIT"})
    assert len(found.united) == 24_783
    exact = np.array(means, dtype=np.float64)
    assert np.abs(found.targets - exact).max() < 1e-7
    assert ((found.targets > 0.5) == (exact > 0.5)).all(), "a tie stays a tie"
    assert [found.contradictions.get(label, 0) for label in ("harassment", "hate")] == contradicted
