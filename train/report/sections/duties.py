"""The regulator's view: which duties of the UK Online Safety Act are measured, and which are not."""

from __future__ import annotations

from typing import Any

from train.evaluation.duties import TAXONOMY
from train.report.finished import Finished
from train.report.numbers import listed, several

KINDS = {
    "illegal": ("Illegal content", "to be removed for everybody"),
    "primary-priority": ("Primary priority content", "children must be kept from it"),
    "priority": ("Priority content", "children must be protected from it"),
    "non-designated": ("Non-designated content", "other harm to children, by Ofcom’s guidance"),
}
NAMES = {
    "csea": "child sexual exploitation and abuse",
    "abuse-hate": "abuse and hate",
    "harassment-threats": "harassment and threats",
    "self-harm": "self-harm",
}
OUTCOMES = {
    "measured": "measured",
    "in part": "in part: a label is not trained",
    "insufficient": "insufficient",
    "not measured": "not measured",
    "not trained": "no label is trained",
}


def content(run: Finished) -> dict[str, Any] | None:
    duties = run.final.get("duties", [])
    parts = [part for part in (_of_set(run, table.name) for table in run.whole) if part["lines"]]
    if not duties and not parts:
        return None
    kinds: dict[str, list[Any]] = {}
    for duty in duties:
        kind, _, name = duty["code"].partition(":")
        kinds.setdefault(kind, []).append({**duty, "name": NAMES.get(name, name.replace("-", " "))})
    return {
        "headline": _headline(duties),
        "kinds": [(*KINDS.get(kind, (kind, "")), of_kind) for kind, of_kind in kinds.items()],
        "outcomes": OUTCOMES,
        "parts": parts,
    }


def _headline(duties: list[dict[str, Any]]) -> str:
    if not duties:
        return "The policy names no duty of the Act: these are its own tiers."
    covered = sum(duty["outcome"] == "measured" for duty in duties)
    said = [
        f"{n} {words}"
        for outcome, words in (
            ("in part", "only in part"),
            ("insufficient", "on too few texts"),
            ("not measured", "not at all"),
            ("not trained", "not even trained for"),
        )
        if (n := sum(duty["outcome"] == outcome for duty in duties))
    ]
    are = "is" if covered == 1 else "are"
    rest = f"; {listed(said)}" if said else ""
    silent = [
        title.lower()
        for kind, (title, _) in KINDS.items()
        if (of := [duty for duty in duties if duty["code"].startswith(f"{kind}:")])
        and all(duty["positives"] == 0 for duty in of)
    ]
    nothing = f" No real text carries {listed(silent)}." if silent else ""
    return (
        f"Of {several(len(duties), 'duty', 'duties')}, {covered} {are} measured on real text{rest}.{nothing}"
    )


def _of_set(run: Finished, name: str) -> dict[str, Any]:
    """Each kind of duty, then each tier. silent: labels that serve it though no text of the set knows them,
    whose flags count as finds all the same."""
    lines = []
    for key in (k for k in run.figures if k.startswith(f"{name}/") and k.endswith("/recall")):
        part = key.split("/")[1]
        what, _, value = part.partition(":")
        if what not in ("duty", "tier"):
            continue
        if what == "duty":
            title, served = KINDS.get(value, (value, ""))[0], _serving(run, value)
        else:
            title = f"Tier {value}: {run.policy.tiers[int(value)].name}"
            served = [la for la, label in run.policy.labels.items() if label.tier == int(value)]
        known = {record["label"] for table in run.whole if table.name == name for record in table.records}
        silent = [la for la in served if la in run.final["labels"] and la not in known]
        recall = run.value(f"{name}/{part}/recall", "positives")
        fpr = run.value(f"{name}/{part}/fpr", "negatives")
        lines.append({"part": part, "title": title, "recall": recall, "fpr": fpr, "silent": silent})
    return {"name": name, "lines": lines}


def _serving(run: Finished, kind: str) -> list[str]:
    return [
        name
        for name, label in run.policy.labels.items()
        if any(code.startswith(f"{kind}:") for code in label.codes.get(TAXONOMY, ()))
    ]
