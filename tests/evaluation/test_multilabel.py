"""The metric as somebody else's training script would use it: another process, another folder, no network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from train.evaluation.metrics import measure

ROOT = Path(__file__).parents[2]
SCRIPT = """
import json, sys
sys.modules["transformers"] = None  # `evaluate` would import it, in five seconds, and use none of it here
import evaluate
del sys.modules["transformers"]
import numpy as np

metric = evaluate.load(sys.argv[1])
given = json.load(sys.stdin)
p, y = given["predictions"], given["references"]
out = {"all": metric.compute(predictions=p, references=y, labels=["hate", "harassment"], name="test")}
minus = [[-1 if v != v else v for v in row] for row in y]
for i in range(0, len(p), 7):
    metric.add_batch(predictions=p[i : i + 7], references=minus[i : i + 7])
out["batches"] = metric.compute(labels=["hate", "harassment"], name="test")
out["arrays"] = metric.compute(
    predictions=np.array(p, np.float32),
    references=np.array(y, np.float32),
    threshold={"label_0": 0.2, "label_1": 0.9},
)
out["errors"] = []
for bad in (dict(labels=["one"]), dict(predictions=[[3.0, 0.1]] * len(p))):
    try:
        metric.compute(**{"predictions": p, "references": y, **bad})
    except ValueError as error:
        out["errors"].append(str(error))
print(json.dumps(out, allow_nan=False))
"""


@pytest.fixture(scope="module")
def rows(random_predictions):
    return random_predictions(60)


@pytest.fixture(scope="module")
def output(rows, tmp_path_factory):
    folder = tmp_path_factory.mktemp("elsewhere")
    # A home of its own: `evaluate` caches the file and its rows there.
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HOME": str(folder)}
    environment |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_EVALUATE_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(ROOT / "train/evaluation/multilabel.py")],
        input=json.dumps({"predictions": rows.scores.tolist(), "references": rows.targets.tolist()}),
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_figures_equal_measure(output, rows):
    expected = measure(replace(rows, source=np.full(len(rows), "one", dtype=object)), "test")
    named = {
        key.replace("label0", "hate").replace("label1", "harassment"): value
        for key, value in expected.items()
    }
    assert output["all"] == named


def test_batches_with_minus_one_equal_one_call_with_nan(output):
    assert output["batches"] == output["all"]


def test_labels_have_default_names_and_thresholds_of_their_own(output, rows):
    known = np.isfinite(rows.targets[:, 0])
    flagged = (rows.scores[known, 0] >= 0.2)[rows.targets[known, 0] < 0.5]
    assert output["arrays"]["eval/label_0/fpr"] == pytest.approx(flagged.mean())


def test_wrong_inputs_are_told(output):
    assert output["errors"] == [
        "1 labels for 2 columns",
        "predictions must be probabilities from 0 to 1; apply a sigmoid to logits first",
    ]
