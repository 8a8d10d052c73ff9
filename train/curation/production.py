"""Allowed texts that look alike harm, written by a language model: hard negatives, so that a classifier
learns to leave teenagers alone who seek help, recover, learn or joke.

Under the handling rule (recipes/seed/README.md) nothing harmful is ever asked for. Topics are the policy's
own words for what a label does not cover; of labels of tier 3 nothing is asked at all. Every text is judged
under the whole policy by a second model, and one that may carry any label is thrown away. What stays is a
file of rows for a source of its own (`synthetic: true, all_negative: true`), which then goes the way of all
others: personal data, near-duplicates, splits, and people's eyes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from train.curation.labelling.spec import Labeller
from train.errors import Failure, Problem
from train.files import sha256_bytes, write_text
from train.llm.answers import Answer
from train.llm.asking import ask_all, best_form, failures_of
from train.llm.endpoint import Endpoint, Reply
from train.llm.ledger import Budget, Ledger
from train.llm.prompt import Prompt
from train.llm.writing import Writing, task
from train.policy import ESCALATED, Policy
from train.spec import Spec
from train.terminal import Terminal

_SAME = "the same"
"""The language of a paraphrase."""


class Produce(Spec):
    writer: Labeller
    """The model that writes; it needs a temperature."""
    verifier: Labeller
    """The model that judges what was written under the policy; better another one."""
    labels: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Labels to write hard negatives of; default: all below tier 3."""
    languages: tuple[str, ...] = Field(default=("English",), min_length=1)
    """As the model is told them."""
    each: int = Field(default=5, ge=1, le=20)
    """Texts for each thing that a label does not cover, in each language."""
    paraphrases: int = Field(default=0, ge=0)
    """Allowed training rows (every label known and absent) that are said in other words, once each."""
    at_once: int = Field(default=4, ge=1, le=256)
    budget: Budget

    @model_validator(mode="after")
    def _can_write(self) -> Self:
        if not self.writer.temperature:
            raise ValueError("writer: at temperature 0 it writes one text; say a temperature, such as 0.9")
        return self


@dataclass(frozen=True)
class Made:
    """A text that was written and found allowed. parent: id of the row that it says in other words, or
    None."""

    id: str
    text: str
    label: str | None
    topic: str | None
    language: str
    parent: str | None


@dataclass(frozen=True)
class _Asked:
    message: str
    label: str | None
    topic: str | None
    language: str
    parent: str | None


def produce(
    spec: Produce, policy: Policy, allowed: Sequence[tuple[str, str]], folder: Path, terminal: Terminal
) -> tuple[list[Made], dict[str, int]]:
    """(what was written and is allowed, counts). allowed: (id, text) of rows that may be said in other words.

    Raises Failure where a model gives no answer, or the budget has no room: what was paid for is kept.
    """
    asked = [*_topics(spec, policy), *_paraphrases(spec, allowed)]
    ledger = Ledger(folder / "ledger.jsonl", spec.budget)
    try:
        written = _written(spec, asked, ledger, terminal)
        texts = [*dict.fromkeys(text for texts in written.values() for text in texts)]
        kept = _allowed(spec, policy, texts, ledger, terminal)
    finally:
        ledger.close()
    made: dict[str, Made] = {}
    for one in asked:
        for text in written.get(one.message, ()):
            if text in kept:
                id = sha256_bytes(text.encode())[:16]
                made.setdefault(id, Made(id, text, one.label, one.topic, one.language, one.parent))
    counts = {
        "asked": len(asked),
        "written": len(texts),
        "thrown_away": len(texts) - len(kept),
        "kept": len(made),
    }
    return [*made.values()], counts


def write(made: Sequence[Made], path: Path) -> None:
    """JSONL for a source with `text: text, id: id, parent: parent`: a paraphrase is where its parent is."""
    lines = [
        json.dumps(
            {
                "id": one.id,
                "text": one.text,
                "near": one.label,
                "topic": one.topic,
                "language": one.language,
                "parent": one.parent,
            },
            ensure_ascii=False,
        )
        for one in made
    ]
    write_text(path, "".join(f"{line}\n" for line in lines), private=True)


def _topics(spec: Produce, policy: Policy) -> Iterator[_Asked]:
    for name, label in policy.labels.items():
        if label.tier == ESCALATED or (spec.labels and name not in spec.labels):
            continue
        for topic in label.excludes:
            for language in spec.languages:
                yield _Asked(task(language, spec.each, {"topic": topic}), name, topic, language, None)


def _paraphrases(spec: Produce, allowed: Sequence[tuple[str, str]]) -> Iterator[_Asked]:
    for id, text in allowed[: spec.paraphrases]:
        yield _Asked(in_other_words(text), None, None, _SAME, id)


def in_other_words(text: str) -> str:
    """What the writer is asked to have a paraphrase of a text."""
    return task(_SAME, 1, {"say": text})


def _written(
    spec: Produce, asked: Sequence[_Asked], ledger: Ledger, terminal: Terminal
) -> dict[str, list[str]]:
    endpoint = Endpoint(spec.writer.endpoint, spec.writer.model, spec.writer.key_env)
    found: dict[str, list[str]] = {}
    for count in sorted({spec.each, 1} if spec.paraphrases else {spec.each}):
        messages = [one.message for one in asked if (1 if one.parent else spec.each) == count]
        known, replies = ask_all(
            endpoint, Writing(count, spec.writer.temperature), messages, spec.at_once, terminal, ledger=ledger
        )
        _must_be_answered(endpoint, messages, known, replies)
        found |= {
            message: [str(text) for text in known[message].said] for message in messages if message in known
        }
    return found


def _allowed(
    spec: Produce, policy: Policy, texts: Sequence[str], ledger: Ledger, terminal: Terminal
) -> set[str]:
    """Texts of which the verifier says no to every label. One without a verdict is not allowed."""
    endpoint = Endpoint(spec.verifier.endpoint, spec.verifier.model, spec.verifier.key_env)
    labels = [*policy.labels]
    prompt = Prompt(policy, labels, best_form(endpoint, policy, labels, ledger))
    known, replies = ask_all(endpoint, prompt, texts, spec.at_once, terminal, ledger=ledger)
    _must_be_answered(endpoint, texts, known, replies)
    return {text for text in texts if text in known and max(known[text].said) < 0}


def _must_be_answered(
    endpoint: Endpoint, asked: Sequence[str], known: Mapping[str, Answer], replies: Mapping[str, Reply]
) -> None:
    """Raises Failure where nothing was answered."""
    if asked and not known:
        raise Failure(Problem(endpoint.name, f"gave no answer: {failures_of([*replies.values()])}"))
