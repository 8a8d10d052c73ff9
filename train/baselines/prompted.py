"""An LLM that is shown the policy, over any OpenAI-compatible endpoint.

It is asked about the run's calibration and test rows, or a sample of them; not about dev, since nothing is
chosen by it and each text costs. What a label of tier 3 holds for goes to another machine only if that is
said.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np

from train.baselines.asked import escalated, sample
from train.baselines.attempt import Attempt
from train.errors import Failure, Interrupted, Problem
from train.files import canonical_json, sha256_bytes
from train.llm.answers import Answer, Answers
from train.llm.endpoint import Endpoint, Reply
from train.llm.prompt import Form, Prompt
from train.lock import Resolved
from train.loop.signals import StopSignals
from train.model.backbone import placeless
from train.policy import Policy
from train.terminal import Terminal

ASKED = ("calibration", "test")
MOST_LOST = 0.02
"""Share of texts without a verdict above which the figures would be of other texts than were asked about."""
PLAIN = "The library opens at nine."  # asked first: it tells what the endpoint can do


@dataclass(frozen=True)
class Asking:
    """rows: of calibration and of test each, None for all; send_escalated: also to another machine; at_once:
    questions at a time."""

    rows: int | None = None
    send_escalated: bool = False
    at_once: int = 4


def prompted(
    endpoint: Endpoint, asking: Asking, terminal: Terminal, folder: Path, resolved: Resolved
) -> Attempt:
    """Raises Failure where the endpoint gives no verdict on too many texts, Interrupted where a signal cut it
    short; the same call again pays for no verdict twice."""
    corpus, policy = resolved.corpus, resolved.recipe.policy
    start = time.perf_counter()
    chosen: dict[str, np.ndarray] = {}
    told: dict[str, dict[str, int]] = {}
    for split in ASKED:
        rows = corpus.rows(split)
        held = np.zeros(len(rows), dtype=bool)
        if not (endpoint.is_loopback or asking.send_escalated):
            held = escalated(corpus, policy, split, folder)
        positions = sample(corpus.column("group", rows), ~held, asking.rows, resolved.recipe.data.seed)
        chosen[split] = positions
        told[split] = {"rows": len(rows), "not_sent": int(held.sum()), "asked": len(positions)}
    texts = [text for split in ASKED for text in corpus.texts(corpus.rows(split)[chosen[split]])]
    prompt = Prompt(policy, corpus.labels, _form(endpoint, policy, corpus.labels))
    known, replies = _ask(endpoint, prompt, texts, asking.at_once, terminal)
    logits: dict[str, np.ndarray] = {}
    answers = iter([known.get(text) for text in texts])
    for split in ASKED:
        logits[split] = np.full((told[split]["rows"], len(corpus.labels)), np.nan)
        for row in chosen[split]:
            if answer := next(answers):
                logits[split][row] = answer.logits
        lost = chosen[split][np.isnan(logits[split][chosen[split], 0])]
        harmful = (corpus.targets[corpus.rows(split)[lost]] > 0.5).any(axis=1)
        # told apart: a model that refuses what is harmful is not judged on what it would have missed
        told[split] |= {"no_verdict": len(lost), "no_verdict_harmful": int(harmful.sum())}
    # a server may call a model by its file: where that lies is not handed on
    named = {"model": placeless(endpoint.model), "prompt": prompt.digest()}
    settings = {**named, "form": prompt.form, "rows": asking.rows}
    cost = _cost([known[text] for text in texts if text in known], replies, time.perf_counter() - start)
    return Attempt(logits, None, settings, {"texts": told, "cost": cost})


def _form(endpoint: Endpoint, policy: Policy, labels: Sequence[str]) -> Form:
    """How the endpoint answers best: with log-probabilities, else with a stated number. Raises Failure."""
    forms: tuple[Form, ...] = ("yes-no", "percent")
    for form in forms:
        reply = endpoint.ask(Prompt(policy, labels, form), PLAIN)
        if reply.answer:
            return form
    raise Failure(
        Problem(
            endpoint.name,
            f"gives no verdict on a plain text: {_counted([reply])}",
            "chat completions that keep to a JSON schema",
            "look at the server's own log; is --endpoint, --model and the key right?",
        )
    )


def _ask(
    endpoint: Endpoint, prompt: Prompt, texts: Sequence[str], at_once: int, terminal: Terminal
) -> tuple[dict[str, Answer], list[Reply]]:
    """(answers by text, earlier ones included; the replies to what had to be asked).

    Raises Failure as soon as too many texts have no verdict, Interrupted.
    """
    key = sha256_bytes(canonical_json([endpoint.url, endpoint.model, prompt.digest()]).encode())
    answers, over, lost = Answers(key), Event(), 0
    replies: list[Reply] = []
    known = {text: answer for text in texts if (answer := answers.get(text))}

    def ask(text: str) -> Reply:
        reply = endpoint.ask(prompt, text, lambda: bool(stop) or over.is_set())
        if reply.answer:
            answers.keep(text, reply.answer)
        return reply

    with (
        StopSignals() as stop,
        terminal.bar("ask", len(texts), len(known)) as advance,
        ThreadPoolExecutor(at_once) as threads,
    ):
        asked = {threads.submit(ask, text): text for text in texts if text not in known}
        try:
            for done in as_completed(asked):
                if stop:
                    raise Interrupted(stop.received or 2, "stopped; the same command goes on from here")
                replies.append(reply := done.result())
                if reply.answer:
                    known[asked[done]] = reply.answer
                lost += reply.answer is None
                if lost > MOST_LOST * len(texts):
                    raise Failure(_too_few(endpoint, lost, len(texts), replies))
                advance(1)
        finally:
            over.set()
            threads.shutdown(cancel_futures=True)
            answers.close()
    return known, replies


def _too_few(endpoint: Endpoint, lost: int, asked: int, replies: Sequence[Reply]) -> Problem:
    return Problem(
        endpoint.name,
        f"no verdict on {lost} of {asked} texts so far: {_counted(replies)}",
        f"a verdict on all but {MOST_LOST:.0%}",
        "the same command again, which keeps the verdicts it has; or another model",
    )


def _counted(replies: Sequence[Reply]) -> str:
    found = Counter(failure for reply in replies for failure in reply.failures)
    return ", ".join(f"{count} x {what}" for what, count in found.most_common())


def _cost(answers: Sequence[Answer], replies: Sequence[Reply], seconds: float) -> Mapping[str, Any]:
    """What all the verdicts cost, those of earlier calls included; seconds and failures: this call's."""
    failures = Counter(failure for reply in replies for failure in reply.failures)
    return {
        "verdicts": len(answers),
        "from_earlier": len(answers) - sum(reply.answer is not None for reply in replies),
        "prompt_tokens": sum(answer.prompt_tokens for answer in answers),
        "completion_tokens": sum(answer.completion_tokens for answer in answers),
        "failures": dict(failures),
        "seconds": seconds,
        "texts_per_second": len(replies) / seconds,
    }
