"""What both clients share: golden rows that another server can answer, and whether it answered well."""

from __future__ import annotations

import json
import math
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Row = dict[str, Any]
Scores = list[list[float]]


class Stop(Exception):
    """Why a server's answers cannot be compared, or must not be used."""


@dataclass(frozen=True)
class Server:
    """ask: (texts, manifest) -> probabilities of each text, in the manifest's order of labels.
    cuts_at: tokens after which the server itself cuts a text; None where it cuts where it is asked to."""

    ask: Callable[[Sequence[str], dict[str, Any]], Scores]
    cuts_at: int | None = None


def check(bundle: Path, server: Server, say: Callable[[str], None]) -> int:
    """Ask a server every golden text that it can know the answer of; the number of rows that differ.

    Raises Stop.
    """
    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    if steps := manifest["encoding"]["normalise"]:
        raise Stop(
            f"this model reads texts after {', '.join(steps)}, which no other server does: send "
            f"train.data.normalise.normaliser({steps})(text), and compare with `teensafe serve`"
        )
    rows = [json.loads(line) for line in (bundle / "golden.jsonl").read_text(encoding="utf-8").splitlines()]
    tokens = manifest["encoding"]["max_length"]["tokens"]
    reasons = [left_out(row, tokens, server.cuts_at or tokens) for row in rows]
    for reason, count in Counter(filter(None, reasons)).items():
        say(f"{count} of {len(rows)} rows left out: {reason}")
    kept = [row for row, reason in zip(rows, reasons, strict=True) if reason is None]
    if not kept:
        raise Stop("no row is left that this server could be held to")
    answers = server.ask([row["text"] for row in kept], manifest)
    variant = manifest["variants"]["torch"]
    limits = [variant["thresholds"][label["name"]] for label in manifest["labels"]]
    if len(answers) != len(kept) or any(len(found) != len(limits) for found in answers):
        raise Stop(f"not {len(limits)} labels for each of {len(kept)} texts: another model is served there")
    wrong = 0
    for row, found in zip(kept, answers, strict=True):
        if said := difference(row, found, limits, variant["tolerance"]):
            wrong += 1
            say(f"{row['id']} ({row['kind']}): {said}")
    say(f"{len(kept) - wrong} of {len(kept)} golden rows agree")
    return wrong


def left_out(row: Row, tokens: int, cuts_at: int) -> str | None:
    """Why a server that cuts texts at `cuts_at` tokens cannot be held to a row; None where it can."""
    if not row["text"].strip():
        return "empty, which some servers refuse"
    if len(row["input_ids"]) > 1:
        return "read in several windows here, of which other servers see the first"
    if cuts_at != tokens and len(row["input_ids"][0]) >= min(cuts_at, tokens):
        return f"cut after {tokens} tokens here and after {cuts_at} there"
    return None


def difference(row: Row, found: list[float], limits: list[float], tolerance: float) -> str | None:
    """How an answer differs from a golden row; None where it agrees. No number is never agreement.

    A flag may turn only where the probability is within the tolerance of its threshold.
    """
    off = [abs(p - q) for p, q in zip(found, row["probabilities"], strict=True)]
    if not all(one <= tolerance for one in off):
        return f"off by {max(off):.2g}" if all(map(math.isfinite, off)) else "not a number"
    turned = any(
        (p >= limit) != flag and abs(q - limit) > tolerance
        for p, q, flag, limit in zip(found, row["probabilities"], row["flags"], limits, strict=True)
    )
    return "other flags" if turned else None


def took_softmax(scores: Scores) -> bool:
    """Do the scores of every text add up to 1, as those of labels that exclude each other do?"""
    return all(len(one) > 1 and min(one) >= 0 and abs(sum(one) - 1) < 1e-3 for one in scores)


def sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit)) if logit >= 0 else 1 - 1 / (1 + math.exp(logit))


def main(client: Callable[[str], Server]) -> None:
    """The command line of a client: BUNDLE and the server's address."""
    if len(sys.argv) != 3:
        sys.exit(f"usage: python {sys.argv[0]} BUNDLE http://HOST:PORT")
    try:
        wrong = check(Path(sys.argv[1]), client(sys.argv[2].rstrip("/")), lambda line: print(line))  # noqa: T201
    except (Stop, OSError) as error:
        sys.exit(f"{error}")
    sys.exit(1 if wrong else 0)
