"""Verbs that hand a model over: export, verify, serve."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from train.cli.options import Verbs, as_json, run
from train.errors import InputError, Problem

LIMITS: tuple[tuple[str, int | float, str], ...] = (
    ("texts", 64, "texts of a request"),
    ("characters", 20_000, "of a text"),
    ("body", 1 << 20, "bytes of a request"),
    ("queue", 1024, "texts that wait, over all requests; beyond them: 429"),
    ("batch", 32, "texts that the model takes at once"),
    ("wait", 0.002, "seconds that a batch waits for more"),
    ("timeout", 10.0, "seconds to an answer; beyond them: 504"),
    ("drain", 30.0, "seconds to answer what was taken in, after SIGTERM"),
)
"""Those of train/server/limits.py, which --help must not wait for."""


def add(verbs: Verbs) -> None:
    export = verbs.add_parser(
        "export",
        help="a finished run as a bundle for serving",
        description="Merge the selected checkpoint into one plain transformers model, its calibration in the "
        "head; write it with an ONNX graph, golden answers, a manifest and a model card; prove that all of "
        "them say the same. A bundle appears whole or not at all, and is never changed; the same command "
        "again only tells W&B of it, where that was offline before.",
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
    _serve_options(
        verbs.add_parser(
            "serve",
            help="answer over HTTP with a bundle",
            description="POST /v1/moderations (works with the openai client) and /predict; GET /health, "
            "/ready and /metrics (Prometheus). The bundle is proven first. On SIGTERM no new request is "
            "taken, and those that were are answered. No text is logged.",
            epilog="example: teensafe serve bundles/teen-1 --port 8000 --api-keys keys.txt",
        )
    )


def _serve_options(serve: argparse.ArgumentParser) -> None:
    serve.add_argument("bundle", type=Path, help="a folder that `teensafe export` wrote")
    serve.add_argument("--host", default="127.0.0.1", help="default: %(default)s, this machine alone")
    serve.add_argument("--port", type=int, default=8000, help="default: %(default)s; 0: any that is free")
    serve.add_argument(
        "--runtime", choices=("onnx", "onnx-int8", "torch"), default="onnx", help="default: %(default)s"
    )
    serve.add_argument("--threads", type=int, metavar="N", help="of ONNX Runtime; default: every core")
    serve.add_argument("--api-keys", type=Path, metavar="FILE", help="bearer keys, one a line; default: open")
    serve.add_argument("--key", type=Path, metavar="PUB", help="serve only what this key's owner signed")
    limits = serve.add_argument_group("limits")
    for name, default, says in LIMITS:
        limits.add_argument(
            f"--max-{name}",
            dest=name,
            type=type(default),
            default=default,
            metavar="N",
            help=f"{says}; default: {default}",
        )
    serve.set_defaults(work=_serve)


def _export(options: argparse.Namespace) -> int:
    from train.export.export import export
    from train.export.lineage import publish
    from train.terminal import Terminal

    manifest = export(options.run, options.to, options.int8, options.sign)
    if options.json:
        said = manifest.model_dump(mode="json", by_alias=True)
        sys.stdout.write(json.dumps({"bundle": str(options.to), **said}, allow_nan=False) + "\n")
    terminal = Terminal()
    terminal.say(f"{options.to}: {', '.join(manifest.variants)}; teensafe verify {options.to}")
    terminal.say(publish(options.run, options.to))
    return 0


def _verify(options: argparse.Namespace) -> int:
    from train.bundle.verify import prove
    from train.terminal import Terminal

    terminal = Terminal()
    for line in prove(options.bundle, options.key):
        terminal.say(line)
    terminal.say(f"{options.bundle}: proven")
    return 0


def _serve(options: argparse.Namespace) -> int:
    from pydantic import ValidationError

    from train.terminal import Terminal

    try:
        from train.server.keys import Keys
        from train.server.limits import Limits
        from train.server.serve import serve
    except ImportError as error:
        raise InputError(
            Problem(str(error.name), "is not installed", "the package", "pip install 'teensafe[serve]'")
        ) from None
    try:
        limits = Limits.model_validate({name: getattr(options, name) for name in Limits.model_fields})
    except ValidationError as wrong:
        first = wrong.errors(include_url=False)[0]
        where = f"--max-{first['loc'][0]}: " if first["loc"] else ""
        what = where + first["msg"].removeprefix("Value error, ")
        raise InputError(Problem("command line", what)) from None
    keys = Keys.read(options.api_keys) if options.api_keys else None
    serve(
        options.bundle,
        options.runtime,
        options.host,
        options.port,
        limits,
        keys,
        options.key,
        Terminal().say,
        options.threads,
    )
    return 0
