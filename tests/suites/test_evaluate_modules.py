"""The suites' metrics as `evaluate` loads them give what the project's own functions give."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from train.evaluation.lists import from_lists
from train.suites.functionalities import functional
from train.suites.subgroups import subgroups

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HOME", str(tmp_path_factory.mktemp("hf")))
        if (
            "transformers" not in sys.modules
        ):  # `evaluate` would import it, in five seconds, and use none of it
            patch.setitem(sys.modules, "transformers", None)
        import evaluate
    return lambda name: evaluate.load(str(ROOT / "train" / "suites" / f"{name}.py"))


@pytest.fixture(scope="module")
def lists() -> tuple[Any, Any]:
    random = np.random.default_rng(0)
    targets = (random.random((400, 2)) < 0.5).astype(float)
    scores = np.clip(targets * 0.3 + random.random((400, 2)) * 0.7, 0, 1)
    targets[::11, 1] = -1
    return scores.tolist(), targets.tolist()


def test_bias(load: Any, lists: tuple[Any, Any]) -> None:
    scores, targets = lists
    mask = np.arange(400) % 3 == 0
    found = load("bias").compute(
        predictions=scores, references=targets, mentions={"identity=x": mask.tolist()}, name="t"
    )
    assert found == subgroups(from_lists(scores, targets), {"identity=x": mask}, "t")[0]
    assert 0.5 < found["t/label_0/bpsn_auc/identity=x"] < 1
    with pytest.raises(ValueError, match="there are 400 texts"):
        load("bias").compute(predictions=scores, references=targets, mentions={"identity=x": [True]})


def test_minimal_pairs(load: Any, lists: tuple[Any, Any]) -> None:
    scores, targets = lists
    pairs, tested = [str(i // 2) for i in range(400)], [f"f{i // 100}" for i in range(400)]
    found = load("minimal_pairs").compute(
        predictions=scores, references=targets, pairs=pairs, functionalities=tested, threshold=0.5, name="t"
    )
    rows = from_lists(scores, targets, None, 0.5, pairs, {"functionality": tested})
    assert found == functional(rows, "t")[0]
    assert found["t/all/functionalities"] == 4


def test_a_text_without_a_pair_is_alone(load: Any, lists: tuple[Any, Any]) -> None:
    scores, targets = lists
    pairs = [str(n // 2) if n < 100 else None for n in range(400)]
    told = {"predictions": scores, "references": targets, "functionalities": ["f"] * 400}
    found = load("minimal_pairs").compute(pairs=pairs, **told)
    alone = load("minimal_pairs").compute(pairs=[p or f"own {n}" for n, p in enumerate(pairs)], **told)
    assert found == alone
    with pytest.raises(ValueError, match="a label stands twice"):
        load("minimal_pairs").compute(pairs=pairs, labels=["x", "x"], **told)
