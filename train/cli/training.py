"""Verbs that a recipe is given to: check, plan, schema, train, sweep, transfer."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from train.cli.options import Verbs, as_json, recipe
from train.errors import InputError


def add(verbs: Verbs) -> None:
    check = verbs.add_parser("check", help="find every mistake in a recipe without training or reading rows")
    recipe(check)
    check.set_defaults(work=_check)

    plan = verbs.add_parser(
        "plan", help="read the data and count: rows, known and positive cells, tokens, steps"
    )
    recipe(plan)
    as_json(plan)
    plan.set_defaults(work=_plan)

    schema = verbs.add_parser("schema", help="print the JSON Schema of a recipe, for editors")
    schema.set_defaults(work=_schema)

    # never reached: `main` hands it on; here so that `teensafe --help` lists it
    verbs.add_parser(
        "train", help="train a recipe, or resume it; = accelerate launch -m train", add_help=False
    )

    verbs.add_parser(
        "sweep",
        help="train many recipes that differ in a few values, and rank them",
        add_help=False,
    )

    transfer = verbs.add_parser(
        "transfer", help="train a recipe without each source in turn: how does it do on an unseen one?"
    )
    recipe(transfer)
    as_json(transfer)
    transfer.set_defaults(work=_transfer)


def _check(options: argparse.Namespace) -> int:
    from train.checks import check
    from train.recipe import load

    given = load(options.recipe, options.override)
    errors, warnings = check(given)
    for warning in warnings:
        sys.stderr.write(f"warning: {warning}\n")
    if errors:
        raise InputError(errors)
    sources, labels = len(given.data.sources), given.labels or tuple(given.policy.labels)
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


def _transfer(options: argparse.Namespace) -> int:
    from train.__main__ import train
    from train.recipe import load
    from train.terminal import Terminal
    from train.transfer import leave_one_out, table

    given = load(options.recipe, options.override)
    found = leave_one_out(given, lambda variant: Path(train(variant)["run"]))
    if options.json:
        sys.stdout.write(json.dumps(found, allow_nan=False) + "\n")
    else:
        Terminal().show(table(found))
    return 0
