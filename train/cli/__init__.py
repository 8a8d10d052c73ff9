"""The verbs of `teensafe`. Each imports what it needs when it runs, so that --help and check stay instant."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from train.cli import data, handover, judging, scoring, training
from train.errors import guarded


def main(arguments: Sequence[str] | None = None) -> int:
    """The command `teensafe`; returns its exit code, as train/errors.py lists them."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["train"]:  # the same program as `accelerate launch -m train`
        from train.__main__ import main as train

        return train(given[1:], "teensafe train")
    if given[:1] == ["sweep"]:  # the same program as `accelerate launch -m train.sweep`
        from train.sweep.__main__ import main as sweep

        return sweep(given[1:], "teensafe sweep")
    options = _parser().parse_args(given)
    program = " ".join(filter(None, ("teensafe", options.verb, getattr(options, "stage", ""))))
    return guarded(program, lambda: int(options.work(options)))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="teensafe",
        description="Fine-tune, judge and hand over content classifiers that protect minors.",
        epilog="start with: teensafe train recipes/quickstart.yaml; runs are kept in $TEENSAFE_RUNS (./runs)",
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for group in (training, judging, handover, scoring, data):
        group.add(verbs)
    return parser
