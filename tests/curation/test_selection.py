"""Selection for labelling: chances that are true, so that what is labelled can be told of all rows."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.curation.curations import CURATION, written
from train.cli import main
from train.curation.selection import Quota, Select, chances, select, systematic

sizes = st.lists(st.floats(1e-6, 1e3), min_size=1, max_size=60).map(np.array)


@given(sizes, st.integers(1, 80))
def test_chances_add_up_and_keep_to_size(size: np.ndarray, rows: int) -> None:
    found = chances(size, rows)
    assert ((found > 0) & (found <= 1)).all()
    assert found.sum() == pytest.approx(min(rows, len(size)))
    below = found < 1 - 1e-9
    if below.sum() > 1:
        ratio = found[below] / size[below]
        np.testing.assert_allclose(ratio, ratio[0], rtol=1e-6)


@given(sizes, st.integers(1, 80), st.floats(0, 0.999999))
def test_exactly_so_many_are_drawn(size: np.ndarray, rows: int, start: float) -> None:
    drawn = systematic(chances(size, rows), start)
    assert abs(len(drawn) - min(rows, len(size))) <= 1  # where a point falls on an end, to the last bit
    assert len({*drawn.tolist()}) == len(drawn)


def test_each_row_is_drawn_as_often_as_its_chance_says_and_the_estimate_is_unbiased() -> None:
    """20,000 draws: frequencies within 5 standard errors, and Horvitz-Thompson's mean at the truth."""
    draw = np.random.default_rng(3)
    chance = chances(draw.random(40) + 0.1, 12)
    value = draw.random(40)
    starts = draw.random(20_000)
    taken = np.zeros((len(starts), 40), dtype=bool)
    for n, start in enumerate(starts):
        taken[n, systematic(chance, start)] = True
    error = np.sqrt(chance * (1 - chance) / len(starts))
    assert (np.abs(taken.mean(axis=0) - chance) <= 5 * error + 1e-9).all()
    estimates = (taken * (value / chance)).sum(axis=1)
    assert abs(estimates.mean() - value.sum()) < 5 * estimates.std() / np.sqrt(len(starts))


def table(n: int = 240) -> pa.Table:
    draw = np.random.default_rng(0)
    bad = draw.random(n) < 0.4
    words = np.array(
        ["river window pencil", "garden morning table", "orange music paper", "quiet silver little"]
    )
    hate = np.where(np.arange(n) % 2 == 0, bad.astype(float), np.nan)
    return pa.table(
        {
            "id": [f"s:{i}" for i in range(n)],
            "group": [f"g{i}" for i in range(n)],
            "normal": [f"{words[i % 4]} {'idiot loser' if b else 'friend'} w{i}" for i, b in enumerate(bad)],
            "split": ["train" if i % 5 else "test" for i in range(n)],
            "cluster": [f"s:{i - i % 2}" if i < 20 else f"s:{i}" for i in range(n)],
            "label.hate": pa.array(hate.astype(np.float32), from_pandas=True),
            "slice.lang": ["de" if i % 3 == 0 else "en" for i in range(n)],
            "quality.hate": pa.array(np.where(np.isnan(hate), np.nan, draw.random(n)), from_pandas=True),
        }
    )


def test_who_is_drawn() -> None:
    rows, n = table(), 240
    held = np.arange(n) % 7 == 0
    spec = Select(rows=40, quotas=(Quota(where={"lang": "de"}, rows=15),))
    drawn, found = select(rows, spec, held)
    ids = [one["id"] for one in drawn]
    assert len(ids) == len(set(ids)) == 40
    at = [one["row"] for one in drawn]
    assert {rows.column("split")[i].as_py() for i in at} == {"train"}
    assert not held[at].any()
    clusters = [rows.column("cluster")[i].as_py() for i in at]
    assert len(set(clusters)) == 40
    german = [one for one in drawn if one["quota"]]
    assert len(german) == 15
    assert {rows.column("slice.lang")[one["row"]].as_py() for one in german} == {"de"}
    assert all(0 < one["chance"] <= 1 for one in drawn)
    assert found["held_back"] == held.sum()
    assert select(rows, spec, held)[0] == drawn
    order = np.random.default_rng(1).permutation(n)
    again, _ = select(rows.take(order), spec, held[order])
    assert {one["id"] for one in again} == set(ids)  # a function of ids, not of their order
    other, _ = select(rows, spec.model_copy(update={"seed": 2}), held)
    assert {one["id"] for one in other} != set(ids)


def test_unsure_and_ill_fitting_rows_have_the_better_chance() -> None:
    drawn, _ = select(table(), Select(rows=60, unsure=0, misfit=0.8, random=0.2), np.zeros(240, dtype=bool))
    by_misfit = sorted(drawn, key=lambda one: one["misfit"])
    assert by_misfit[-1]["chance"] > 2 * by_misfit[0]["chance"]


@pytest.mark.parametrize(
    "said",
    [
        {"unsure": 0.5, "misfit": 0.5, "random": 0.5},
        {"random": 0, "unsure": 0.5, "misfit": 0.5},
        {"rows": 10, "quotas": [{"where": {"lang": "de"}, "rows": 11}]},
    ],
)
def test_a_selection_that_is_none(said: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Select.model_validate(said)


def test_a_queue_goes_to_people_and_comes_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path / "in", CURATION + "select: {rows: 20}\n")
    to = tmp_path / "to"
    assert main(["data", "select", str(path), "--to", str(to)]) == 0
    queue = to / "queue/toy@1.0.0"
    tasks = json.loads((queue / "tasks.json").read_text())
    assert len(tasks) == 20
    assert {p.stat().st_mode & 0o077 for p in queue.iterdir()} == {0}
    assert pq.read_table(queue / "chances.parquet").column_names == [
        "id",
        "chance",
        "unsure",
        "misfit",
        "quota",
    ]
    with (queue / "queue.csv").open(newline="") as stream:
        sheet = [*csv.DictReader(stream)]
    filled = [row | {"hate": "yes", "annotator": "p1"} for row in sheet]
    answers = tmp_path / "answers.csv"
    fill(answers, filled)
    assert main(["data", "agree", str(path), "--to", str(to), "--votes", str(answers), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["stages"]["agree"]["counts"]["from_people.hate"] == 20
    odd = tmp_path / "odd.csv"
    fill(odd, [filled[0] | {"hate": "perhaps"}])
    assert main(["data", "agree", str(path), "--to", str(to), "--votes", str(odd)]) == 2


def fill(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
