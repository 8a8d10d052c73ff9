"""Which sets and labels are the same in every run, and what is said of the others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from train.comparison.shared import LeftOut, shared


def _made(make, n=60, seed=0, **fields):
    return replace(make(n, width=2, seed=seed), **fields)


def test_rows_are_brought_into_line_whatever_their_order(random_predictions):
    one = random_predictions(60)
    other = one.select(np.random.default_rng(0).permutation(60))
    found = shared([{"test": one}, {"test": other}], "AB", ["test"])
    a, b = found.parts["test"]
    assert a.ids.tolist() == b.ids.tolist() == sorted(one.ids)
    np.testing.assert_array_equal(a.targets, b.targets)
    np.testing.assert_array_equal(a.scores, b.scores)
    assert not found.left_out
    again = shared([{"test": other}, {"test": one}], "AB", ["test"])
    assert again.digests == found.digests


def test_other_texts_are_left_out_and_counted(random_predictions):
    one = random_predictions(60)
    found = shared([{"test": one, "x": one}, {"test": one.select(np.arange(50))}], "AB", ["test", "x"])
    assert not found.parts
    assert found.left_out == [
        LeftOut("test", None, "other texts: 50 of 60 and 50 are in every run"),
        LeftOut("x", None, "only in A"),
    ]


def test_a_label_whose_cells_differ_is_left_out_and_one_that_a_side_lacks_is_named(random_predictions):
    one = random_predictions(60)
    targets = one.targets.copy()
    targets[:3, 1] = np.where(np.isnan(targets[:3, 1]), 1.0, np.nan)  # known in one, unknown in the other
    renamed = replace(one, labels=("label0", "label2"))
    found = shared([{"test": one}, {"test": replace(one, targets=targets)}], "AB", ["test"])
    assert [part.labels for part in found.parts["test"]] == [("label0",), ("label0",)]
    assert found.left_out == [LeftOut("test", "label1", "3 of 60 texts are labelled differently")]
    found = shared([{"test": one}, {"test": one}, {"test": renamed}], "AAB", ["test"])
    assert found.left_out == [LeftOut(None, "label1", "only in A"), LeftOut(None, "label2", "only in B")]
    assert found.parts["test"][2].scores.shape == (60, 1)


def test_texts_that_any_run_takes_for_kin_are_one_group(random_predictions):
    one = random_predictions(6)
    first = np.array(["a", "a", "b", "c", "d", "e"], dtype=object)
    second = np.array(["v", "w", "w", "x", "y", "y"], dtype=object)
    runs = [{"test": replace(one, group=group)} for group in (first, second)]
    parts = shared(runs, "AB", ["test"]).parts["test"]
    group = parts[0].group.tolist()
    assert group == parts[1].group.tolist()
    assert [group.index(g) for g in group] == [0, 0, 0, 3, 4, 4]
