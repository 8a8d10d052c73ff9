"""The predictions file and the named sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from train.errors import Failure, InputError
from train.evaluation.predictions import Predictions, sets


@pytest.fixture
def mixed(build):
    return build(
        targets=[[1, np.nan], [0, 0.25], [np.nan, np.nan], [0, 1], [1, 0]],
        scores=[[0.9, 0.1], [0.2, 0.3], [0.4, 0.5], [0.1, 0.7], [1.0, 0.0]],
        source=["davidson", "davidson", "hatemoji", "seed", "davidson"],
        split=["test", "test", "test", "test", "dev"],
        synthetic=[False, False, False, True, False],
        slices={"lang": ["en", None, "ko", "en", "en"], "surface": [None] * 5},
        labels=("hate", "harassment.mild"),
    )


def test_round_trip_keeps_every_field_and_null(mixed, tmp_path: Path):
    mixed.write(tmp_path / "lr=3" / "test.parquet")  # a path that Arrow would read as a partition
    back = Predictions.read(tmp_path / "lr=3" / "test.parquet")
    assert back.labels == mixed.labels
    assert back.slices.keys() == mixed.slices.keys()
    for name, values in mixed.slices.items():
        assert list(back.slices[name]) == list(values)
    for field in ("ids", "source", "group", "split", "synthetic", "flags"):
        assert list(getattr(back, field).ravel()) == list(getattr(mixed, field).ravel())
    np.testing.assert_array_equal(back.targets, mixed.targets)
    np.testing.assert_array_equal(back.scores, mixed.scores)
    assert (back.targets.dtype, back.scores.dtype, back.flags.dtype) == (np.float32, np.float64, np.bool_)


def test_columns_are_the_contract_and_unknown_is_null(mixed, tmp_path: Path):
    path = tmp_path / "test.parquet"
    mixed.write(path)
    table = pq.ParquetFile(path).read()
    assert table.column_names == [
        *("id", "source", "group", "split", "synthetic", "slice.lang", "slice.surface"),
        *("label.hate", "label.harassment.mild", "score.hate", "score.harassment.mild"),
        *("flag.hate", "flag.harassment.mild"),
    ]
    assert table["label.hate"].to_pylist() == [1.0, 0.0, None, 0.0, 1.0]


def test_scores_keep_their_precision(mixed, tmp_path: Path):
    single = Predictions(**{**vars(mixed), "scores": mixed.scores.astype(np.float32)})
    single.write(tmp_path / "p.parquet")
    assert Predictions.read(tmp_path / "p.parquet").scores.dtype == np.float32


def test_no_rows_round_trip(mixed, tmp_path: Path):
    mixed.select(np.zeros(5, bool)).write(tmp_path / "p.parquet")
    back = Predictions.read(tmp_path / "p.parquet")
    assert (len(back), back.targets.shape, back.scores.shape) == (0, (0, 2), (0, 2))
    assert sets(back) == {}


def _drop(name: str):
    return lambda table: table.drop_columns([name])


def _replace(name: str, values: list, kind: pa.DataType):
    return lambda table: table.set_column(table.column_names.index(name), name, pa.array(values, kind))


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (_drop("group"), "group"),
        (_drop("synthetic"), "synthetic"),
        (_drop("score.hate"), "score"),
        (_drop("flag.hate"), "flag"),
        (_replace("id", [1, 2, 3, 4, 5], pa.int64()), "id"),
        (_replace("id", ["a", None, "c", "d", "e"], pa.string()), "nulls"),
        (_replace("flag.hate", [1, 0, 0, 0, 1], pa.int8()), "flag"),
        (_replace("score.hate", [0.1, None, 0.2, 0.3, 0.4], pa.float64()), "nulls"),
        (_replace("score.hate", [0.1, float("nan"), 0.2, 0.3, 0.4], pa.float64()), "hate"),
        (_replace("label.hate", [1.0, 7.0, 0.0, 0.0, 0.0], pa.float32()), "targets"),
    ],
)
def test_a_file_that_is_not_one_is_refused(mixed, tmp_path: Path, damage, named: str):
    path = tmp_path / "test.parquet"
    mixed.write(path)
    pq.write_table(damage(pq.ParquetFile(path).read()), path)
    with pytest.raises(InputError, match=named) as caught:
        Predictions.read(path)
    assert caught.value.problems[0].where == str(path)


def test_a_missing_or_foreign_file_is_refused(tmp_path: Path):
    (tmp_path / "text.parquet").write_text("not parquet")
    for name in ("absent.parquet", "text.parquet"):
        with pytest.raises(InputError, match="not a predictions file"):
            Predictions.read(tmp_path / name)


def test_select_by_mask_and_by_position(mixed):
    assert list(mixed.select(mixed.synthetic).ids) == ["id3"]
    chosen = mixed.select(np.array([4, 0]))
    assert list(chosen.ids) == ["id4", "id0"]
    assert list(chosen.slices["lang"]) == ["en", "en"]
    assert chosen.targets.shape == (2, 2)


def test_scores_of_a_diverged_model_are_a_failure(build):
    with pytest.raises(Failure, match=r"2 scores .*\(label1\)"):
        build([[1, 0], [0, 1]], [[0.5, np.nan], [0.5, np.inf]], flags=np.zeros((2, 2)))


def test_shapes_must_fit(build):
    with pytest.raises(ValueError, match="group"):
        build([[1], [0]], [[0.5], [0.5]], group=["only one"])
    with pytest.raises(ValueError, match="scores"):
        build([[1], [0]], [[0.5, 0.5], [0.5, 0.5]])


def test_sets_name_splits_sources_and_synthetic_rows(mixed):
    found = {name: list(rows.ids) for name, rows in sets(mixed).items()}
    assert found == {
        "dev": ["id4"],
        f"dev.{mixed.source[4]}": ["id4"],
        "test": ["id0", "id1", "id2"],
        "test.davidson": ["id0", "id1"],
        "test.hatemoji": ["id2"],
        "test.synthetic": ["id3"],
        "test.synthetic.seed": ["id3"],
    }
    assert list(found) == [
        "dev",
        f"dev.{mixed.source[4]}",
        "test",
        "test.davidson",
        "test.hatemoji",
        "test.synthetic",
        *list(found)[6:],
    ]


def test_sets_never_mix_real_and_synthetic(random_predictions):
    rows = random_predictions(200)
    synthetic = np.random.default_rng(1).random(200) < 0.5
    found = sets(Predictions(**{**vars(rows), "synthetic": synthetic}))
    assert set(found) == {
        *("test", "test.a", "test.b", "test.synthetic", "test.synthetic.a", "test.synthetic.b")
    }
    for name, part in found.items():
        assert part.synthetic.all() == part.synthetic.any() == ("synthetic" in name)
    assert len(found["test"]) + len(found["test.synthetic"]) == 200


def test_all_synthetic_data_have_no_real_set(build):
    rows = build([[1]], [[0.5]], synthetic=[True])
    assert set(sets(rows)) == {"test.synthetic", f"test.synthetic.{rows.source[0]}"}


def test_a_real_source_called_synthetic_is_refused(build):
    rows = build([[1], [0], [1]], [[0.5]] * 3, source=["synthetic", "b", "c"], synthetic=[False, False, True])
    with pytest.raises(InputError, match=r"test\.synthetic"):
        sets(rows)
