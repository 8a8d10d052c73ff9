"""scripts/bench [--quick] [--json] [NAME ...]: see --help."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from train.errors import guarded

NAMES = ("train", "sweep", "score")
QUICK = ("train", "score")


OTHERS = {
    "dedup": "near-duplicates among a million texts, beside datasketch",
    "growth": "time and memory against rows and labels, and cold starts",
    "audit": "planted label errors, beside chance",
}
"""Measures with options of their own: scripts/bench dedup --help."""


def main(arguments: Sequence[str]) -> int:
    if arguments and arguments[0] in OTHERS:
        return int(import_module(f"benchmarks.{arguments[0]}").main(arguments[1:]))
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="How fast the program is, each figure beside what one would otherwise run: both ways in "
        "turns, in one process, on real tweets ($TEENSAFE_DATA). Shown is the median ratio over rounds, and "
        "in brackets the least and the greatest.",
        epilog="Also, with options of their own: "
        f"{'; '.join(f'{name} ({what})' for name, what in OTHERS.items())}. The figures of full runs "
        "stand in recipes/README.md.",
    )
    parser.add_argument("name", nargs="*", help=f"{', '.join(NAMES)}; default: all, of --quick all but sweep")
    parser.add_argument("--quick", action="store_true", help="training and scoring in under ten minutes")
    parser.add_argument("--json", action="store_true", help="a JSON document")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.name if name not in NAMES]:
        parser.error(f"{', '.join(unknown)}: one of {', '.join(NAMES)}")
    from benchmarks import scoring, sweeping, training
    from benchmarks.machine import machine
    from benchmarks.table import table

    benches: dict[str, Callable[[], list]] = {  # type: ignore[type-arg]
        "train": lambda: training.goals(2, 1024) if options.quick else training.goals(5, 1024, (1, 2, 3)),
        "sweep": sweeping.goals,
        "score": lambda: scoring.goals(3 if options.quick else 7, 2048),
    }
    chosen = options.name or (QUICK if options.quick else NAMES)
    said = machine()
    goals = [goal for name, bench in benches.items() if name in chosen for goal in bench()]
    if options.json:
        sys.stdout.write(
            json.dumps({"machine": said, "goals": [goal.document() for goal in goals]}, indent=1) + "\n"
        )
    else:
        sys.stdout.write(table(said, goals))
    return 0


if __name__ == "__main__":
    sys.exit(guarded("scripts/bench", lambda: main(sys.argv[1:])))
