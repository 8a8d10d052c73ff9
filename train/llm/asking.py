"""Many texts to one endpoint, some at once: every answer is on the disk before its text counts as
answered, so that a killed run pays for none twice, and equal texts are asked about once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing
from threading import Event

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


def ask_all(
    endpoint: Endpoint,
    prompt: Question,
    texts: Sequence[str],
    at_once: int,
    terminal: Terminal,
    most_lost: float = 1,
    ledger: Ledger | None = None,
) -> tuple[dict[str, Answer], dict[str, Reply]]:
    """(answers by text, earlier ones included; the replies to what had to be asked, by text).

    most_lost: share of texts without a verdict from which on it fails. Where the ledger's budget has no room
    for a text, nothing more is asked, and texts are missing from both.

    Raises Failure as soon as too many texts have no verdict, Interrupted where a signal cut it short; the
    same call again pays for no verdict twice.
    """
    answers, over, lost = _answers(endpoint, prompt), Event(), 0
    replies: dict[str, Reply] = {}
    known = {text: answer for text in texts if (answer := answers.get(text))}

    def ask(text: str) -> Reply:
        if over.is_set():
            return Reply(None, broke=True)
        reply = endpoint.ask(prompt, text, lambda: bool(stop) or over.is_set(), ledger)
        if reply.answer:
            answers.keep(text, reply.answer)
        if reply.broke:
            over.set()
        return reply

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
                if reply.broke:
                    continue
                replies[asked[done]] = reply
                if reply.answer:
                    known[asked[done]] = reply.answer
                lost += reply.answer is None
                if lost > most_lost * len(texts):
                    raise Failure(_too_few(endpoint, lost, len(texts), list(replies.values()), most_lost))
                advance(1)
        finally:
            over.set()
            threads.shutdown(cancel_futures=True)
            answers.close()
    return known, replies


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
    endpoint: Endpoint, policy: Policy, labels: Sequence[str], ledger: Ledger | None = None
) -> Form:
    """How the endpoint answers best: with log-probabilities, else with a stated number. Raises Failure."""
    forms: tuple[Form, ...] = ("yes-no", "percent")
    prompts = {form: Prompt(policy, labels, form) for form in forms}
    for form, prompt in prompts.items():
        with closing(_answers(endpoint, prompt)) as answers:
            if answers.get(PLAIN):
                return form
    quiet = Terminal(speaks=False)
    for form, prompt in prompts.items():
        known, replies = ask_all(endpoint, prompt, [PLAIN], 1, quiet, ledger=ledger)
        if known:
            return form
        if not replies:
            break
    why = failures_of(list(replies.values())) or "the budget has no room to ask"
    raise Failure(
        Problem(
            endpoint.name,
            f"gives no verdict on a plain text: {why}",
            "chat completions that keep to a JSON schema",
            "look at the server's own log; is the endpoint, the model and the key right?",
        )
    )


def _answers(endpoint: Endpoint, prompt: Question) -> Answers:
    return Answers(sha256_bytes(canonical_json([endpoint.url, endpoint.model, prompt.digest()]).encode()))
