"""An LLM that is shown the policy, over any OpenAI-compatible endpoint.

It is asked about the run's calibration and test rows, or a sample of them; not about dev, since nothing is
chosen by it and each text costs. What a label of tier 3 holds for goes to another machine only if that is
said.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from train.baselines.asked import escalated, sample
from train.baselines.attempt import Attempt
from train.llm.answers import Answer
from train.llm.asking import ask_all, best_form
from train.llm.endpoint import Endpoint, Reply
from train.llm.prompt import Prompt
from train.lock import Resolved
from train.model.backbone import placeless
from train.terminal import Terminal

ASKED = ("calibration", "test")
MOST_LOST = 0.02
"""Share of texts without a verdict above which the figures would be of other texts than were asked about."""


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
    prompt = Prompt(policy, corpus.labels, best_form(endpoint, policy, corpus.labels))
    known, replies = ask_all(endpoint, prompt, texts, asking.at_once, terminal, MOST_LOST)
    logits: dict[str, np.ndarray] = {}
    answers = iter([known.get(text) for text in texts])
    for split in ASKED:
        logits[split] = np.full((told[split]["rows"], len(corpus.labels)), np.nan)
        for row in chosen[split]:
            if answer := next(answers):
                logits[split][row] = answer.said
        lost = chosen[split][np.isnan(logits[split][chosen[split], 0])]
        harmful = (corpus.targets[corpus.rows(split)[lost]] > 0.5).any(axis=1)
        # told apart: a model that refuses what is harmful is not judged on what it would have missed
        told[split] |= {"no_verdict": len(lost), "no_verdict_harmful": int(harmful.sum())}
    # a server may call a model by its file: where that lies is not handed on
    named = {"model": placeless(endpoint.model), "prompt": prompt.digest()}
    settings = {**named, "form": prompt.form, "rows": asking.rows}
    cost = _cost(
        [known[text] for text in texts if text in known], list(replies.values()), time.perf_counter() - start
    )
    return Attempt(logits, None, settings, {"texts": told, "cost": cost})


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
