from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.gaps.conftest import TRIAL, policy_of, predictions_of
from train.evaluation.predictions import joined
from train.gaps.few import ENOUGH_TO_LEARN, few
from train.gaps.finding import Found, search
from train.gaps.ground import Ground, from_lock
from train.gaps.held import Held
from train.gaps.obfuscation import disguised, turned
from train.gaps.one_source import one_source
from train.gaps.own_threshold import own_threshold

COUNTED = frozenset(["lang", "surface", "source"])


def ground(**counts: tuple[int, int]) -> Ground:
    """Of label x: `all`, and slices as `lang_es`."""
    named = {None if name == "all" else name.replace("_", "=", 1): both for name, both in counts.items()}
    return Ground({("x", slice): both for slice, both in named.items()}, COUNTED)


def test_few_looks_at_the_label_before_the_slice() -> None:
    assert few(ground(all=(10, 900), lang_es=(0, 0)), TRIAL).cause == "too_few_positives"
    missing = few(ground(all=(500, 900), lang_es=(3, 40)), TRIAL)
    assert (missing.cause, missing.value, missing.action.rows) == ("missing_language", 3, 56)
    elsewhere = few(ground(all=(500, 900)), replace(TRIAL, slice="surface=chat"))
    assert (elsewhere.cause, elsewhere.action.where["surface"]) == ("too_few_positives", "chat")
    false_alarms = few(ground(all=(500, 900)), replace(TRIAL, slice="surface=chat", metric="fpr"))
    assert (false_alarms.cause, false_alarms.action.where["cell"]) == ("too_few_negatives", "negative")


def test_few_says_nothing_where_there_were_enough_or_nobody_counted() -> None:
    enough = ground(all=(500, 900), lang_es=(ENOUGH_TO_LEARN, ENOUGH_TO_LEARN))
    assert few(enough, TRIAL) is None
    assert few(Ground({("x", None): (500, 900)}, frozenset(["source"])), TRIAL) is None


def test_few_knows_a_language_by_its_other_name() -> None:
    found = few(
        ground(all=(500, 900), surface_chat=(99, 99)),
        replace(TRIAL, slice="surface=chat", also=("lang=es",)),
    )
    assert found.cause == "missing_language"


def test_one_source_is_told_where_the_gap_is_elsewhere() -> None:
    counted = ground(all=(1000, 900), source_a=(950, 500), source_b=(50, 400))
    predictions = predictions_of(np.arange(100) % 2, np.zeros(100), source=["b"] * 60 + ["a"] * 40)
    found = one_source(counted, predictions, np.ones(100, bool), TRIAL)
    assert (found.value, found.action.where["source"]) == (0.95, "!=a")
    assert (950 / (1000 + found.action.rows)) <= 0.9
    assert one_source(counted, predictions, predictions.source == "a", TRIAL) is None
    even = ground(all=(1000, 900), source_a=(850, 500), source_b=(150, 400))
    assert one_source(even, predictions, np.ones(100, bool), TRIAL) is None


def shifted(by: float, apart: float) -> Found:
    """Two languages, ranked alike or not, one with scores lower by `by`; thresholds at 0 keep the FPR."""
    random = np.random.default_rng(0)
    positive, spanish = np.arange(2000) % 2 == 0, np.arange(2000) % 4 < 2
    far = np.where(spanish, apart, 4.0)
    logit = np.where(positive, far, 0) + random.normal(size=2000) - np.where(spanish, by, 0) - 2
    predictions = predictions_of(positive, logit, slices={"lang": np.where(spanish, "es", "en")})
    known = ground(all=(900, 900), lang_es=(400, 400), lang_en=(500, 500))
    return search([Held("held-out", predictions)], known, policy_of("x"), None, None, {}, {}, {})


def test_a_slice_that_is_ranked_well_needs_its_own_threshold() -> None:
    (gap,) = shifted(by=2, apart=4).gaps
    assert (gap["slice"], gap["metric"], gap["cause"]) == ("lang=es", "recall", "threshold_mismatch")
    assert gap["evidence"][0]["value"] > 0.9
    assert (gap["action"]["kind"], gap["action"]["rows"]) == ("change", 0)


def test_a_slice_that_is_ranked_badly_is_hard() -> None:
    (gap,) = shifted(by=0, apart=1).gaps
    assert (gap["slice"], gap["cause"]) == ("lang=es", "hard")
    assert gap["evidence"][0]["value"] < 0.8 < gap["evidence"][0]["threshold"]


def test_own_threshold_needs_both_classes_inside_and_outside() -> None:
    predictions = predictions_of(np.ones(100), np.zeros(100), slices={"lang": ["es"] * 50 + ["en"] * 50})
    rows = predictions.slices["lang"] == "es"
    assert own_threshold(predictions, rows, TRIAL, policy_of("x").labels["x"].constraint) is None


