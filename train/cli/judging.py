"""Verbs that judge finished runs: evaluate, compare, gaps, baseline, report."""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from train.cli.options import Verbs, as_json, run
from train.errors import InputError, Problem

if TYPE_CHECKING:
    from train.baselines.attempt import Baseline
    from train.terminal import Terminal


def add(verbs: Verbs) -> None:
    evaluate = verbs.add_parser(
        "evaluate",
        help="judge a finished run's selected checkpoint again: test split, suites, gates",
        description="Judge a finished run's selected checkpoint: its test split, the suites and gates of its "
        "recipe, and those given here. Writes figures, predictions and report.html into the run's folder; "
        "exits with 3 where a gate does not hold.",
        epilog="example: %(prog)s RUN --suite recipes/suites/xstest.yaml "
        "--gate 'suite.xstest/any/fpr <= 0.02'",
    )
    run(evaluate)
    evaluate.add_argument(
        "--suite", action="append", default=[], metavar="FILE", help="judge by this suite too (repeatable)"
    )
    evaluate.add_argument(
        "--gate", action="append", default=[], metavar="TEXT", help="ask this gate too (repeatable)"
    )
    as_json(evaluate)
    evaluate.set_defaults(work=_evaluate)

    _compare_options(
        verbs.add_parser("compare", help="does one run, or recipe, beat another? on the same texts")
    )

    gaps = verbs.add_parser(
        "gaps",
        help="a finished run's weaknesses, ranked by harm, each with its likely cause and what to do",
        description="Weaknesses beyond chance, worst first, also in the run's gaps.json. What has too few "
        "texts to tell is listed as unmeasured, never as passed.",
        epilog="example: teensafe gaps RUN --prevalence hate=0.01",
    )
    run(gaps)
    gaps.add_argument(
        "--prevalence",
        action="append",
        default=[],
        metavar="LABEL=SHARE",
        help="share of texts with the label where the model is used; default: as in the held-out texts",
    )
    as_json(gaps)
    gaps.set_defaults(work=_gaps)

    _baseline_options(
        verbs.add_parser(
            "baseline",
            help="judge what anyone would try first, on a finished run's own rows",
            description="Fit a baseline on a finished run's train rows, or none, set its thresholds on the "
            "calibration rows by the policy as the run did, and judge it by the same code. It is left in "
            "RUN/baselines/KIND, for `teensafe compare RUN RUN/baselines/KIND`.",
            epilog="example: %(prog)s RUN prompted --endpoint https://HOST/v1 --model NAME --rows 500",
        )
    )

    report = verbs.add_parser("report", help="write a finished run's report.html again, from its files")
    run(report)
    report.set_defaults(work=_report)


def _compare_options(compare: argparse.ArgumentParser) -> None:
    compare.description = (
        "Runs of one recipe with other seeds form a side; sides are held against the first one named. "
        "With 3 seeds a side the answer is about recipes, else about checkpoints."
    )
    compare.epilog = (
        "examples: teensafe compare A B; teensafe compare A1 A2 A3 B1 B2 B3 --html compare.html; "
        "seeds of one recipe against others of it: teensafe compare A1 A2 A3 --against A4 A5 A6"
    )
    run(compare, nargs="+")
    compare.add_argument(
        "--against",
        nargs="+",
        action="append",
        default=[],
        metavar="RUN",
        help="another side; may be repeated",
    )
    compare.add_argument("--baseline", metavar="RUN", help="hold the others against this run's side")
    compare.add_argument("--html", type=Path, metavar="F", help="write a page")
    compare.add_argument("--wandb", action="store_true", help="log it to Weights & Biases")
    as_json(compare)
    compare.set_defaults(work=_compare)


