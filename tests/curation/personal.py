"""The hand-made cases of personal data, and how well it is found."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from train.curation.personal import scrub as scrub_module
from train.curation.personal.scrub import Scrub
from train.curation.personal.spans import KINDS, View, settled

CASES = Path(__file__).parent / "personal_cases.txt"
_MARKED = re.compile(r"<(email|account|phone|handle|address|school|name|age):([^>]*)>")


class Case(NamedTuple):
    language: str
    held_out: bool
    text: str
    expected: frozenset[tuple[int, int, str]]


def cases() -> Iterator[Case]:
    for line in CASES.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        language, part, marked = line.split(" ", 2)
        text, spans, end = "", [], 0
        for found in _MARKED.finditer(marked):
            text += marked[end : found.start()]
            spans.append((len(text), len(text) + len(found[2]), found[1]))
            text += found[2]
            end = found.end()
        yield Case(language, part == "held", text + marked[end:], frozenset(spans))


def found(text: str) -> frozenset[tuple[int, int, str]]:
    spans = settled(scrub_module._found(View.of(text), Scrub()), KINDS)
    return frozenset((s.start, s.end, s.kind) for s in spans)


def judged(which: list[Case]) -> dict[str, Counter[str]]:
    """By kind: right, missed and wrong. A span is right if it covers the value, and no more than that beside
    it but a placeholder's own punctuation."""
    tally: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    for case in which:
        said = found(case.text)
        for one in case.expected:
            hit = any(k == one[2] and a <= one[0] + 1 and b >= one[1] - 1 for a, b, k in said)
            tally[one[2]]["right" if hit else "missed"] += 1
        for a, b, kind in said:
            if not any(k == kind and a < y and b > x for x, y, k in case.expected):
                tally[kind]["wrong"] += 1
    return tally
