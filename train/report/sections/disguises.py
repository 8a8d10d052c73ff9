"""What a disguise costs: how much less is found, and how much more is wrongly flagged, worst first."""

from __future__ import annotations

from typing import Any

from train.evaluation.records import is_synthetic
from train.report.finished import Finished

FIRST = 8
"""Rows of real text that are shown unfolded."""
DESCRIBED = {
    "leetspeak": "digits for letters",
    "spacing": "words spelled out (l i k e)",
    "zero_width": "invisible characters inside words",
    "homoglyphs": "look-alike letters of other scripts",
    "repeated": "letters repeated (liiike)",
    "typos": "slips of the finger",
    "emoji": "emoji for words",
    "algospeak": "coded words",
    "algospeak_held_out": "coded words never trained on",
    "case": "letters in mixed case",
}


def content(run: Finished) -> dict[str, Any] | None:
    names = dict.fromkeys(key.split("/")[0] for key in run.figures if "/perturbation=" in key)
    found = [_of_set(run, name) for name in sorted(names, key=_real_first)]
    return {"sets": found, "first": FIRST} if found else None


def _of_set(run: Finished, name: str) -> dict[str, Any]:
    """lines: what escapes, a label and disguise each, and how sure that is; alarms: what is wrongly flagged
    under any label, a disguise each. Those on too few texts stand last."""
    lines = [
        {
            "label": label,
            "kind": kind,
            "does": describe(kind),
            "changed": run.figures[f"{name}/{label}/changed/perturbation={kind}"],
            "recall": run.value(f"{name}/{label}/recall/perturbation={kind}", "positives"),
            "drop": run.value(f"{name}/{label}/recall_drop/perturbation={kind}", "positives"),
            "rise": run.value(f"{name}/{label}/fpr_rise/perturbation={kind}", "negatives"),
        }
        for label, kind in run.found(name, "recall_drop", "perturbation")
    ]
    alarms = [
        (
            kind,
            describe(kind),
            run.value(f"{name}/any/fpr/perturbation={kind}", "n"),
            run.value(f"{name}/any/fpr_rise/perturbation={kind}", "n"),
        )
        for label, kind in run.found(name, "fpr_rise", "perturbation")
        if label == "any"
    ]
    lines.sort(key=lambda line: (not line["drop"].told, -(line["drop"].value or 0)))
    alarms.sort(key=lambda line: (not line[3].told, -(line[3].value or 0)))
    few = sorted({line["label"] for line in lines if not line["drop"].told})
    return {
        "name": name,
        "lines": [line for line in lines if line["drop"].told],
        "few": few,
        "alarms": alarms,
        "scale": _scale([line["drop"] for line in lines] + [line["rise"] for line in lines]),
    }


def describe(kind: str) -> str:
    return " and ".join(DESCRIBED.get(part, part) for part in kind.split("+"))


def _scale(values: Any) -> tuple[float, float]:
    ends = [end for v in values if v.told for end in (v.value, v.low, v.high) if end is not None]
    return min([0.0, *ends]), max([0.1, *ends])


def _real_first(name: str) -> tuple[bool, bool, str]:
    return is_synthetic(name), name.startswith("suite."), name
