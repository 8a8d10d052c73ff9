"""Counting before training: what each source knows about each label in each split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from rich import box
from rich.table import Table

from train.data.corpus import Corpus
from train.data.mixture import Mixture
from train.data.split import NAMES


def counts(corpus: Corpus) -> list[dict[str, Any]]:
    """One row a (source, split, label): rows, known cells, positives (above .5), negatives (below .5).

    Of what each row says itself, before equal texts are united: every source answers for its own cells.
    """
    found = []
    splits = corpus.splits()
    for source in dict.fromkeys(corpus.of):
        for split in NAMES:
            rows = np.flatnonzero((corpus.of == source) & (splits == split))
            for column, label in enumerate(corpus.labels):
                cells = corpus.said[rows, column]
                found.append(
                    {
                        "source": source,
                        "split": split,
                        "label": label,
                        "rows": len(rows),
                        "known": int((~np.isnan(cells)).sum()),
                        "positives": int((cells > 0.5).sum()),
                        "negatives": int((cells < 0.5).sum()),
                    }
                )
    return found


def passes(mixture: Mixture) -> list[dict[str, Any]]:
    """One row a source: training rows (equal texts once), how many stand in an epoch and would without
    `max_repeats`, both also as shares of the epoch, and how often a row stands in one."""
    asked = sum(mixture.asked.values())
    return [
        {
            "source": name,
            "rows": len(rows),
            "in_epoch": mixture.quota[name],
            "share": mixture.quota[name] / mixture.size,
            "asked": mixture.asked[name],
            "asked_share": mixture.asked[name] / asked,
            "repeats": mixture.repeats(name),
        }
        for name, rows in mixture.positions.items()
    ]


def token_lengths(corpus: Corpus, limit: int) -> dict[str, int | float]:
    """Quantiles of the texts' tokens, and the share of texts that reach the limit (longer, or just fitting).

    Where longer texts are cut, all that is known of them is that they reach it.
    """
    whole = np.diff(corpus.offsets)[corpus.row]
    quantiles = np.quantile(whole, [0.5, 0.95, 1.0])
    return {
        "median": int(quantiles[0]),
        "p95": int(quantiles[1]),
        "max": int(quantiles[2]),
        "share_at_limit": float((whole >= limit).mean()),
    }


def table(found: Sequence[Mapping[str, Any]]) -> Table:
    """Of `counts`: a line a source and label; positives / known cells by split."""
    drawn = _empty("rows; positive/known cells, as each source says before equal texts are united")
    drawn.add_column("source")
    drawn.add_column("label", overflow="fold")
    for split in NAMES:
        drawn.add_column(split, justify="right")
    lines: dict[tuple[str, str], dict[str, str]] = {}
    rows: dict[str, dict[str, str]] = {}
    for cell in found:
        line = lines.setdefault((cell["source"], cell["label"]), {})
        line[cell["split"]] = f"{cell['positives']:,}/{cell['known']:,}" if cell["known"] else ""
        rows.setdefault(cell["source"], {})[cell["split"]] = f"{cell['rows']:,}"
    for source, sizes in rows.items():
        drawn.add_row(source, "rows", *(sizes[split] for split in NAMES), style="bold")
        for (owner, label), line in lines.items():
            if owner == source and any(line.values()):  # of the other labels it says nothing
                drawn.add_row("", label, *(line[split] for split in NAMES))
    return drawn


def passes_table(found: Sequence[Mapping[str, Any]]) -> Table:
    """Of `passes`, with how often a row is `seen` in all: what an epoch and the whole training hold."""
    drawn = _empty("mixture")
    drawn.add_column("source")
    for header in ("train texts", "in an epoch", "share", "a row an epoch", "a row in all"):
        drawn.add_column(header, justify="right")
    for line in found:
        drawn.add_row(
            line["source"],
            f"{line['rows']:,}",
            f"{line['in_epoch']:,}",
            f"{line['share']:.1%}",
            f"{line['repeats']:.2f}x",
            f"{line['seen']:.2f}x",
        )
    return drawn


def held(found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Of `passes`: a line for each source that `max_repeats` gives less of an epoch than was asked for."""
    for line in found:
        if line["in_epoch"] < line["asked"]:
            yield (
                f"{line['source']}: max_repeats holds it at {line['share']:.1%} of an epoch; asked for were "
                f"{line['asked']:,} rows, {line['asked_share']:.1%}"
            )


def unknown_shown(kind: str, shares: Mapping[str, float]) -> str:
    """A line: shares of unknown tokens, the largest first; those that round to nothing in one."""
    ordered = sorted(shares.items(), key=lambda item: -item[1])
    said = [f"{name} {share:.2%}" for name, share in ordered if round(share, 4)]
    if len(said) < len(shares):
        said.append("others 0.00%" if said else "0.00%")
    return f"unknown tokens by {kind}: {', '.join(said)}"


def _empty(title: str) -> Table:
    return Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", show_edge=False, padding=0)
