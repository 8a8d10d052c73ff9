"""Does a saved checkpoint, loaded by a new process, give the scores it gave when it was trained?

The new process reads {"checkpoint", "texts"} on standard input and prints the logits.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from train.errors import Failure, Problem

TOLERANCE = {"fp32": 1e-4, "bf16": 5e-2}
"""Largest difference of a logit. The same machine gives 0; another one rounds differently."""


def largest_difference(checkpoint: Path, texts: Sequence[str], expected: np.ndarray, precision: str) -> float:
    """Largest absolute difference between the logits a new process computes and `expected` [n, L].

    Raises Failure above TOLERANCE.
    """
    request = json.dumps({"checkpoint": str(checkpoint), "texts": list(texts)})
    done = subprocess.run(
        [sys.executable, "-m", "train.serving.reload"],
        input=request,
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,  # a signal to the group is the training's to answer
    )
    if done.returncode != 0:
        raise _differs(
            checkpoint, f"a new process could not load it: {done.stderr.strip().splitlines()[-1:]}"
        )
    found = np.array(json.loads(done.stdout), dtype=np.float32)
    difference = float(np.abs(found - expected).max())
    if not difference <= TOLERANCE[precision]:
        raise _differs(
            checkpoint, f"reloaded logits differ by {difference:.3g}, more than {TOLERANCE[precision]:g}"
        )
    return difference


def _differs(checkpoint: Path, what: str) -> Failure:
    return Failure(
        Problem(
            str(checkpoint),
            what,
            "the scores of the trained model",
            "please report this: weights were lost on the way",
        )
    )


def _main() -> None:
    from train.serving.predictor import Predictor, load_for_scoring

    request = json.load(sys.stdin)
    predictor = Predictor(load_for_scoring(Path(request["checkpoint"])), {})
    found = predictor.logits(request["texts"])
    assert found is not None  # nothing stops it
    json.dump(found.tolist(), sys.stdout)


if __name__ == "__main__":
    _main()
