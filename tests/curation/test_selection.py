"""Selection for labelling: chances that are true, so that what is labelled can be told of all rows."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
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
from train.curation import selection
from train.curation.scores import Fit, Scorer
from train.curation.selection import STEERS, Quota, Select, chances, select, systematic

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
    hate[2::14] = 0.5
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
    clusters = np.array(rows.column("cluster").to_pylist())
    assert len(set(clusters[at])) == 40
    assert not set(clusters[at]) & set(clusters[held])  # what is near a text that may not be seen
    german = [one for one in drawn if one["quota"]]
    assert len(german) == 15
    assert {rows.column("slice.lang")[one["row"]].as_py() for one in german} == {"de"}
    assert all(0 < one["chance"] <= 1 for one in drawn)
    train = np.array(rows.column("split").to_pylist()) == "train"
    assert 0 < found["held_back"] <= (np.isin(clusters, clusters[held]) & train).sum()
    assert found["open"] + found["held_back"] <= train.sum()
    assert [one["rank"] for one in drawn] == [*range(1, 41)]
    assert select(rows, spec, held)[0] == drawn
    order = np.random.default_rng(1).permutation(n)
    again, _ = select(rows.take(order), spec, held[order])
    assert {one["id"] for one in again} == set(ids)  # a function of ids, not of their order
    other, _ = select(rows, spec.model_copy(update={"seed": 2}), held)
    assert {one["id"] for one in other} != set(ids)


@pytest.mark.parametrize("steer", STEERS)
def test_a_steer_gives_the_better_chance(steer: str) -> None:
    shares = {name: 0.8 if name == steer else 0.0 for name in STEERS}
    drawn, _ = select(table(), Select(rows=60, **shares, random=0.2), np.zeros(240, dtype=bool))
    least, *_, most = sorted(drawn, key=lambda one: one[steer])
    assert most["chance"] > 2 * least["chance"]
    assert (most["reason"], least["reason"]) == (steer, "random")


def test_what_unsure_and_disputed_are() -> None:
    rows = table(40)
    cells = np.where(np.arange(40) % 2 == 0, 2 / 3, np.nan).astype(np.float32)
    rows = rows.drop_columns(["label.hate", "quality.hate", "cluster"])
    rows = rows.append_column("label.hate", pa.array(cells, from_pandas=True))
    rows = rows.append_column("cluster", rows.column("id"))
    drawn, counts = select(rows, Select(rows=100), np.zeros(40, dtype=bool), confident(0.9))
    assert counts == {"open": 32, "pool": 32, "held_back": 0}
    for one in drawn:
        split = one["row"] % 2 == 0
        assert one["chance"] == 1
        assert one["disputed"] == pytest.approx(0.9183 if split else 0, abs=1e-4)  # of 2 and 1 votes, in bits
        assert one["unsure"] == pytest.approx(0 if split else 0.2)


def confident(score: float) -> Fit:
    return lambda texts, cells: lambda asked: np.full((len(asked), cells.shape[1]), score)


def by_length(texts: Sequence[str], cells: np.ndarray) -> Scorer:
    return lambda asked: np.array([[0.5 / (1 + len(text) % 7)] for text in asked])


def clustered() -> pa.Table:
    """30 open rows in 18 clusters, one of 8 rows and one of 6."""
    of = [0] * 8 + [1] * 6 + [*range(2, 18)]
    cells = [None] * 24 + [0.5, 2 / 3, 0.9, 1.0, 1.0, 0.0]
    return pa.table(
        {
            "id": [f"s:{i}" for i in range(30)],
            "normal": [f"text {i * i}" for i in range(30)],
            "split": ["train"] * 30,
            "cluster": [f"c{n}" for n in of],
            "label.hate": pa.array(cells, pa.float32()),
            "quality.hate": pa.array([None] * 24 + [0.9, None, None, 0.1, 0.3, 0.2], pa.float32()),
            "slice.lang": ["de" if i % 3 else "en" for i in range(30)],
        }
    )


@pytest.mark.parametrize("most", [9, 100])
def test_whatever_is_counted_is_right_on_average(monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """3,000 seeds: clusters, the most that is scored, quotas and steers together. If 1 / chance over the
    draws of every single row averages 1, every total's estimate is unbiased. So it is of the first 3 of 6."""
    monkeypatch.setattr(selection, "MOST", most)
    rows, seeds = clustered(), 3_000
    quotas = (Quota(where={"lang": "en"}, rows=2),)
    counted = np.zeros((2, seeds, 30))
    for seed in range(seeds):
        spec = Select(rows=6, quotas=quotas, seed=seed)
        for one in select(rows, spec, np.zeros(30, dtype=bool), by_length)[0]:
            counted[0, seed, one["row"]] = 1 / one["chance"]
            if one["rank"] <= 3:
                counted[1, seed, one["row"]] = 1 / (one["chance"] * 3 / 6)
    for weights in counted:
        error = weights.std(axis=0) / np.sqrt(seeds)
        assert (np.abs(weights.mean(axis=0) - 1) < 4.5 * error).all()
        total = weights.sum(axis=1)
        assert abs(total.mean() - 30) < 4.5 * total.std() / np.sqrt(seeds)


