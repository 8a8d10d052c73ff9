"""Verbs that hand a model over: export, verify."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from train.cli.options import Verbs, as_json, run


def add(verbs: Verbs) -> None:
    export = verbs.add_parser(
        "export",
        help="a finished run as a bundle for serving",
        description="Merge the selected checkpoint into one plain transformers model, its calibration in the "
        "head; write it with an ONNX graph, golden answers, a manifest and a model card; prove that all of "
        "them say the same. A bundle appears whole or not at all, and is never changed.",
        epilog="example: teensafe export RUN --to bundles/teen-1 --int8 --sign key.pem",
    )
    run(export)
    export.add_argument("--to", required=True, type=Path, metavar="BUNDLE", help="folder to make")
    export.add_argument(
        "--int8",
        action="store_true",
        help="also a graph with weights in 8 bits, with thresholds of its own; needs the run's data",
    )
    export.add_argument("--sign", type=Path, metavar="KEY", help="sign it: an EC private key in PEM")
    as_json(export)
    export.set_defaults(work=_export)

    verify = verbs.add_parser(
        "verify",
        help="prove that a bundle is what it says",
        description="Check every hash, look for files that could run code, load every variant offline and "
        "hold it against the golden answers. Without --key this proves integrity; with it also who made the "
        "bundle.",
        epilog="example: teensafe verify bundles/teen-1 --key public.pem",
    )
    verify.add_argument("bundle", type=Path, help="a folder that `teensafe export` wrote")
    verify.add_argument("--key", type=Path, metavar="PUB", help="EC public key in PEM of who signed it")
    verify.set_defaults(work=_verify)


def _export(options: argparse.Namespace) -> int:
    from train.export.export import export
    from train.terminal import Terminal

    manifest = export(options.run, options.to, options.int8, options.sign)
    if options.json:
        said = manifest.model_dump(mode="json", by_alias=True)
        sys.stdout.write(json.dumps({"bundle": str(options.to), **said}, allow_nan=False) + "\n")
    Terminal().say(f"{options.to}: {', '.join(manifest.variants)}; teensafe verify {options.to}")
    return 0


def _verify(options: argparse.Namespace) -> int:
    from train.bundle.verify import prove
    from train.terminal import Terminal

    terminal = Terminal()
    for line in prove(options.bundle, options.key):
        terminal.say(line)
    terminal.say(f"{options.bundle}: proven")
    return 0
