"""Label errors: planted ones are found, and what only looks like one is left alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.conftest import REPOSITORY
from train.curation.audit import Audit, audit, judge
from train.curation.scores import Scorer


def table(n: int = 400, **columns: Any) -> tuple[pa.Table, np.ndarray]:
    """(rows of one source, which of them have the wrong label: every twentieth)"""
    draw = np.random.default_rng(5)
    bad = draw.random(n) < 0.3
    wrong = np.arange(n) % 20 == 0
    words = ["river", "garden", "music", "window", "silver", "paper"]
    texts = [" ".join(draw.choice(words, 5)) + (" nasty" if b else " lovely") for b in bad]
    made = {
        "source": ["s"] * n,
        "group": [f"g{i}" for i in range(n)],
        "normal": texts,
        "split": ["train" if i % 4 else "test" for i in range(n)],
        "label.hate": pa.array((bad ^ wrong).astype(np.float32)),
    }
    return pa.table(made | columns), wrong


def suspects(columns: pa.Table, label: str = "hate") -> np.ndarray:
    """1 suspect, 0 not, NaN not judged"""
    column = columns.column(f"suspect.{label}").cast(pa.int8()).cast(pa.float64())
    return np.asarray(column.to_numpy(zero_copy_only=False), dtype=np.float64)


def test_wrong_labels_are_found_and_nothing_is_changed() -> None:
    rows, wrong = table()
    columns, counts, found = audit(rows, Audit())
    assert (suspects(columns) == wrong).all()
    quality = np.asarray(columns.column("quality.hate"))
    assert quality[wrong].max() < quality[~wrong].min()
    assert columns.column("label.hate").equals(rows.column("label.hate"))
    assert counts == {"suspects.hate": 20, "judged.hate": 400}
    assert found == [
        {"source": "s", "label": "hate", "judged": 400, "auroc": found[0]["auroc"], "suspects": 20}
    ]


def test_suspects_of_training_rows_alone_become_unknown() -> None:
    rows, wrong = table()
    columns, _, _ = audit(rows, Audit(suspects="unknown"))
    train = np.array(rows.column("split").to_pylist()) == "train"
    cells = columns.column("label.hate")
    assert (cells.is_null().to_numpy() == (wrong & train)).all()
    kept = ~(wrong & train)
    assert cells.filter(pa.array(kept)).equals(rows.column("label.hate").filter(pa.array(kept)))


def test_what_is_not_judged() -> None:
    """Split votes (2 of 3 too), unknown cells, and rows that are in no split."""
    rows, wrong = table()
    cells = np.array(rows.column("label.hate")).copy()
    third = np.arange(400) % 3 == 0
    cells[third] = np.where(cells[third] > 0.5, np.float32(2 / 3), np.float32(1 / 3))
    cells[1] = np.nan
    split = rows.column("split").to_pylist()
    split[2] = None
    rows, _ = table(**{"label.hate": pa.array(cells, from_pandas=True), "split": split})
    found = suspects(audit(rows, Audit())[0])
    left = third | np.isin(np.arange(400), [1, 2])
    assert (np.isnan(found) == left).all()
    assert (found[~left] == wrong[~left]).all()
    assert (suspects(audit(rows, Audit(decided=0.66))[0])[third] == wrong[third]).all()


def test_a_source_that_cannot_be_ranked_accuses_nobody() -> None:
    """Each source is judged by itself: one whose labels have nothing to do with its texts stays as it is."""
    rows, wrong = table()
    noise = np.random.default_rng(1).random(400) < 0.5
    other = table(
        **{
            "source": ["chance"] * 400,
            "group": [f"c{i}" for i in range(400)],
            "label.hate": pa.array(noise.astype(np.float32)),
        }
    )[0]
    columns, counts, found = audit(pa.concat_tables([other, rows]), Audit(suspects="unknown"))
    assert [(one["source"], one["suspects"]) for one in found] == [("chance", None), ("s", 20)]
    assert np.isnan(suspects(columns)[:400]).all()
    assert (suspects(columns)[400:] == wrong).all()
    assert columns.column("label.hate")[:400].null_count == 0
    assert counts["judged.hate"] == 400


def test_positives_of_one_author_alone_are_not_judged() -> None:
    rows, _ = table()
    cells = np.array(rows.column("label.hate"))
    groups = ["one" if cell else f"g{i}" for i, cell in enumerate(cells)]
    rows, _ = table(group=groups)
    columns, counts, found = audit(rows, Audit())
    assert (columns.num_columns, counts, found) == (0, {}, [])


def test_a_team_brings_its_own_model() -> None:
    def always(texts: Sequence[str], cells: np.ndarray) -> Scorer:
        return lambda asked: np.array([[0.98 if "nasty" in text else 0.02] for text in asked])

    rows, wrong = table()
    columns, _, (found,) = audit(rows, Audit(), always)
    assert (suspects(columns) == wrong).all()
    np.testing.assert_allclose(
        np.asarray(columns.column("quality.hate")), np.where(wrong, 0.02, 0.98), rtol=1e-6
    )
    assert found["auroc"] > 0.9


def test_a_suspect_is_one_that_the_model_decides_otherwise() -> None:
    draw = np.random.default_rng(0)
    positive = draw.random(2000) < 0.2
    score = np.clip(np.where(positive, draw.beta(4, 2, 2000), draw.beta(2, 5, 2000)), 0.01, 0.99)
    wrong, fits = judge(positive, score)
    np.testing.assert_allclose(fits, np.where(positive, score, 1 - score))
    assert 0 < wrong.sum() < 0.3 * len(wrong)
    assert (fits[wrong] < 0.5).all()


@pytest.mark.slow
def test_planted_errors_in_davidson(real_data: Path) -> None:
    """5,000 of its rows, two seeds; the whole file and five seeds: scripts/bench audit."""
    command = [sys.executable, "-m", "benchmarks", "audit", "--rows", "5000", "--seeds", "2", "--json"]
    done = subprocess.run(
        command,
        cwd=REPOSITORY,
        env=os.environ | {"TEENSAFE_DATA": str(real_data), "PYTHONPATH": "scripts"},
        capture_output=True,
        check=True,
    )
    found = json.loads(done.stdout)
    assert [(one["label"], one["seed"]) for one in found] == [
        (label, seed) for seed in (1, 2) for label in ("harassment", "hate")
    ]
    for one in found:
        assert one["planted"] == pytest.approx(0.05 * one["judged"], abs=1)
        for figure, least in (("precision", 0.5), ("recall", 0.5), ("precision_at_k", 0.6)):
            value, low, high = one[figure]
            chance = one["chance"].get(figure, one["chance"]["precision"])
            assert low <= value <= high
            assert low > least > 8 * chance
