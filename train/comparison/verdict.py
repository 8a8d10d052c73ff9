"""A pair of sides in plain words: records of their differences go in, sentences come out, the main one first.

What is said of labels and slices has passed Holm's correction; the main figure of each set needs none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from train.comparison.estimate import ENOUGH_SEEDS
from train.comparison.figures import MARGIN, PRIMARY, RATES, Outcome, within_margin
from train.comparison.sides import Side
from train.evaluation.metrics import ENOUGH
from train.evaluation.records import Record, is_synthetic, is_whole
from train.report.tables import SPLIT
from train.suites.suite import PREFIX

TITLES = {"auprc": "AUPRC", "auroc": "AUROC", "f1": "F1", "recall": "recall", "fpr": "FPR"}
ANY = {"recall": "any harm found", "fpr": "any flag on allowed text"}
MOST = 4
"""Changes that a sentence lists one by one."""


@dataclass(frozen=True)
class Line:
    set: str
    outcome: Outcome
    text: str
    """How the sides stand on the set."""
    changes: Sequence[str]
    """What is better or worse of its labels, then of its slices."""


@dataclass(frozen=True)
class Verdict:
    """headline: the main set's answer; scope: what it speaks of; lines: one for each whole set."""

    outcome: Outcome
    headline: str
    scope: str
    lines: Sequence[Line]


def verdict(a: Side, b: Side, figures: Sequence[Record], slices: Sequence[Record]) -> Verdict:
    """figures, slices: as `differences` and `slice_differences` give them, of all sets."""
    whole = [name for name in dict.fromkeys(r["set"] for r in figures) if is_whole(name)]
    lines = [_line(name, a, b, figures, slices) for name in whole]
    told = [line for line in lines if line.outcome != "insufficient"]
    first = (told or lines or [Line("", "insufficient", "Only sets of single sources are shared.", ())])[0]
    return Verdict(first.outcome, first.text, _scope(a, b), lines)


def _line(name: str, a: Side, b: Side, figures: Sequence[Record], slices: Sequence[Record]) -> Line:
    of_set = [record for record in figures if record["set"] == name]
    main = _main(of_set)
    changes = []
    for outcome in ("better", "worse"):
        hits = [r for r in of_set if r is not main and r["outcome"] == outcome and r["label"] != "macro"]
        changes += _listed(f"{b.letter} is {outcome} in", hits)
    for outcome in ("better", "worse"):
        hits = [r for r in slices if r["set"] == name and r["outcome"] == outcome]
        changes += _listed(f"By slice, {b.letter} is {outcome} in", hits)
    return Line(name, main["outcome"], _sentence(main, a.letter, b.letter), changes)


def _main(of_set: Sequence[Record]) -> Record:
    """Macro AUPRC, or of a set without positives the share of allowed texts that are flagged."""
    macro = next(r for r in of_set if (r["label"], r["metric"]) == PRIMARY)
    flagged = [
        r for r in of_set if (r["label"], r["metric"]) == ("any", "fpr") and r["outcome"] != "insufficient"
    ]
    return macro if macro["outcome"] != "insufficient" or not flagged else flagged[0]


def _sentence(record: Record, a: str, b: str) -> str:
    where = set_title(record["set"])
    margin = f"{MARGIN * 100:g} point" if record["metric"] in RATES else f"{MARGIN:g}"
    match record["outcome"]:
        case "insufficient":
            return f"Nothing can be said on {where}: no label has {ENOUGH} positives and {ENOUGH} negatives."
        case "better" | "worse" as outcome:
            small = f", if by less than the margin of {margin}" if within_margin(record) else ""
            return f"{b} is {outcome} than {a} on {where}{small}: {_stated(record, a, b)}."
        case "equivalent":
            stated = _stated(record, a, b, "tost_")
            return f"{a} and {b} are equivalent on {where}, within ±{margin}: {stated}."
        case _ if record["low"] is None:
            return (
                f"No difference shown on {where}, and no interval to say how sure: {_stated(record, a, b)}."
            )
        case _:
            return (
                f"No difference shown between {a} and {b} on {where}, and too uncertain to call them equal: "
                f"{_stated(record, a, b)}. Equal within ±{margin} would need the 90% interval "
                f"({_ends(record, 'tost_')}) to lie inside."
            )


def _stated(record: Record, a: str, b: str, ends: str = "") -> str:
    """macro AUPRC 0.812 (B) against 0.790 (A), +0.022 (95% interval +0.010 to +0.034)"""
    level = "90%" if ends else "95%"
    sure = f" ({level} interval {_ends(record, ends)})" if record[f"{ends}low"] is not None else ""
    form = _form(record["metric"])
    values = f"{form(record['b'])} ({b}) against {form(record['a'])} ({a})"
    return f"{title(record)} {values}, {change(record)}{sure}"


def _ends(record: Record, ends: str) -> str:
    low, high = record[f"{ends}low"], record[f"{ends}high"]
    return f"{bare(low, record['metric'])} to {bare(high, record['metric'])}"


def _listed(opening: str, hits: Sequence[Record]) -> list[str]:
    if not hits:
        return []
    largest = sorted(hits, key=lambda r: -abs(r["difference"]))[:MOST]
    more = f" and {len(hits) - MOST} more" if len(hits) > MOST else ""
    return [f"{opening} " + ", ".join(f"{title(r)} ({change(r)})" for r in largest) + f"{more}."]


def _scope(a: Side, b: Side) -> str:
    runs = f"{len(a.runs)} and {len(b.runs)}"
    if a.of_recipe and b.of_recipe:
        same = a.runs[0].of_one_kind == b.runs[0].of_one_kind
        what = "one recipe held against itself" if same else "the two recipes"
        return (
            f"This speaks of {what}: the intervals hold the training seeds ({runs}) and the choice of texts."
        )
    what = "two checkpoints" if len(a.runs) == len(b.runs) == 1 else f"these checkpoints ({runs} runs)"
    return (
        f"This speaks of {what}, not of their recipes: the intervals hold the choice of texts, and another "
        f"training seed may turn it round. To compare recipes, train {ENOUGH_SEEDS} seeds of each."
    )


def set_title(name: str) -> str:
    """A set's name in a sentence."""
    if name.startswith(PREFIX):
        return f"suite {name.removeprefix(PREFIX).removesuffix('.synthetic')}"
    source = name.removeprefix(SPLIT).removeprefix(".synthetic").removeprefix(".")
    kind = "synthetic" if is_synthetic(name) else "real"
    return f"{kind} test text" + (f" of {source}" if source else "")


def title(record: Mapping[str, Any]) -> str:
    """A figure's name: hate recall [lang=ko]."""
    of = f" [{record['slice']}={record['value']}]" if "slice" in record else ""
    if record["label"] == "any":
        return f"{ANY[record['metric']]}{of}"
    some = f" ({record['labels']} of {record['of']} labels)" if record["labels"] != record["of"] else ""
    return f"{record['label']} {TITLES[record['metric']]}{some}{of}"


def change(record: Mapping[str, Any]) -> str:
    return signed(record["difference"], record["metric"])


def signed(value: float, metric: str) -> str:
    """A difference: of areas in three places, of rates in percentage points."""
    return f"{bare(value, metric)} points" if metric in RATES else bare(value, metric)


def bare(value: float, metric: str) -> str:
    """The same without its unit."""
    said = f"{round(value * 100, 1) + 0.0:+.1f}" if metric in RATES else f"{round(value, 3) + 0.0:+.3f}"
    return said.replace("-", "−")


def _form(metric: str) -> Any:
    return (lambda value: f"{value * 100:.1f}%") if metric in RATES else "{:.3f}".format