def test_disguised_writing_comes_from_the_summary() -> None:
    place = "/perturbation=leet"
    figures = {
        f"test/x/recall_drop{place}": 0.4,
        f"test/x/positives{place}": 200,
        f"test/x/negatives{place}": 600,
        "test/x/prevalence": 0.1,
        "test/x/recall_drop/perturbation=case": 0.05,
        "test/x/positives/perturbation=case": 200,
        "test/x/recall_drop/perturbation=typos": 0.6,
        "test/x/positives/perturbation=typos": 12,
        "test/macro/recall_drop/perturbation=leet": 0.4,
    }
    intervals = {
        f"test/x/recall_drop{place}": [0.3, 0.5],
        "test/x/recall_drop/perturbation=case": [0.02, 0.08],
    }
    leet, case, typos = disguised(figures, intervals, ground(all=(300, 500)), ("x",), {})
    assert (leet.slice, leet.stake, leet.told.action.rows) == ("perturbation=leet", 0.1, 300)
    assert leet.p < 1e-6 and leet.shortfall == pytest.approx(0.4 - 1.645 * 0.2 / 3.92 - 0.1)
    assert case.proven and case.p > 0.9
    assert (typos.p, typos.proven, typos.ci) == (None, False, None)
    held = [Held("held-out", predictions_of([1], [1]))]
    found = search(held, ground(), policy_of("x"), None, None, figures, intervals, {})
    assert [(gap["cause"], gap["value"]) for gap in found.gaps] == [("obfuscation", 0.4)]
    assert "perturbation=typos" in [place["slice"] for place in found.unmeasured]


def of_disguises(*kinds: str) -> tuple[dict[str, float], dict[str, list[float]]]:
    """Figures and intervals of a label that each kind costs much recall, the first the most."""
    figures: dict[str, float] = {}
    intervals = {}
    for at, kind in enumerate(kinds):
        drop = 0.6 - 0.1 * at
        figures |= {
            f"test/x/recall_drop/perturbation={kind}": drop,
            f"test/x/positives/perturbation={kind}": 200,
        }
        intervals[f"test/x/recall_drop/perturbation={kind}"] = [drop - 0.05, drop + 0.05]
    return figures, intervals


def test_a_labels_disguises_are_one_gap_with_one_action() -> None:
    figures, intervals = of_disguises("homoglyphs", "leetspeak+spacing", "algospeak_held_out")
    held = [Held("held-out", predictions_of([1], [1]))]
    (gap,) = search(
        held,
        ground(all=(300, 500)),
        policy_of("x"),
        None,
        None,
        figures,
        intervals,
        {},
        steps=("confusables",),
        turned=lambda trial: (f"an example of {trial.slice}",),
    ).gaps
    assert gap["slice"] == "perturbation=homoglyphs"
    assert gap["examples"] == ["an example of perturbation=homoglyphs"]
    assert [evidence["value"] for evidence in gap["evidence"]] == pytest.approx([0.6, 0.5, 0.4])
    # a step that is on already is not advised, and coded words that are held out of training stay out
    assert gap["action"]["filter"].startswith(
        "model.normalise with leet, and a copy of each training text of x"
    )
    assert gap["action"]["where"]["perturbation"] == "homoglyphs, leetspeak+spacing, algospeak"
    assert gap["action"]["rows"] == 300


def test_examples_of_a_disguise_are_the_texts_that_it_turned(tmp_path: Path) -> None:
    (tmp_path / "predictions").mkdir()
    positive, made = [1, 1, 1, 0, 1, 1], [False] * 5 + [True]
    clean = predictions_of(positive, [2, 2, -2, 2, 2, 2], synthetic=made)
    parts = {"homoglyphs": [-1, 2, 2, -2, -3, -3], "leetspeak": [2, -9, 2, 2, 2, 2]}
    said = joined(
        [
            predictions_of(positive, logits, synthetic=made, slices={"perturbation": [kind] * 6})
            for kind, logits in parts.items()
        ]
    )
    trial = replace(TRIAL, set="test", slice="perturbation=homoglyphs", metric="recall_drop")
    assert turned(tmp_path, trial) == (), "a run that was judged without disguises has none"
    clean.write(tmp_path / "predictions" / "test.parquet")
    said.write(tmp_path / "predictions" / "test.disguised.parquet")
    assert turned(tmp_path, trial) == ("4", "0")
    assert turned(tmp_path, replace(trial, slice="perturbation=leetspeak")) == ("1",)
    assert turned(tmp_path, replace(trial, set="test.synthetic")) == ("5",)
    assert turned(tmp_path, replace(trial, metric="fpr_rise")) == ()


def test_the_lock_counts_sources_and_nothing_else() -> None:
    row = {"label": "x", "rows": 9, "known": 9}
    found = from_lock(
        {
            "rows": [
                row | {"source": "a", "split": "train", "positives": 3, "negatives": 6},
                row | {"source": "b", "split": "train", "positives": 1, "negatives": 8},
                row | {"source": "a", "split": "test", "positives": 9, "negatives": 0},
            ]
        }
    )
    assert (found.of("x", None), found.of("x", "source=b"), found.of("x", "source=z")) == (
        (4, 14),
        (1, 8),
        (0, 0),
    )
    assert found.of("x", "lang=es") is None
    assert found.sources("x") == {"a": (3, 6), "b": (1, 8)}
