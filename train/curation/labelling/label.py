"""The stage: labellers asked, their verdicts judged by gold rows, unknown cells of training rows filled.

Gold comes first: a labeller that is accepted for no label is asked about nothing else, so that nobody pays
for verdicts that nobody may use. A policy or a prompt that changes is asked again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from train.curation.labelling.asked import VERDICTS, Asked, Said, ask, keep
from train.curation.labelling.chosen import chosen, kept_here
from train.curation.labelling.judged import Judgement, agreement, filled, judge
from train.curation.labelling.spec import Labeller, Labelling
from train.llm.ledger import Ledger, Spent
from train.model.backbone import placeless
from train.policy import Policy
from train.terminal import Terminal

if TYPE_CHECKING:
    import pyarrow as pa

    from train.curation.rows import Counts

READS = ("id", "group", "cluster", "text", "language", "split", "synthetic", "by.", "label.")


def label(
    table: pa.Table, spec: Labelling, policy: Policy, labels: Sequence[str], folder: Path, terminal: Terminal
) -> tuple[pa.Table, Counts, Any]:
    """New columns by.<L>, the labellers that a cell comes from, and label.<L>. Cells that a source or people
    know stay, and so do all of rows that are not trained on, and of synthetic ones.

    labels: those that are asked for where the spec names none. folder: keeps the ledger and the verdicts.

    Found: for each labeller and label the confusion with people's cells, and whether it was accepted; how far
    labellers agree; the tokens of the answers; the rows without a verdict. Raises Failure where the budget
    has no room for what is left to ask, or an endpoint is silent: what was paid for is kept, and the same
    command goes on.
    """
    import pyarrow as pa

    from train.curation import rows
    from train.curation.rows import LABEL

    def column(name: str) -> np.ndarray:
        return np.asarray(table.column(name).to_numpy(zero_copy_only=False), dtype=object)

    def cells_of(names: Sequence[str]) -> np.ndarray:
        return np.column_stack([np.asarray(table.column(LABEL + name), dtype=np.float32) for name in names])

    asked_for = list(spec.labels or labels)
    cells, ids, group = cells_of(asked_for), column("id"), column("group")
    fill, gold, own, odds = chosen(ids, column("split"), ~column("synthetic").astype(bool), cells, spec)
    all_labels = rows.labels(table)
    here = kept_here(all_labels, cells_of(all_labels), policy, (column("cluster"), group))
    ledger = Ledger(folder / "ledger.jsonl", spec.budget)

    def said_of(rows: np.ndarray, names: Collection[str]) -> dict[str, Said]:
        texts = list(column("text")[rows])
        return {
            name: ask(labeller, policy, asked_for, texts, here[rows], spec.at_once, ledger, terminal)
            for name, labeller in sorted(spec.labellers.items())
            if name in names
        }

    try:
        tried = said_of(gold, spec.labellers)
        judgements, found = _judged(
            tried, asked_for, cells[gold], own, odds, ids[gold], group[gold], column("language")[gold], spec
        )
        useful = [name for name, its in judgements.items() if any(one.accepted for one in its)]
        used = said_of(fill, useful)
        terminal.say(f"label: {ledger} spent so far, over all runs")
    finally:
        ledger.close()
    asked = [(name, ids[gold], said) for name, said in tried.items()]
    asked += [(name, ids[fill], said) for name, said in used.items()]
    keep(folder / VERDICTS, asked, asked_for, policy)
    columns: dict[str, pa.Array] = {}
    counts = {"rows.to_fill": len(fill), "rows.gold": len(gold), **_counted(asked)}
    for position, name in enumerate(asked_for):
        cell, by = cells[:, position].copy(), column(f"by.{name}")
        if used:
            chance, whose = filled({who: said.logits for who, said in used.items()}, judgements, position)
            new = np.isnan(cell[fill]) & ~np.isnan(chance)
            cell[fill[new]], by[fill[new]] = chance[new], whose[new]
            counts[f"filled.{name}"] = int(new.sum())
        columns[LABEL + name] = pa.array(cell, from_pandas=True)
        columns[f"by.{name}"] = pa.array(by, pa.string())
    about = {name: _about(labeller, asked, name, spec) for name, labeller in sorted(spec.labellers.items())}
    return pa.table(columns), {what: n for what, n in counts.items() if n}, {"labellers": about, **found}


def _judged(
    tried: Mapping[str, Said],
    labels: Sequence[str],
    cells: np.ndarray,
    own: np.ndarray,
    odds: np.ndarray,
    ids: np.ndarray,
    group: np.ndarray,
    language: np.ndarray,
    spec: Labelling,
) -> tuple[dict[str, list[Judgement]], dict[str, Any]]:
    """(a judgement a label, by labeller; what is told of it), on gold rows. cells: float [n, L]; own, odds:
    as in `Chosen`; ids, group, language: str [n]."""
    judgements: dict[str, list[Judgement]] = {name: [] for name in tried}
    judged: list[dict[str, Any]] = []
    agree: list[dict[str, Any]] = []
    logits = {name: said.logits for name, said in tried.items()}
    for position, label in enumerate(labels):
        known = own[:, position]
        target, groups, spoken = cells[known, position].astype(np.float64), group[known], language[known]
        for name, said in logits.items():
            heard = said[known, position]
            one = judge(
                target, heard, groups.astype(str), spoken.astype(str), spec.accept, float(odds[position])
            )
            judgements[name].append(one)
            judged.append({"labeller": name, "label": label, **one.found})
        if len(tried) > 1:
            of_each = {name: said[:, position] for name, said in logits.items()}
            agree.append({"label": label, **agreement(of_each, ids, group)})
    return judgements, {"judged": judged, "agreement": agree}


def _counted(asked: Sequence[Asked]) -> dict[str, int]:
    found: Counter[str] = Counter()
    for name, _, said in asked:
        found[f"not_sent.{name}"] += int(said.stayed.sum())
        found.update(f"failed.{name}.{why}" for why in said.failed.values())
    return dict(found)


def _about(labeller: Labeller, asked: Sequence[Asked], name: str, spec: Labelling) -> dict[str, Any]:
    """Who it was, without where it is; what its answers took; rows of which a sample has no verdict."""
    mine = [(ids, said) for whose, ids, said in asked if whose == name]
    took = sum((said.took for _, said in mine), Spent())
    answers = sum(said.answers for _, said in mine)
    tokens: dict[str, float] = {"prompt": took.prompt, "completion": took.completion}
    if spec.budget.price:
        tokens["cost"] = round(spec.budget.of(took.prompt, took.completion), 6)
    return {
        "model": placeless(labeller.model),
        "form": mine[0][1].form,
        "prompts": list(mine[0][1].prompts),
        "answers": answers,
        "took": tokens,
        "took_per_1000": {what: round(n * 1000 / answers, 3) for what, n in tokens.items()}
        if answers
        else None,
        "no_verdict": sorted({str(ids[row]) for ids, said in mine for _, row in said.failed}),
    }
