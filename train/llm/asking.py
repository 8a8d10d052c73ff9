"""Many texts to one endpoint, some at once: every answer is on the disk before its text counts as
answered, so that a killed run pays for none twice, and equal texts are asked about once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from threading import Event
from typing import get_args

from train.errors import Failure, Interrupted, Problem
from train.files import canonical_json, sha256_bytes
from train.llm.answers import Answer, Answers
from train.llm.endpoint import Endpoint, Reply
from train.llm.ledger import Ledger
from train.llm.prompt import Form, Prompt, Question
from train.policy import Policy
from train.signals import StopSignals
from train.terminal import Terminal

PLAIN = "The library opens at nine."  # asked first: it tells what the endpoint can do
SILENT = 8
"""Texts in a row on which nothing was heard, after which no more are asked."""


def ask_all(
    endpoint: Endpoint,
    prompt: Question,
    texts: Sequence[str],
    at_once: int,
    terminal: Terminal,
    most_lost: float | None = None,
    ledger: Ledger | None = None,
) -> tuple[dict[str, Answer], dict[str, Reply]]:
    """(answers by text, earlier ones included; the replies to what had to be asked, by text).

    most_lost: share of texts that may be without a verdict, for whatever reason. None: any number, since a
    model may refuse or babble, but something must have been heard about each: an outage is no verdict.

    Raises Failure as soon as too many texts have no verdict, the endpoint is silent or the ledger's budget
    has no room, Interrupted where a signal cut it short; the same call again pays for no verdict twice.
    """
    answers, over = _answers(endpoint, prompt), Event()
    replies: dict[str, Reply] = {}
    known = {text: answer for text in texts if (answer := answers.get(text))}
    lost = silent = 0
    broke = False

    def ask(text: str) -> Reply | None:
        if over.is_set():
            return None
        return endpoint.ask(
            prompt,
            text,
            lambda: bool(stop) or over.is_set(),
            ledger,
            lambda answer: answers.keep(text, answer),
        )

    with (
        StopSignals() as stop,
        terminal.bar("ask", len(texts), len(known)) as advance,
        ThreadPoolExecutor(at_once) as threads,
    ):
        asked = {threads.submit(ask, text): text for text in dict.fromkeys(texts) if text not in known}
        try:
            for done in as_completed(asked):
                if stop:
                    raise Interrupted(stop.received or 2, "stopped; the same command goes on from here")
                reply = done.result()
                if reply is None:
                    continue
                if reply.broke:
                    broke = True
                    over.set()
                    continue
                replies[asked[done]] = reply
                if reply.answer:
                    known[asked[done]] = reply.answer
                lost += reply.answer is None
                silent = silent + 1 if reply.unheard else 0
                if most_lost is not None and lost > most_lost * len(texts):
                    raise Failure(_too_few(endpoint, lost, len(texts), list(replies.values()), most_lost))
                if silent == SILENT:
                    over.set()
                advance(1)
        finally:
            over.set()
            threads.shutdown(cancel_futures=True)
            answers.close()
    heard = {text for text, reply in replies.items() if not (reply.unheard and most_lost is None)}
    if left := len({*texts} - {*known} - heard):
        raise Failure(
            _no_room(endpoint, left, ledger) if ledger and broke else _silent(endpoint, left, replies)
        )
    return known, replies


def _no_room(endpoint: Endpoint, left: int, ledger: Ledger) -> Problem:
    return Problem(
        endpoint.name,
        f"the budget has no room for the next request; {left:,} texts are left ({ledger} spent)",
        "budget for the most that a request can take",
        "raise `budget` and run the same command: what was answered is kept and not paid for again",
    )


def _silent(endpoint: Endpoint, left: int, replies: Mapping[str, Reply]) -> Problem:
    why = failures_of([reply for reply in replies.values() if reply.unheard])
    return Problem(
        endpoint.name,
        f"{left:,} texts are left on which nothing was heard: {why}",
        "an answer about each text, if only a refusal",
        "when the server is well, the same command again: what was answered is kept",
    )


def _too_few(
    endpoint: Endpoint, lost: int, asked: int, replies: Sequence[Reply], most_lost: float
) -> Problem:
    return Problem(
        endpoint.name,
        f"no verdict on {lost} of {asked} texts so far: {failures_of(replies)}",
        f"a verdict on all but {most_lost:.0%}",
        "the same command again, which keeps the verdicts it has; or another model",
    )


def failures_of(replies: Sequence[Reply]) -> str:
    """What came instead of answers, counted, in words."""
    found = Counter(failure for reply in replies for failure in reply.failures)
    return ", ".join(f"{count} x {what}" for what, count in found.most_common())


def best_form(
    endpoint: Endpoint,
    policy: Policy,
    labels: Sequence[str],
    ledger: Ledger | None = None,
    forms: Sequence[Form] = get_args(Form),
) -> Form:
    """The first of `forms` in which the endpoint answers. Raises Failure."""
    prompts = {form: Prompt(policy, labels, form) for form in forms}
    for form, prompt in prompts.items():
        with closing(_answers(endpoint, prompt)) as answers:
            if answers.get(PLAIN):
                return form
    failed: list[Reply] = []
    for form, prompt in prompts.items():
        known, replies = ask_all(endpoint, prompt, [PLAIN], 1, Terminal(speaks=False), 1, ledger)
        if known:
            return form
        failed = [*replies.values()]
    raise Failure(
        Problem(
            endpoint.name,
            f"gives no verdict on a plain text: {failures_of(failed)}",
            "chat completions that keep to a JSON schema",
            "look at the server's own log; is the endpoint, the model and the key right?",
        )
    )


def _answers(endpoint: Endpoint, prompt: Question) -> Answers:
    return Answers(sha256_bytes(canonical_json([endpoint.url, endpoint.model, prompt.digest()]).encode()))
