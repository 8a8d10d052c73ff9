"""The verbs of `teensafe`. Each imports what it needs when it runs, so that --help and check stay instant."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from train.errors import InputError, Problem, guarded

if TYPE_CHECKING:
    from train.baselines.attempt import Baseline
    from train.terminal import Terminal


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

    transfer = verbs.add_parser(
        "transfer", help="train a recipe without each source in turn: how does it do on an unseen one?"
    )
    _recipe(transfer)
    transfer.add_argument("--json", action="store_true", help="one JSON document on stdout")
    transfer.set_defaults(work=_transfer)

    _compare_options(
        verbs.add_parser("compare", help="does one run, or recipe, beat another? on the same texts")
    )

    _baseline(
        verbs.add_parser(
            "baseline",
            help="judge what anyone would try first, on a finished run's own rows",
            description="Fit a baseline on a finished run's train rows, or none, set its thresholds on the "
            "calibration rows by the policy as the run did, and judge it by the same code. It is left in "
            "RUN/baselines/KIND, for `teensafe compare RUN RUN/baselines/KIND`.",
            epilog="example: %(prog)s RUN prompted --endpoint https://HOST/v1 --model NAME --rows 500",
        )
    )

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


def _compare_options(compare: argparse.ArgumentParser) -> None:
    compare.description = (
        "Runs of one recipe with other seeds form a side; sides are held against the first one named. "
        "With 3 seeds a side the answer is about recipes, else about checkpoints."
    )
    compare.epilog = (
        "examples: teensafe compare A B; teensafe compare A1 A2 A3 B1 B2 B3 --html compare.html; "
        "seeds of one recipe against others of it: teensafe compare A1 A2 A3 --against A4 A5 A6"
    )
    compare.add_argument("run", nargs="+", help="run folder, or its name under $TEENSAFE_RUNS")
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
    compare.add_argument("--json", action="store_true", help="one JSON document on stdout")
    compare.set_defaults(work=_compare)


def _baseline(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", help="run folder, or its name under $TEENSAFE_RUNS")
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
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    parser.set_defaults(work=_run_baseline)


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


def _transfer(options: argparse.Namespace) -> int:
    from train.__main__ import train
    from train.recipe import load
    from train.terminal import Terminal
    from train.transfer import leave_one_out, table

    recipe = load(options.recipe, options.override)
    found = leave_one_out(recipe, lambda variant: Path(train(variant)["run"]))
    if options.json:
        sys.stdout.write(json.dumps(found, allow_nan=False) + "\n")
    else:
        Terminal().show(table(found))
    return 0


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


def _run_baseline(options: argparse.Namespace) -> int:
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
    from train.baselines.endpoint import Endpoint
    from train.baselines.prompted import Asking, prompted

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
