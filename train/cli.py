"""The verbs of `teensafe`. Each imports what it needs when it runs, so that --help and check stay instant."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from train.errors import InputError, guarded


def main(arguments: Sequence[str] | None = None) -> int:
    """The command `teensafe`; returns its exit code, as train/errors.py lists them."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["train"]:  # the same program as `accelerate launch -m train`
        from train.__main__ import main as train

        return train(given[1:], "teensafe train")
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

    check = verbs.add_parser("check", help="find every mistake in a recipe without training or reading rows")
    _recipe(check)
    check.set_defaults(work=_check)

    plan = verbs.add_parser(
        "plan", help="read the data and count: rows, known and positive cells, tokens, steps"
    )
    _recipe(plan)
    plan.add_argument("--json", action="store_true", help="one JSON document on stdout")
    plan.set_defaults(work=_plan)

    schema = verbs.add_parser("schema", help="print the JSON Schema of a recipe, for editors")
    schema.set_defaults(work=_schema)

    # never reached: `main` hands it on; here so that `teensafe --help` lists it
    verbs.add_parser(
        "train", help="train a recipe, or resume it; = accelerate launch -m train", add_help=False
    )

    evaluate = verbs.add_parser(
        "evaluate",
        help="judge a finished run's selected checkpoint again: test split, suites, gates",
        description="Judge a finished run's selected checkpoint: its test split, the suites and gates of its "
        "recipe, and those given here. Writes figures, predictions and report.html into the run's folder; "
        "exits with 3 where a gate does not hold.",
        epilog="example: %(prog)s RUN --suite recipes/suites/xstest.yaml "
        "--gate 'suite.xstest/any/fpr <= 0.02'",
    )
    evaluate.add_argument("run", help="run folder, or its name under $TEENSAFE_RUNS")
    evaluate.add_argument(
        "--suite", action="append", default=[], metavar="FILE", help="judge by this suite too (repeatable)"
    )
    evaluate.add_argument(
        "--gate", action="append", default=[], metavar="TEXT", help="ask this gate too (repeatable)"
    )
    evaluate.add_argument("--json", action="store_true", help="one JSON document on stdout")
    evaluate.set_defaults(work=_evaluate)

    gaps = verbs.add_parser(
        "gaps",
        help="a finished run's weaknesses, ranked by harm, each with its likely cause and what to do",
        description="Weaknesses beyond chance, worst first, also in the run's gaps.json. What has too few "
        "texts to tell is listed as unmeasured, never as passed.",
        epilog="example: teensafe gaps RUN --prevalence hate=0.01",
    )
    gaps.add_argument("run", help="run folder, or its name under $TEENSAFE_RUNS")
    gaps.add_argument(
        "--prevalence",
        action="append",
        default=[],
        metavar="LABEL=SHARE",
        help="share of texts with the label where the model is used; default: as in the held-out texts",
    )
    gaps.add_argument("--json", action="store_true", help="one JSON document on stdout")
    gaps.set_defaults(work=_gaps)

    report = verbs.add_parser("report", help="write a finished run's report.html again, from its files")
    report.add_argument("run", help="run folder, or its name under $TEENSAFE_RUNS")
    report.set_defaults(work=_report)

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

    _data(verbs.add_parser("data", help="get the data that recipes read"))
    return parser


def _data(data: argparse.ArgumentParser) -> None:
    stages = data.add_subparsers(dest="stage", required=True, metavar="STAGE")
    fetch = stages.add_parser(
        "fetch",
        help="public sources, from pinned upstream commits, sha256 checked",
        description="Bring public sources to DIR/<name>/, each with a SOURCE.md that says whose it is. "
        "What is there and whole is left alone; what was cut goes on where it stopped. "
        "The texts hold real abuse.",
        epilog="example: teensafe data fetch davidson; proxies are taken from HTTPS_PROXY",
    )
    fetch.add_argument("name", nargs="*", help="a source, as --list names it; default: all")
    fetch.add_argument("--to", type=Path, metavar="DIR", help="default: $TEENSAFE_DATA, else ./data")
    fetch.add_argument("--list", action="store_true", help="print what there is, without any network")
    fetch.add_argument(
        "--from",
        dest="mirror",
        metavar="URL",
        help="a server that holds a copy of DIR, asked instead of GitHub",
    )
    fetch.add_argument(
        "--force", action="store_true", help="replace files that differ from what is published"
    )
    fetch.set_defaults(work=_data_fetch)


def _recipe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", help="recipe file (YAML)")
    parser.add_argument("override", nargs="*", help="key=value, as in train.lr=1e-4; null removes a value")


def _check(options: argparse.Namespace) -> int:
    from train.checks import check
    from train.recipe import load

    recipe = load(options.recipe, options.override)
    errors, warnings = check(recipe)
    for warning in warnings:
        sys.stderr.write(f"warning: {warning}\n")
    if errors:
        raise InputError(errors)
    sources, labels = len(recipe.data.sources), recipe.labels or tuple(recipe.policy.labels)
    sys.stderr.write(
        f"{options.recipe}: no mistake found ({sources} source(s), up to {len(labels)} label(s))\n"
    )
    return 0


def _plan(options: argparse.Namespace) -> int:
    from train.lock import resolve
    from train.planning import plan, show
    from train.recipe import load
    from train.terminal import Terminal

    resolved = resolve(load(options.recipe, options.override))
    found = plan(resolved)
    if options.json:
        sys.stdout.write(json.dumps(found, allow_nan=False) + "\n")
    else:
        show(found, resolved, Terminal())
    return 0


def _schema(options: argparse.Namespace) -> int:
    from train.recipe import json_schema

    sys.stdout.write(json.dumps(json_schema(), indent=2) + "\n")
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    from train.judgement import exit_code, show
    from train.reevaluation import evaluate
    from train.terminal import Terminal

    summary = evaluate(options.run, options.suite, options.gate)
    if options.json:
        sys.stdout.write(json.dumps(summary, allow_nan=False) + "\n")
    else:
        show(summary, Terminal())
    return exit_code(summary)


def _gaps(options: argparse.Namespace) -> int:
    from dataclasses import asdict

    from train.gaps.finding import find, prevalences
    from train.gaps.table import tables
    from train.terminal import Terminal

    found = find(options.run, prevalences(options.prevalence))
    if options.json:
        sys.stdout.write(json.dumps(asdict(found), allow_nan=False) + "\n")
        return 0
    for drawn in tables(found):
        Terminal().show(drawn)
    return 0


def _report(options: argparse.Namespace) -> int:
    from train.report.page import write
    from train.tracking.run import find

    sys.stdout.write(f"{write(find(options.run))}\n")
    return 0


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


def _data_fetch(options: argparse.Namespace) -> int:
    from train.data.public import chosen, data_folder, listing

    sources = chosen(options.name)
    if options.list:
        sys.stdout.writelines(f"{line}\n" for line in listing(sources))
        return 0
    from train.data.fetch import fetch
    from train.terminal import Terminal

    fetch(sources, options.to or data_folder(), Terminal(), mirror=options.mirror, force=options.force)
    return 0


if __name__ == "__main__":
    sys.exit(main())