def test_what_a_quota_lacks_is_drawn_elsewhere() -> None:
    spec = Select(rows=10, quotas=(Quota(where={"lang": "ko"}, rows=4), Quota(where={"age": "13"}, rows=2)))
    drawn, _ = select(clustered(), spec, np.zeros(30, dtype=bool), by_length)
    assert len(drawn) == 10
    none, counts = select(clustered(), spec, np.ones(30, dtype=bool), by_length)
    assert (none, counts) == ([], {"open": 0, "pool": 0, "held_back": 30})


@pytest.mark.parametrize(
    "said",
    [
        {"unsure": 0.5, "disputed": 0.0, "misfit": 0.5, "random": 0.5},
        {"random": 0, "unsure": 0.5, "disputed": 0.0, "misfit": 0.5},
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
    queue = to / "queue/toy@1.0.0-select"
    tasks = json.loads((queue / "tasks.json").read_text())
    before = (queue / "tasks.json").stat().st_mtime_ns
    assert main(["data", "select", str(path), "--to", str(to)]) == 0
    assert (queue / "tasks.json").stat().st_mtime_ns == before  # what is done is not done again
    assert len(tasks) == 20
    assert {p.stat().st_mode & 0o077 for p in queue.iterdir()} == {0}
    chances = pq.read_table(queue / "rows.parquet")
    assert chances.column_names == ["id", "rank", "reason", "chance", *STEERS, "quota"]
    assert [task["data"]["item"] for task in tasks] == chances.column("id").to_pylist()
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


def test_a_queue_that_shows_a_deleted_row_is_gone(tmp_path: Path) -> None:
    path, to = written(tmp_path / "in", CURATION + "select: {rows: 5}\n"), tmp_path / "to"
    assert main(["data", "select", str(path), "--to", str(to)]) == 0
    queue = to / "queue/toy@1.0.0-select"
    (gone, *_) = pq.read_table(queue / "rows.parquet").column("id").to_pylist()
    written_from = to / "produced/toy@1.0.0.jsonl"
    written_from.parent.mkdir()
    written_from.write_text(
        "".join(f'{{"id": "{i}", "parent": "{p}"}}\n' for i, p in ((1, gone), (2, "s:x")))
    )
    assert main(["data", "delete", "--to", str(to), "--id", gone]) == 0
    assert not queue.exists()
    assert [json.loads(line)["id"] for line in written_from.read_text().splitlines()] == ["2"]
    assert main(["data", "select", str(path), "--to", str(to)]) == 0
    assert gone not in pq.read_table(queue / "rows.parquet").column("id").to_pylist()


def fill(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
