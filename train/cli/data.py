"""Verbs of the data: data fetch."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from train.cli.options import Verbs


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
