"""What a disguise costs, against counting by hand."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from train.evaluation.predictions import Predictions
from train.suites.perturbations import KINDS, perturb
from train.suites.robustness import CHANGED, disguises, robustness, sample

LABELS = ("hate", "harassment")


def predictions(n: int, groups: int, seed: int = 0) -> Predictions:
    """Random rows: a label in ten unknown, some ties at .5, flags that know something."""
    random = np.random.default_rng(seed)
    targets = random.choice([0, 0, 0, 0.3, 0.5, 0.8, 1, np.nan], size=(n, 2)).astype(np.float32)
    scores = np.clip(np.nan_to_num(targets, nan=0.5) * 0.5 + random.random((n, 2)) * 0.5, 0, 1)
    return Predictions(
        ids=np.array([f"r{i}" for i in range(n)], dtype=object),
        source=np.full(n, "s", dtype=object),
        group=np.array([f"g{i}" for i in random.integers(groups, size=n)], dtype=object),
        split=np.full(n, "test", dtype=object),
        synthetic=np.zeros(n, bool),
        slices={},
        labels=LABELS,
        targets=targets,
        scores=scores,
        flags=scores > 0.6,
    )


def disguised(clean: Predictions, share: float, seed: int = 1) -> Predictions:
    """Another flag in that share of the cells of changed rows; three rows in four are changed."""
    random = np.random.default_rng(seed)
    changed = random.random(len(clean)) < 0.75
    other = changed[:, None] & (random.random(clean.flags.shape) < share)
    slices = {CHANGED: np.where(changed, "yes", "no").astype(object)}
    return dataclasses.replace(clean, flags=clean.flags ^ other, slices=slices)


def test_every_figure_is_the_one_counted_by_hand() -> None:
    clean = predictions(600, 150)
    perturbed = {"leetspeak": disguised(clean, 0.4), "a+b": disguised(clean, 0.1, 2)}
    figures, bounds = robustness(clean, perturbed, "test", resamples=50)
    expected: dict[str, float | int] = {}
    for kind, said in perturbed.items():
        at = f"/perturbation={kind}"
        benign = [
            not all(math.isnan(t) for t in row) and all(math.isnan(t) or t < 0.5 for t in row)
            for row in clean.targets
        ]
        for j, label in enumerate(LABELS):
            positives = [i for i in range(600) if clean.targets[i, j] > 0.5]
            negatives = [i for i in range(600) if benign[i] and clean.targets[i, j] < 0.5]
            both = positives + negatives
            recall, was = (sum(p.flags[i, j] for i in positives) / len(positives) for p in (said, clean))
            fpr, before = (sum(p.flags[i, j] for i in negatives) / len(negatives) for p in (said, clean))
            expected |= {
                f"test/{label}/n{at}": len(both),
                f"test/{label}/positives{at}": len(positives),
                f"test/{label}/negatives{at}": len(negatives),
                f"test/{label}/changed{at}": sum(said.slices[CHANGED][i] == "yes" for i in both) / len(both),
                f"test/{label}/recall{at}": recall,
                f"test/{label}/recall_drop{at}": was - recall,
                f"test/{label}/fpr{at}": fpr,
                f"test/{label}/fpr_rise{at}": fpr - before,
            }
        rows = [i for i in range(600) if benign[i]]
        known = np.isfinite(clean.targets)
        now, was = (sum((known[i] & p.flags[i]).any() for i in rows) / len(rows) for p in (said, clean))
        expected |= {
            f"test/any/n{at}": len(rows),
            f"test/any/changed{at}": sum(said.slices[CHANGED][i] == "yes" for i in rows) / len(rows),
            f"test/any/fpr{at}": now,
            f"test/any/fpr_rise{at}": now - was,
        }
    assert figures == pytest.approx(expected)
    assert set(bounds) == {key for key in expected if key.split("/")[2].split("_")[0] in ("recall", "fpr")}
    assert all(low <= figures[key] <= high for key, (low, high) in bounds.items() if "drop" in key)


def test_an_interval_draws_the_same_groups_for_both_sides() -> None:
    """Against a loop over resamples of whole groups."""
    clean = predictions(900, 200)
    said = disguised(clean, 0.15)
    _, bounds = robustness(clean, {"k": said}, "test", resamples=3000)
    random, drops, alone = np.random.default_rng(9), [], []
    rows_of = {group: np.flatnonzero(clean.group == group) for group in set(clean.group)}
    names = sorted(rows_of)
    for _ in range(1500):
        drawn = np.concatenate([rows_of[names[i]] for i in random.integers(len(names), size=len(names))])
        positives = drawn[clean.targets[drawn, 0] > 0.5]
        drops.append(clean.flags[positives, 0].mean() - said.flags[positives, 0].mean())
        alone.append(said.flags[positives, 0].mean())
    low, high = bounds["test/hate/recall_drop/perturbation=k"]
    assert (low, high) == pytest.approx(tuple(np.quantile(drops, [0.025, 0.975])), abs=0.01)
    recall = bounds["test/hate/recall/perturbation=k"]
    assert recall == pytest.approx(tuple(np.quantile(alone, [0.025, 0.975])), abs=0.01)
    assert bounds == robustness(clean, {"k": said}, "test", resamples=3000)[1]
    paired = robustness(clean, {"j": disguised(clean, 0.9), "k": said}, "test", resamples=3000)[1]
    assert all(paired[key] == pair for key, pair in bounds.items())  # whatever else is judged beside it


def test_where_nothing_changes_sides_the_interval_says_how_little_is_known() -> None:
    clean = predictions(400, 400)
    same = dataclasses.replace(clean, slices={CHANGED: np.full(400, "no", dtype=object)})
    figures, bounds = robustness(clean, {"k": same}, "test")
    low, high = bounds["test/hate/recall_drop/perturbation=k"]
    assert figures["test/hate/recall_drop/perturbation=k"] == 0 == low + high
    assert 0 < high < 0.05
    assert figures["test/any/changed/perturbation=k"] == 0


def test_few_groups_give_no_interval_and_no_positive_no_figure() -> None:
    clean = predictions(200, 15)
    assert robustness(clean, {"k": disguised(clean, 0.2)}, "test")[1] == {}
    targets = np.zeros((50, 2), np.float32)
    targets[:, 1] = np.nan
    clean = dataclasses.replace(predictions(50, 50), targets=targets)
    figures, bounds = robustness(clean, {"k": disguised(clean, 0.2)}, "test")
    assert figures["test/hate/recall/perturbation=k"] is None
    assert figures["test/hate/recall_drop/perturbation=k"] is None
    assert not any("harassment" in key or "/recall" in key for key in bounds)
    assert not any("harassment" in key for key in figures)


def test_other_rows_are_refused() -> None:
    clean = predictions(50, 50)
    with pytest.raises(ValueError, match="rows"):
        robustness(clean, {"k": disguised(clean.select(np.arange(49)), 0.2)}, "test")


def test_a_sample_holds_so_many_of_each_by_whole_groups() -> None:
    rows = predictions(3000, 700)
    found = sample(rows, most_positives=100, most_allowed=200, seed=1)
    assert list(found) == sorted(set(found))
    assert list(found) == list(sample(rows, most_positives=100, most_allowed=200, seed=1))
    assert list(found) != list(sample(rows, most_positives=100, most_allowed=200, seed=2))
    benign = np.nan_to_num(rows.targets, nan=0).max(axis=1) < 0.5
    benign &= np.isfinite(rows.targets).any(axis=1)
    kinds = [benign, rows.targets[:, 0] > 0.5, rows.targets[:, 1] > 0.5]
    for kind, most in zip(kinds, (200, 100, 100), strict=True):
        mine = [row for row in found if kind[row]]
        assert len(mine) >= most
    assert len(found) <= 400
    of = robustness(
        rows, {"k": disguised(rows, 0.1)}, "t", most_positives=100, most_allowed=200, seed=1, resamples=9
    )
    alone = rows.select(found)
    figures = robustness(
        alone,
        {"k": disguised(rows, 0.1).select(found)},
        "t",
        most_positives=100,
        most_allowed=200,
        seed=1,
        resamples=9,
    )[0]
    assert figures == of[0]  # what was drawn for other labels enters no figure
    assert figures["t/hate/positives/perturbation=k"] == 100
    assert figures["t/any/n/perturbation=k"] == 200
    for kind in kinds[:1]:
        mine = {row for row in found if kind[row]}
        cut = {g for g in set(rows.group[list(mine)]) if set(np.flatnonzero(kind & (rows.group == g))) - mine}
        assert len(cut) <= 1
    assert len(sample(rows, most_positives=5000, most_allowed=5000)) == (kinds[0] | kinds[1] | kinds[2]).sum()
    order = np.random.default_rng(0).permutation(3000)
    shuffled = rows.select(order)
    again = sample(shuffled, most_positives=100, most_allowed=200, seed=1)
    assert len(set(rows.group[found]) ^ set(shuffled.group[again])) <= 6  # but for groups cut at the limit


def test_disguises_say_which_texts_they_changed() -> None:
    texts, ids = ["nobody talks about suicide", "안녕하세요", ""], ["a", "b", "c"]
    found = list(disguises(texts, ids, seed=4))
    assert [kind for kind, _, _ in found] == list(KINDS)
    for kind, said, changed in found:
        assert said == [perturb(text, kind, seed=4, key=id) for text, id in zip(texts, ids, strict=True)]
        assert [value == "yes" for value in changed] == [a != b for a, b in zip(said, texts, strict=True)]
    assert {kind for kind, _, changed in found if changed[0] == "yes"} >= {"leetspeak", "algospeak", "case"}
