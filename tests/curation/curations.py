"""A small curation for tests: two sources that share texts, near texts, contradictions and personal data."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from tests.conftest import ESCALATED, POLICY
from train.errors import Failure, InputError, Problem

WORDS = tuple(
    f"{a}{b}"
    for a in ("ri", "pen", "gar", "mor", "ta", "oran", "pa", "sil")
    for b in ("ver", "cil", "den", "ning", "ble", "ge")
)

CURATION = """
schema: 1
name: toy
version: 1.0.0
about: made up for tests
policy: policy.yaml
contract: contract.yaml
data:
  split: {seed: 3, dev: 0.15, calibration: 0.15, test: 0.15}
  sources:
    forum: {path: forum.jsonl, text: t, id: n, group: author, labels: {hate: h, harassment: a},
      slices: {lang: en, surface: comment}, licence: MIT}
    chat: {path: chat.jsonl, turns: turns, id: n, labels: {hate: h}, slices: {lang: en, surface: chat},
      licence: CC0}
augment: {kinds: {typos: 0.2, homoglyphs: 0.2}}
"""
CONTRACT = """
schema: 1
name: toy-standard
version: 1.0.0
about: for tests
fields: {id: string, text: string}
licences: [MIT, CC0]
required:
  - {label: hate, split: train, known: 50, positive: 10}
max_contradictions: 0.5
retention: {basis: made up, until: "2030-01-01", contact: nobody}
"""


def sentence(draw: random.Random, words: int = 14) -> str:
    return " ".join(draw.choice(WORDS) for _ in range(words))


def rows(seed: int = 1, n: int = 300) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Forum: authors, 10 exact repeats, 30 near ones of another author, personal data. Chat: two turns, the
    last of which stands in the forum ten times, too."""
    draw = random.Random(seed)
    forum = []
    for i in range(n):
        harmful = draw.random() < 0.3
        text = sentence(draw) + (" idiot loser trash" if harmful else "")
        forum.append(
            {"n": i, "t": text, "h": int(harmful), "a": draw.choice([0, 1, None]), "author": f"a{i % 97}"}
        )
    forum += [{**forum[i], "n": n + i} for i in range(10)]
    forum += [
        {**forum[i], "n": n + i, "t": f"{forum[i]['t']} indeed", "author": f"b{i}"} for i in range(20, 50)
    ]
    forum += [
        {
            "n": n + 60,
            "t": "mail me at anna@example.org i am 13 " + sentence(draw),
            "h": 0,
            "a": 0,
            "author": "c",
        }
    ]
    chat = []
    for i in range(80):
        last = forum[i]["t"] if i < 10 else sentence(draw)
        turns = [{"speaker": "bot", "text": sentence(draw, 6)}, {"speaker": "user", "text": last}]
        chat.append({"n": i, "turns": turns, "h": int(i % 4 == 0)})
    return forum, chat


def written(folder: Path, curation: str = CURATION, contract: str = CONTRACT) -> Path:
    """A folder with the curation file and all it names; the file's path."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "policy.yaml").write_text(POLICY + ESCALATED)
    (folder / "contract.yaml").write_text(contract)
    forum, chat = rows()
    for name, those in (("forum", forum), ("chat", chat)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in those))
    path = folder / "curation.yaml"
    path.write_text(curation)
    return path


def refusing(item: str) -> str:
    if item == "bad":
        raise InputError(Problem("there", "is wrong", "right", "mend it"))
    if item == "worse":
        raise Failure(Problem("there", "failed"))
    return item * 2


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}
