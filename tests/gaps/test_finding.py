"""`teensafe gaps` on a real finished run of hostile texts, some of tier 3."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import GRAVE, SENTINEL
from train.cli import main
from train.errors import Failure, InputError
from train.evaluation.predictions import Predictions
from train.gaps.finding import GAPS, UNMEASURED, find, prevalences, read
from train.gaps.held import held_out
from train.tracking.run import judged_digest, summary

pytestmark = pytest.mark.slow

DESIGNED = {"id", "label", "slice", "cause", "metric", "value", "ci", "n", "target", "action"}


@pytest.fixture
def own(told_once: Path, tmp_path: Path) -> Path:
    """A copy of the run."""
    return Path(shutil.copytree(told_once, tmp_path / told_once.name, symlinks=True))


def test_gaps_of_a_run(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert read(own) is None
    assert main(["gaps", str(own), "--json"]) == 0
    out = capsys.readouterr().out
    found = read(own)
    assert found is not None and json.loads(out) == {
        "gaps": found.gaps,
        "unmeasured": found.unmeasured,
        "notes": [],
    }
    assert found.gaps and all(gap.keys() >= DESIGNED for gap in found.gaps)
    assert all(gap["action"].keys() == {"kind", "rows", "filter", "where"} for gap in found.gaps)
    ids = [entry["id"] for entry in (*found.gaps, *found.unmeasured)]
    assert len(set(ids)) == len(ids)
    known = set(Predictions.read(own / "predictions" / "test.parquet").ids)
    examples = [id for gap in found.gaps for id in gap["examples"]]
    assert known & set(examples) and all(len(gap["examples"]) <= 20 for gap in found.gaps)
    assert main(["gaps", str(own)]) == 0
    table = capsys.readouterr().out
    for said in (out, table, (own / GAPS).read_text(), (own / UNMEASURED).read_text()):
        assert SENTINEL not in said and GRAVE not in said
    assert "not a pass" in table
    assert read(own) == found  # the same run has the same gaps
    assert json.loads((own / UNMEASURED).read_text())["judged"] == judged_digest(summary(own))


def test_without_the_data_it_says_what_it_cannot_tell(own: Path) -> None:
    whole = find(str(own))
    recipe = own / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("toy.csv", "gone.csv"))
    found = find(str(own))
    assert len(found.notes) == 1 and "not all here" in found.notes[0]
    assert {gap["id"] for gap in found.gaps} <= {gap["id"] for gap in whole.gaps}
    assert read(own) == found


def test_data_that_changed_are_not_what_the_run_was_trained_on(own: Path) -> None:
    lock = json.loads((own / "recipe.lock").read_text())
    (own / "recipe.lock").write_text(json.dumps(lock | {"sha256": "0" * 64}))
    (note,) = find(str(own)).notes
    assert "have changed since" in note


def test_suites_are_sets_of_their_own(own: Path) -> None:
    test = Predictions.read(own / "predictions" / "test.parquet")
    for name in ("suite.benign", "suite.benign-dev"):
        suite = replace(test, split=np.full(len(test), name, dtype=object))
        suite.write(own / "predictions" / f"{name}.parquet")
    assert [part.name for part in held_out(own, None)] == ["held-out", "held-out.synthetic", "suite.benign"]
    found = find(str(own))
    assert "suite.benign" in {entry["set"] for entry in (*found.gaps, *found.unmeasured)}


def test_predictions_of_another_corpus_are_refused(own: Path) -> None:
    path = own / "predictions" / "test.parquet"
    test = Predictions.read(path)
    test.select(np.arange(len(test))[::-1]).write(path)
    with pytest.raises(Failure, match="not the texts"):
        find(str(own))


def test_stated_prevalences() -> None:
    assert prevalences(["hate=0.01", "harassment=.2"]) == {"hate": 0.01, "harassment": 0.2}
    with pytest.raises(InputError) as caught:
        prevalences(["hate=2", "hate", "hate=x"])
    assert len(caught.value.problems) == 3


def test_a_wrong_command_says_so(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gaps", str(own), "--prevalence", "hatred=0.01"]) == 2
    assert "no label of this run" in capsys.readouterr().err
    assert main(["gaps", str(own.parent / "nothing")]) == 2


def test_a_damaged_file_is_a_failure(own: Path) -> None:
    (own / GAPS).write_text("[")
    with pytest.raises(Failure):
        read(own)