def _baseline_options(parser: argparse.ArgumentParser) -> None:
    run(parser)
    kinds = "tfidf: with logistic regression; keywords: a word list; prompted: an LLM shown the policy; "
    parser.add_argument(
        "kind",
        choices=("tfidf", "keywords", "prompted", "trainer"),
        help=kinds + "trainer: transformers' own",
    )
    parser.add_argument("--keywords", type=Path, metavar="FILE", help="your word list; default: a plain one")
    asked = parser.add_argument_group("prompted")
    asked.add_argument("--endpoint", metavar="URL", help="OpenAI-compatible server, such as https://HOST/v1")
    asked.add_argument("--model", metavar="NAME", help="as the server calls it")
    asked.add_argument(
        "--rows", type=int, metavar="N", help="ask about a sample: N calibration and N test rows"
    )
    asked.add_argument(
        "--key-env",
        default="OPENAI_API_KEY",
        metavar="NAME",
        help="variable with its key; default: %(default)s",
    )
    asked.add_argument("--at-once", type=int, default=4, metavar="N", help="questions at a time; default: 4")
    asked.add_argument(
        "--send-escalated",
        action="store_true",
        help="send another machine also texts that a label of tier 3 holds for or may hold for",
    )
    as_json(parser)
    parser.set_defaults(work=_baseline)


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


def _compare(options: argparse.Namespace) -> int:
    from train.comparison.compare import compare
    from train.comparison.sides import sides
    from train.terminal import Terminal

    terminal, given = Terminal(), sides(options.run, options.against, options.baseline)
    with terminal.bar("sets compared", None) as advance:
        document = compare(given, advance)
    if options.json:
        sys.stdout.write(json.dumps(document, allow_nan=False) + "\n")
    else:
        from train.comparison.table import shown

        for part in shown(document):
            terminal.show(part)
    if options.html:
        from train.comparison.page import write

        terminal.say(f"page: {write(document, options.html)}")
    if options.wandb:
        from train.comparison.publishing import publish

        terminal.say(publish(document, given))
    return 0


def _gaps(options: argparse.Namespace) -> int:
    from dataclasses import asdict

    from train.gaps.finding import find, prevalences
    from train.gaps.table import tables
    from train.report.page import write
    from train.terminal import Terminal
    from train.tracking.run import find as run_folder

    found = find(options.run, prevalences(options.prevalence))
    write(run_folder(options.run))  # the report has a section of them
    if options.json:
        sys.stdout.write(json.dumps(asdict(found), allow_nan=False) + "\n")
        return 0
    for drawn in tables(found):
        Terminal().show(drawn)
    return 0


def _baseline(options: argparse.Namespace) -> int:
    from train.baselines.judging import baseline, show
    from train.terminal import Terminal

    terminal = Terminal()
    summary = baseline(options.run, options.kind, _attempt(options, terminal))
    if options.json:
        sys.stdout.write(json.dumps(summary, allow_nan=False) + "\n")
    else:
        show(summary, terminal)
    return 0


def _attempt(options: argparse.Namespace, terminal: Terminal) -> Baseline:
    """What the kind of baseline is, with its own options. Raises InputError."""
    if options.kind == "tfidf":
        from train.baselines.tfidf import tfidf

        return tfidf
    if options.kind == "trainer":
        from train.baselines.trainer import trainer

        return trainer
    if options.kind == "keywords":
        from train.baselines.keywords import SHIPPED, keywords

        return partial(keywords, options.keywords or SHIPPED)
    from train.baselines.prompted import Asking, prompted
    from train.llm.endpoint import Endpoint

    if options.endpoint is None or options.model is None:
        remedy = "--endpoint http://127.0.0.1:8080/v1 --model NAME"
        raise InputError(Problem("command line", "prompted asks a model", "--endpoint and --model", remedy))
    for name in ("rows", "at_once"):
        if (value := getattr(options, name)) is not None and value < 1:
            raise InputError(Problem("command line", f"--{name.replace('_', '-')} {value}", "1 or more"))
    endpoint = Endpoint(options.endpoint, options.model, options.key_env)
    return partial(
        prompted, endpoint, Asking(options.rows, options.send_escalated, options.at_once), terminal
    )


def _report(options: argparse.Namespace) -> int:
    from train.report.page import write
    from train.tracking.run import find

    sys.stdout.write(f"{write(find(options.run))}\n")
    return 0
