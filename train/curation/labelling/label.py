"""The stage: labellers asked, their verdicts judged by gold rows, unknown cells of training rows filled.

What came is kept as it came: verdicts.parquet in the stage's folder, a line a text, labeller, sample and
label, with the digest of the prompt and the version of the policy, and no text. A policy or a prompt that
changes is asked again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from train.curation.labelling.chosen import chosen, escalated
from train.curation.labelling.judged import Judgement, filled, judge
from train.curation.labelling.spec import Labeller, Labelling
from train.errors import Failure, Problem
from train.llm.asking import ask_all, best_form
from train.llm.endpoint import Endpoint
from train.llm.ledger import Ledger, Spent
from train.llm.prompt import Prompt
from train.model.backbone import placeless
from train.policy import Policy
from train.terminal import Terminal

if TYPE_CHECKING:
    import pyarrow as pa

    from train.curation.rows import Counts

READS = ("id", "group", "text", "language", "split", "by.", "label.")
VERDICTS = "verdicts.parquet"


class Asked:
    """What one labeller said. logits: float [n, L] of the asked rows, means over samples; NaN where no
    verdict came or none was asked for."""

    def __init__(self, rows: int, labels: int) -> None:
        self.logits = np.full((rows, labels), np.nan)
        self.not_sent = 0
        self.failed: dict[int, tuple[str, ...]] = {}
        self.digests: list[str] = []
        self.samples: list[np.ndarray] = []
        self.tokens = Spent()


def label(
    table: pa.Table, spec: Labelling, policy: Policy, labels: Sequence[str], folder: Path, terminal: Terminal
) -> tuple[pa.Table, Counts, Any]:
    """New columns by.<L>, the labellers that a cell comes from, and label.<L>. Cells that a source or people
    know stay, and so do all of rows that are not trained on.

    Found: for each labeller and label the confusion with people's cells, and whether it was accepted; the
    tokens of the answers, what failed. Raises Failure where the budget has no room for what is left to ask:
    what was paid for is kept, and with more the same command goes on.
    """
    import pyarrow as pa

    from train.curation.rows import LABEL

    def column(name: str) -> np.ndarray:
        return np.asarray(table.column(name).to_numpy(zero_copy_only=False), dtype=object)

    cells = np.column_stack([np.asarray(table.column(LABEL + name), dtype=np.float32) for name in labels])
    asked_for = list(spec.labels or labels)
    at = [list(labels).index(name) for name in asked_for]
    fill, gold = chosen(column("id"), column("split"), cells[:, at], spec)
    rows = np.unique(np.concatenate([fill, gold]))
    texts = list(column("text")[rows])
    grave = escalated(labels, cells[rows], policy)
    ledger = Ledger(folder / "ledger.jsonl", spec.budget)
    try:
        asked = {
            name: _ask(labeller, policy, asked_for, texts, grave, spec.at_once, ledger, terminal)
            for name, labeller in sorted(spec.labellers.items())
        }
        spent = ", ".join(f"{value:,g} {what}" for what, value in ledger.said().items())
        terminal.say(f"label: {spent} spent so far, over all runs")
    finally:
        ledger.close()
    _keep(folder / VERDICTS, column("id")[rows], asked, asked_for, policy)
    is_gold = np.isin(rows, gold)
    judgements: dict[str, list[Judgement]] = {name: [] for name in asked}
    found: list[dict[str, Any]] = []
    for position, label in enumerate(asked_for):
        known = is_gold & ~np.isnan(cells[rows, at[position]])
        mine = rows[known]
        for name, said in asked.items():
            judgement = judge(
                cells[mine, at[position]].astype(np.float64),
                said.logits[known, position],
                column("group")[mine].astype(str),
                column("language")[mine].astype(str),
                spec.accept,
            )
            judgements[name].append(judgement)
            found.append({"labeller": name, "label": label, **judgement.found})
    columns: dict[str, pa.Array] = {}
    counts: dict[str, int] = {"rows.to_fill": len(fill), "rows.gold": len(gold)}
    may = np.isin(rows, fill)
    verdicts = {name: said.logits for name, said in asked.items()}
    for position, label in enumerate(asked_for):
        chance, by = filled(verdicts, judgements, position)
        new = may & np.isnan(cells[rows, at[position]]) & ~np.isnan(chance)
        cell, source = cells[:, at[position]].copy(), column(f"by.{label}")
        cell[rows[new]], source[rows[new]] = chance[new], by
        columns[LABEL + label] = pa.array(cell, from_pandas=True)
        columns[f"by.{label}"] = pa.array(source, pa.string())
        counts[f"filled.{label}"] = int(new.sum())
    for name, one in asked.items():
        counts[f"not_sent.{name}"] = one.not_sent
        counts |= {
            f"failed.{name}.{why}": n for why, n in Counter(w for f in one.failed.values() for w in f).items()
        }
    about = {name: _about(labeller, asked[name]) for name, labeller in sorted(spec.labellers.items())}
    lost = {name: [str(id) for id in column("id")[rows[sorted(one.failed)]]] for name, one in asked.items()}
    document = {"labellers": about, "judged": found, "no_verdict": lost}
    return pa.table(columns), {what: n for what, n in counts.items() if n}, document


def _ask(
    labeller: Labeller,
    policy: Policy,
    labels: Sequence[str],
    texts: Sequence[str],
    grave: np.ndarray,
    at_once: int,
    ledger: Ledger,
    terminal: Terminal,
) -> Asked:
    endpoint = Endpoint(labeller.endpoint, labeller.model, labeller.key_env)
    form = best_form(endpoint, policy, labels, ledger)
    held = (
        grave if not (endpoint.is_loopback or labeller.send_escalated) else np.zeros(len(texts), dtype=bool)
    )
    sent = [text for text, stays in zip(texts, held, strict=True) if not stays]
    said = Asked(len(texts), len(labels))
    said.not_sent = int(held.sum())
    for sample in range(labeller.samples):
        prompt = Prompt(policy, labels, form, labeller.temperature, sample)
        known, replies = ask_all(endpoint, prompt, sent, at_once, terminal, ledger=ledger)
        if any(text not in known and text not in replies for text in sent):
            raise _broke(endpoint, ledger, sum(text not in known and text not in replies for text in sent))
        logits = np.full(said.logits.shape, np.nan)
        for row, text in enumerate(texts):
            if not held[row] and text in known:
                logits[row] = known[text].said
            elif not held[row]:
                said.failed[row] = (*said.failed.get(row, ()), *replies[text].failures[-1:])
        for answer in known.values():
            said.tokens += Spent(answer.prompt_tokens, answer.completion_tokens)
        said.samples.append(logits)
        said.digests.append(prompt.digest())
    counted = (~np.isnan(said.samples)).sum(axis=0)
    total = np.nansum(said.samples, axis=0)
    said.logits = np.divide(total, counted, out=said.logits, where=counted > 0)
    return said


def _broke(endpoint: Endpoint, ledger: Ledger, left: int) -> Failure:
    spent = ", ".join(f"{value:,g} {what}" for what, value in ledger.said().items())
    return Failure(
        Problem(
            endpoint.name,
            f"the budget has no room for the next request; {left:,} texts are left ({spent} spent)",
            "budget for the most that a request can take",
            "raise label.budget and run the same command: what was answered is kept and not paid for again",
        )
    )


def _about(labeller: Labeller, asked: Asked) -> Mapping[str, Any]:
    """Who it was, without where it is."""
    tokens = {"prompt": asked.tokens.prompt, "completion": asked.tokens.completion}
    return {"model": placeless(labeller.model), "prompts": asked.digests, "tokens": tokens}


def _keep(
    path: Path, ids: np.ndarray, asked: Mapping[str, Asked], labels: Sequence[str], policy: Policy
) -> None:
    """Every verdict, as log-odds."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from train.files import whole_file

    found: list[tuple[str, str, int, str, float, str, str]] = []
    for name, said in asked.items():
        for sample, (logits, digest) in enumerate(zip(said.samples, said.digests, strict=True)):
            for row, column in zip(*np.nonzero(~np.isnan(logits)), strict=True):
                score = float(logits[row, column])
                found.append((str(ids[row]), name, sample, labels[column], score, digest, policy.version))
    names = ("id", "labeller", "sample", "label", "log_odds", "prompt", "policy")
    columns = [*zip(*found, strict=True)] if found else [()] * len(names)
    with whole_file(path, private=True) as part:
        pq.write_table(pa.table(dict(zip(names, map(list, columns), strict=True))), part, compression="zstd")
