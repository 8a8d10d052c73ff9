"""One labeller asked about texts, as often as it has samples: what it said, what came instead, its price."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np

from train.curation.labelling.spec import Labeller
from train.llm.asking import ask_all, best_form
from train.llm.endpoint import Endpoint
from train.llm.ledger import Ledger, Spent
from train.llm.prompt import Form, Prompt
from train.policy import Policy
from train.terminal import Terminal

VERDICTS = "verdicts.parquet"


@dataclass(frozen=True)
class Said:
    """Of n texts and L labels. samples: log-odds, float [samples, n, L], NaN where no verdict came or the
    text stayed here; prompts: a digest a sample; failed: what came instead, by (sample, row); took: tokens of
    the answers, those of earlier runs included."""

    form: Form
    samples: np.ndarray
    prompts: Sequence[str]
    failed: dict[tuple[int, int], str]
    stayed: np.ndarray
    answers: int
    took: Spent

    @property
    def logits(self) -> np.ndarray:
        """The mean of the samples that are there, float [n, L]."""
        known = ~np.isnan(self.samples)
        total, count = np.nansum(self.samples, axis=0), known.sum(axis=0)
        return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def ask(
    labeller: Labeller,
    policy: Policy,
    labels: Sequence[str],
    texts: Sequence[str],
    kept_here: np.ndarray,
    at_once: int,
    ledger: Ledger,
    terminal: Terminal,
) -> Said:
    """kept_here: bool [n], texts that go to no other machine unless the labeller says so. Raises Failure
    where the budget has no room or the endpoint is silent: what was answered is kept."""
    endpoint = Endpoint(labeller.endpoint, labeller.model, labeller.key_env)
    forms: Sequence[Form] = get_args(Form) if labeller.form == "auto" else (labeller.form,)
    form = best_form(endpoint, policy, labels, ledger, forms)
    stayed = kept_here & (not (endpoint.is_loopback or labeller.send_escalated))
    sent = [(row, text) for row, text in enumerate(texts) if not stayed[row]]
    samples = np.full((labeller.samples, len(texts), len(labels)), np.nan)
    prompts = [
        Prompt(policy, labels, form, labeller.temperature, sample) for sample in range(labeller.samples)
    ]
    failed: dict[tuple[int, int], str] = {}
    answers, took = 0, Spent()
    for sample, prompt in enumerate(prompts):
        known, replies = ask_all(
            endpoint, prompt, [text for _, text in sent], at_once, terminal, ledger=ledger
        )
        for row, text in sent:
            if text in known:
                samples[sample, row] = known[text].said
            else:
                failed[sample, row] = replies[text].failures[-1]
        answers += len(known)
        took += sum((Spent(a.prompt_tokens, a.completion_tokens) for a in known.values()), Spent())
    return Said(form, samples, [prompt.digest() for prompt in prompts], failed, stayed, answers, took)


Asked = tuple[str, np.ndarray, Said]
"""(labeller, ids of the rows that it was asked about, what it said)"""


def keep(path: Path, asked: Sequence[Asked], labels: Sequence[str], policy: Policy) -> None:
    """Every verdict as it came, a line a row, labeller, sample and label, with the digest of the prompt and
    the version of the policy, and no text."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from train.files import whole_file

    names = ("id", "labeller", "sample", "label", "log_odds", "prompt", "policy")
    found = [*_verdicts(asked, labels, policy)]
    columns = [*zip(*found, strict=True)] if found else [()] * len(names)
    with whole_file(path, private=True) as part:
        pq.write_table(pa.table(dict(zip(names, map(list, columns), strict=True))), part, compression="zstd")


def _verdicts(
    asked: Sequence[Asked], labels: Sequence[str], policy: Policy
) -> Iterator[tuple[str, str, int, str, float, str, str]]:
    for name, ids, said in asked:
        for sample, row, column in zip(*np.nonzero(~np.isnan(said.samples)), strict=True):
            log_odds = float(said.samples[sample, row, column])
            prompt = said.prompts[sample]
            yield str(ids[row]), name, int(sample), labels[column], log_odds, prompt, policy.version
