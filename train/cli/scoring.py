"""The verb that scores texts: score."""

from __future__ import annotations

import argparse
from pathlib import Path

from train.cli.options import Verbs


def add(verbs: Verbs) -> None:
    score = verbs.add_parser(
        "score",
        help="score a file of texts",
        description="One line of JSON a text, in input order: id, calibrated probability and flag by label.",
        epilog="example: teensafe score RUN --input comments.csv --output scores.jsonl",
    )
    score.add_argument("model", help="a run (its selected checkpoint) or a checkpoint folder")
    score.add_argument(
        "--input",
        required=True,
        type=Path,
        help="CSV, TSV, JSON, JSONL or Parquet with `text` or `turns` (and `id`)",
    )
    score.add_argument(
        "--output", required=True, type=Path, help="JSONL to write; it appears when all is scored"
    )
    score.set_defaults(work=_score)


def _score(options: argparse.Namespace) -> int:
    from train.serving.predictor import Predictor
    from train.serving.score import score
    from train.terminal import Terminal

    terminal = Terminal()
    predictor = Predictor.load(options.model)
    with terminal.bar("score", total=None) as advance:
        count = score(predictor, options.input, options.output, advance)
    terminal.say(f"{count} texts scored: {options.output}")
    return 0
