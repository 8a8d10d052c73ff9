"""Verbs of the data: fetch, and the stages from sources to a delivery."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from train.cli.options import Verbs, as_json

STAGES = {
    "build": "every stage, to a delivery",
    "clean": "a normalised copy beside each text",
    "scrub": "personal data replaced by placeholders of their type",
    "dedup": "exact and near duplicates, within and between sources",
    "split": "train, dev, calibration and test, proven to share nothing",
    "agree": "how far people's votes agree, and the cells they come to",
    "label": "cells nobody knows, by language models that hold against people's cells",
    "audit": "cells whose label looks wrong, by confident learning out of fold",
    "select": "a queue of texts for people to label, each with the chance it was drawn by",
    "augment": "training rows made again in disguise or with typos, as parts of their own",
    "check": "every violation of the contract, with counts and row ids",
    "deliver": "the delivery that recipes name",
}
"""Verb -> what it does. `build` goes all the way."""


def add(verbs: Verbs) -> None:
    data = verbs.add_parser("data", help="get the data that recipes read")
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
    fetch.set_defaults(work=_fetch)
    for name, does in STAGES.items():
        stage = stages.add_parser(
            name,
            help=does,
            description=f"{does[0].upper()}{does[1:]}. Whatever comes before it is done first, unless it is "
            "done already: a killed build goes on, and a change costs what it changes. DIR/work holds texts "
            "and is for its owner only.",
            epilog=f"example: teensafe data {name} recipes/curation/public.yaml --to deliveries",
        )
        _curation(stage)
        stage.add_argument(
            "--runner",
            default="native",
            metavar="R",
            help="native (this machine, default), ray (begun on this machine), or HOST:6379, a cluster that "
            "this machine is part of and whose machines all see DIR",
        )
        stage.add_argument(
            "--shard-rows",
            type=int,
            default=20_000,
            metavar="N",
            help="rows in memory at once; default: %(default)s",
        )
        if name == "agree":
            stage.add_argument(
                "--votes",
                action="append",
                default=[],
                type=Path,
                metavar="FILE",
                help="first bring in what people said: Label Studio's JSON export, or a filled CSV",
            )
        as_json(stage)
        stage.set_defaults(work=_build, until="deliver" if name == "build" else name)
    collect = stages.add_parser(
        "collect",
        help="what to collect, label again or make, with numbers",
        description="A plan: what the contract asks for and is not there, and what a run's gaps call for.",
        epilog="example: teensafe data collect recipes/curation/public.yaml --to deliveries --gaps RUN",
    )
    _curation(collect)
    collect.add_argument(
        "--gaps", metavar="RUN", help="a run that `teensafe gaps` looked at, or its gaps.json"
    )
    as_json(collect)
    collect.set_defaults(work=_collect)
    produce = stages.add_parser(
        "produce",
        help="allowed texts that look alike harm, written by a language model and judged by another",
        description="Write hard negatives of what labels do not cover (education, recovery, help-seeking, "
        "idiom), judge each under the policy, and keep what carries no label, as a file for a source of its "
        "own. Nothing harmful is ever asked for.",
        epilog="example: teensafe data produce CURATION --to DIR, with a section `produce:` in the file",
    )
    _curation(produce)
    produce.set_defaults(work=_produce)
    delete = stages.add_parser(
        "delete",
        help="rows by id, from deliveries, work and caches, for good",
        description="Delete rows and what was made from them. The newest delivery that holds one gets a "
        "patch version without it; every version that holds one is removed, and so are the shards of the "
        "work and the files of $TEENSAFE_CACHE that do. Source files and finished runs are yours to clear.",
        epilog="example: teensafe data delete --to deliveries --id davidson:41",
    )
    _folder(delete)
    delete.add_argument("--id", action="append", default=[], help="SOURCE:ID; may be repeated")
    delete.add_argument("--ids", type=Path, metavar="FILE", help="ids, one a line")
    delete.set_defaults(work=_delete)


def _curation(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("curation", help="curation file (YAML)")
    _folder(parser)


def _folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--to", required=True, type=Path, metavar="DIR", help="folder of work and deliveries")


def _collect(options: argparse.Namespace) -> int:
    from train.curation.build import build
    from train.curation.collection import lines, plan, read_gaps
    from train.curation.curation import load
    from train.curation.holdings import missing
    from train.terminal import Terminal
    from train.tracking.run import find

    gaps = []
    if options.gaps:
        gaps = read_gaps(Path(options.gaps) if options.gaps.endswith(".json") else find(options.gaps))
    curation, terminal = load(options.curation), Terminal()
    shortfalls, base_rates = missing(build(curation, options.to, terminal, "audit"))
    wanted = plan(gaps, shortfalls, base_rates)
    if options.json:
        sys.stdout.write(json.dumps([one.document() for one in wanted], ensure_ascii=False) + "\n")
    else:
        for line in lines(wanted):
            terminal.say(line)
    return 0


def _produce(options: argparse.Namespace) -> int:
    from train.curation.build import build
    from train.curation.curation import load
    from train.curation.holdings import allowed
    from train.curation.production import produce, write
    from train.errors import InputError, Problem
    from train.terminal import Terminal

    curation, terminal = load(options.curation), Terminal()
    if curation.produce is None:
        what = "has no section `produce`"
        raise InputError(
            Problem(options.curation, what, "produce: {writer: ..., verifier: ..., budget: ...}")
        )
    rows = allowed(build(curation, options.to, terminal, "split")) if curation.produce.paraphrases else []
    folder = options.to / "work" / "produce"
    made, counts = produce(curation.produce, curation.policy, rows, folder, terminal)
    path = options.to / "produced" / f"{curation.full_name}.jsonl"
    terminal.say(", ".join(f"{what.replace('_', ' ')} {n:,}" for what, n in counts.items()))
    if not made:
        terminal.say("the verifier allowed none of them; no file is written")
        return 0
    write(made, path)
    terminal.say(
        f"{path}: a source with text: text, id: id, parent: parent, all_negative: true, synthetic: true"
    )
    return 0


def _delete(options: argparse.Namespace) -> int:
    from train.curation.deletion import delete
    from train.errors import InputError, Problem
    from train.terminal import Terminal

    ids = [*options.id]
    if options.ids:
        try:
            ids += options.ids.read_text(encoding="utf-8").split("\n")
        except (OSError, UnicodeError):
            raise InputError(
                Problem(str(options.ids), "cannot be read", "a text file, an id a line")
            ) from None
        ids = [id.strip() for id in ids if id.strip()]
    terminal = Terminal()
    for line in delete(options.to, ids):
        terminal.say(line)
    terminal.say(f"ids deleted: {len(set(ids)):,}; no build in {options.to} takes them in again")
    return 0


def _fetch(options: argparse.Namespace) -> int:
    from train.data.public import chosen, data_folder, listing

    sources = chosen(options.name)
    if options.list:
        sys.stdout.writelines(f"{line}\n" for line in listing(sources))
        return 0
    from train.data.fetch import fetch
    from train.terminal import Terminal

    fetch(sources, options.to or data_folder(), Terminal(), mirror=options.mirror, force=options.force)
    return 0


def _build(options: argparse.Namespace) -> int:
    from train.curation.build import GateBroken, build
    from train.curation.curation import load
    from train.curation.told import document, lines
    from train.errors import InputError, Problem
    from train.terminal import Terminal

    if options.shard_rows < 1:
        raise InputError(
            Problem("command line", f"--shard-rows {options.shard_rows}", "a number of at least 1")
        )
    curation, terminal = load(options.curation), Terminal()
    for path in getattr(options, "votes", ()):
        from train.curation.people import imported, votes

        count = imported.bring_in(path, curation.policy, options.to / votes.FOLDER)
        terminal.say(f"{path}: {count:,} votes are kept")
    if getattr(curation, options.until, True) is None:
        what, remedy = (
            f"has no section `{options.until}`",
            f"say {options.until}: {{...}}, or leave this verb",
        )
        raise InputError(Problem(options.curation, what, "what the stage is to do", remedy))
    way = build(curation, options.to, terminal, options.until, options.runner, options.shard_rows)
    if options.json:
        sys.stdout.write(json.dumps(document(way), ensure_ascii=False) + "\n")
    else:
        for line in lines(way, options.until):
            terminal.say(line)
    if options.until == "check" and way.violations:
        raise GateBroken(way.violations)
    return 0
