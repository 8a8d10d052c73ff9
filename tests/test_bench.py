"""scripts/bench: how two ways are timed in turns, and what is told of it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY

sys.path.insert(0, str(REPOSITORY / "scripts"))
from benchmarks.measure import Goal, alternated, goal, timed
from benchmarks.table import table


def test_ways_take_turns() -> None:
    """Once each unmeasured, then in turns, the other first in every other round."""
    went: list[str] = []

    def way(name: str, seconds: list[float]) -> tuple[int, float]:
        went.append(name)
        return 100, seconds.pop(0)

    ours, theirs = [9.0, 1.0, 2.0, 4.0], [9.0, 2.0, 2.0, 2.0]
    found = alternated({"a": lambda: way("a", ours), "b": lambda: way("b", theirs)}, 3)
    assert "".join(went) == "ab" + "ab" + "ba" + "ab"
    assert found == {"a": [100, 50, 25], "b": [50, 50, 50]}
    one = goal("work", "peer", found["a"], found["b"], (1.1, 1.4), 100)
    assert (one.ratio, one.spread, one.rounds, one.per_second) == (1, (0.5, 2), 3, (50, 50))
    assert json.loads(json.dumps(one.document()))["at_least"] == 1.1
    texts, seconds = timed(lambda: 7)()
    assert texts == 7 and 0 <= seconds < 1


def test_the_table_says_what_it_was_measured_on() -> None:
    machine = {
        "processor": "P",
        "threads": 2,
        "load": 0.1,
        "memory_gb": 24,
        "packages": {"torch": "1"},
        "gflops": {"bf16": 900, "fp32": 200},
    }
    equal = {"ours": [0.5, 0.6], "theirs": [0.5, 0.5], "difference": 0.05, "low": -0.6, "high": 0.7}
    said = table(machine, [Goal("train", "peer", 1.5, 1.1, 1.4, (1.3, 1.6), 5, (200.4, 133.6), 1024, equal)])
    assert "| train | peer | 1.50 (1.30–1.60, 5 rounds of 1,024) | 1.1 | 1.4 | 200, 134 |" in said
    assert "900 GFLOP/s in bf16" in said and "+0.050 (-0.600 to +0.700)" in said


@pytest.mark.parametrize(("arguments", "code"), [(["--help"], 0), (["nothing"], 2)])
def test_what_there_is_to_measure(arguments: list[str], code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *arguments],
        cwd=REPOSITORY / "scripts",
        env={"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, done.stderr
    assert "train, sweep, score" in done.stdout + done.stderr
