"""The verb that scores texts: score."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from train.cli.options import Verbs
from train.errors import InputError, Problem

if TYPE_CHECKING:
    from train.bundle.manifest import Runtime
    from train.serving.predictor import Predictor


def add(verbs: Verbs) -> None:
    score = verbs.add_parser(
        "score",
        help="score a file of texts",
        description="One line of JSON a text, in input order: id, calibrated probability and flag by label.",
        epilog="example: teensafe score RUN --input comments.csv --output scores.jsonl",
    )
    score.add_argument("model", help="a run (its selected checkpoint), a checkpoint folder or a bundle")
    score.add_argument(
        "--input",
        required=True,
        type=Path,
        help="CSV, TSV, JSON, JSONL or Parquet with `text` or `turns` (and `id`)",
    )
    score.add_argument(
        "--output", required=True, type=Path, help="JSONL to write; it appears when all is scored"
    )
    score.add_argument(
        "--runtime",
        choices=("torch", "onnx", "onnx-int8"),
        help="of a bundle; default: torch where there is a GPU, else onnx",
    )
    score.set_defaults(work=_score)


def _score(options: argparse.Namespace) -> int:
    from train.serving.score import score
    from train.terminal import Terminal

    terminal = Terminal()
    predictor = _predictor(options.model, options.runtime)
    with terminal.bar("score", total=None) as advance:
        count = score(predictor, options.input, options.output, advance)
    terminal.say(f"{count} texts scored: {options.output}")
    return 0


def _predictor(model: str, runtime: Runtime | None) -> Predictor:
    """Raises InputError, Failure."""
    from train.bundle.manifest import MANIFEST
    from train.bundle.runtime import open_bundle
    from train.serving.predictor import Predictor

    if (Path(model) / MANIFEST).is_file():
        return open_bundle(Path(model), runtime)
    if runtime is not None:
        what = f"--runtime {runtime}: {model} is no bundle"
        raise InputError(Problem("command line", what, "a bundle", f"teensafe export {model} --to BUNDLE"))
    return Predictor.load(model)
