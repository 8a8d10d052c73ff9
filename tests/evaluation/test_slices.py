"""A slice's figures are those of a set that holds nothing but the slice."""

import dataclasses

import numpy as np
import pytest

from train.evaluation.intervals import intervals
from train.evaluation.metrics import measure
from train.evaluation.records import by_label, by_slice
from train.evaluation.slices import by_slice as sliced


@pytest.fixture(scope="module")
def rows(random_predictions):
    found = random_predictions(900)
    random = np.random.default_rng(5)
    lang = random.choice(np.array(["en", "ko", "a/b=c", None], dtype=object), 900, p=[0.6, 0.3, 0.05, 0.05])
    many = np.array([f"v{i % 51}" for i in range(900)], dtype=object)
    return dataclasses.replace(found, slices={"lang": lang, "many": many, "none": np.full(900, None)})


def test_figures_and_intervals_are_those_of_the_slice_alone(rows):
    figures, bounds = sliced(rows, "test")
    for value in ("en", "ko", "a/b=c"):
        alone = rows.select(rows.slices["lang"] == value)
        whole, sure = measure(alone, "test"), intervals(alone, "test")
        for label in rows.labels:
            for metric in ("n", "positives", "negatives", "recall", "fpr"):
                key = f"test/{label}/{metric}"
                assert figures[f"{key}/lang={value}"] == whole[key]
                assert bounds.get(f"{key}/lang={value}") == sure.get(key)
        assert figures[f"test/any/fpr/lang={value}"] == whole["test/any/fpr"]
    assert bounds
    assert {key.split("/", 3)[3].split("=")[0] for key in figures} == {"lang"}  # 51 values are no slice


def test_records_hold_every_slice_value_and_no_figure_of_too_few(rows):
    figures, bounds = sliced(rows, "test")
    found = by_slice(measure(rows, "test") | figures, bounds, "test")
    assert len({tuple(record) for record in found}) == 1  # the same columns everywhere
    assert [(r["slice"], r["value"], r["label"]) for r in found] == [
        ("lang", value, label) for value in ("a/b=c", "en", "ko") for label in (*rows.labels, "any")
    ]
    for record in found:
        assert (record["fpr"] is None) == (record["negatives"] < 30)
        if record["label"] != "any":
            assert (record["recall"] is None) == (record["positives"] < 30)
            assert record["recall_low"] is None or record["recall_low"] <= record["recall"]
    assert any(record["fpr"] is None for record in found)
    assert by_label(measure(rows, "test") | figures, bounds, "test") == by_label(
        measure(rows, "test"), {}, "test"
    )


def test_without_ranking_the_other_intervals_stay_as_they_are(rows):
    every, decided = intervals(rows, "t"), intervals(rows, "t", ranked=False)
    assert decided == {
        k: v for k, v in every.items() if k.rsplit("/")[-1] in ("f1", "precision", "recall", "fpr")
    }
