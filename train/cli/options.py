"""Arguments that several verbs take."""

from __future__ import annotations

import argparse
from typing import Any, TypeAlias

Verbs: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def recipe(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("recipe", help="recipe file (YAML)")
    parser.add_argument("override", nargs="*", help="key=value, as in train.lr=1e-4; null removes a value")


def run(parser: argparse.ArgumentParser, name: str = "run", **more: Any) -> None:
    parser.add_argument(name, help="run folder, or its name under $TEENSAFE_RUNS", **more)


def as_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
