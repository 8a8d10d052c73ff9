"""What both clients share: golden rows that another server can answer, and whether it answered well."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]


class Stop(Exception):
    """Why a server's answers cannot be compared, or must not be used."""


Ask = Callable[[Sequence[str], dict[str, Any]], list[list[float]]]
"""(texts, manifest) -> probabilities of each, in the manifest's order of labels."""


def check(bundle: Path, ask: Ask, say: Callable[[str], None]) -> int:
    """Ask a server every golden text that it can know the answer of; the number of rows that differ.

    Raises Stop.
    """
    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    lines = (bundle / "golden.jsonl").read_text(encoding="utf-8").splitlines()
    if steps := manifest["encoding"]["normalise"]:
        raise Stop(
            f"this model reads texts after {', '.join(steps)}: send what train.data.normalise.normaliser "
            "makes of them, and compare with `teensafe serve`"
        )
    rows = [json.loads(line) for line in lines]
    kept = [row for row in rows if comparable(row)]
    say(f"{len(rows) - len(kept)} of {len(rows)} rows left out: empty, or read in several windows here")
    answers = ask([row["text"] for row in kept], manifest)
    variant = manifest["variants"]["torch"]
    thresholds = [variant["thresholds"][label["name"]] for label in manifest["labels"]]
    wrong = 0
    for row, found in zip(kept, answers, strict=True):
        off = max(abs(a - b) for a, b in zip(found, row["probabilities"], strict=True))
        turned = any(
            (p >= limit) != flag and abs(q - limit) > variant["tolerance"]
            for p, q, flag, limit in zip(found, row["probabilities"], row["flags"], thresholds, strict=True)
        )
        if off > variant["tolerance"] or turned:
            wrong += 1
            say(f"{row['id']} ({row['kind']}): off by {off:.2g}{', other flags' if turned else ''}")
    say(f"{len(kept) - wrong} of {len(kept)} golden rows agree")
    return wrong


def comparable(row: Row) -> bool:
    """One window, and not empty, which some servers refuse."""
    return len(row["input_ids"]) == 1 and bool(row["text"].strip())


def sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit)) if logit >= 0 else 1 - 1 / (1 + math.exp(logit))


def main(client: Callable[[str], Ask]) -> None:
    """The command line of a client: BUNDLE and the server's address."""
    if len(sys.argv) != 3:
        sys.exit(f"usage: python {sys.argv[0]} BUNDLE http://HOST:PORT")
    try:
        wrong = check(Path(sys.argv[1]), client(sys.argv[2].rstrip("/")), lambda line: print(line))  # noqa: T201
    except (Stop, OSError) as error:
        sys.exit(f"{error}")
    sys.exit(1 if wrong else 0)
