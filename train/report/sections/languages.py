"""For whom it works: each language at the run's thresholds, and had these been set on English text alone."""

from __future__ import annotations

from typing import Any

from train.report.finished import Finished
from train.report.numbers import share


def content(run: Finished) -> dict[str, Any] | None:
    found = []
    for table in run.whole:
        lines = [
            {
                "label": label,
                "lang": lang,
                **{m: run.value(f"{table.name}/{label}/{m}/lang={lang}", n) for m, n in _METRICS.items()},
            }
            for label, lang in run.found(table.name, "recall_at_english", "lang")
        ]
        if lines:
            found.append({"name": table.name, "synthetic": table.synthetic, "lines": lines, **_said(lines)})
    return {"sets": found} if found else None


_METRICS = {
    "recall": "positives",
    "recall_at_english": "positives",
    "fpr": "negatives",
    "fpr_at_english": "negatives",
}


def _said(lines: list[dict[str, Any]]) -> dict[str, str]:
    """The language that falls furthest behind English, in a sentence."""
    english = {line["label"]: line["recall"] for line in lines if line["lang"] == "en"}
    behind = [
        (english[line["label"]].value - line["recall"].value, line)
        for line in lines
        if line["recall"].told and line["label"] in english and english[line["label"]].told
    ]
    behind = [one for one in behind if one[1]["lang"] != "en"]
    if not behind:
        return {"said": "Insufficient: no label has 30 harmful texts in English and in another language."}
    gap, worst = max(behind, key=lambda one: one[0])
    if gap <= 0:
        return {"said": "No language with enough texts is found less often than English."}
    base = english[worst["label"]].value
    said = (
        f"Furthest behind English: of {worst['label']} in {worst['lang']} it finds "
        f"{share(worst['recall'].value)} of {worst['recall'].n:,}, in English {share(base)}."
    )
    return {"said": said}
