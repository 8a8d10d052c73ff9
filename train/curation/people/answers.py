"""What a person may say of a label, and what every file that holds answers says beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from train.curation.people.votes import Vote, named
from train.data.findings import Findings, nearest, quoted
from train.data.values import NotANumber, NotOneValue, number_of, plain
from train.policy import Policy

ANSWERS = {"yes": 1.0, "no": 0.0, "unsure": 0.5}
"""Answer -> the vote."""


def answer(where: str, label: str, said: Any, policy: Policy, found: Findings) -> float | None:
    """The vote; None, after noting what is wrong, for what is no answer to a label of the policy."""
    if label not in policy.labels:
        near = nearest(label, policy.labels)
        what = f"{quoted([label])} is no label of the policy {named(policy)}"
        found.add(where, what, quoted(policy.labels), quoted([near]) if near else "")
        return None
    value = ANSWERS.get(said.strip().lower()) if isinstance(said, str) else None
    if value is None:
        found.add(where, f"{label}: is no answer", quoted(ANSWERS))  # what else stands there may be a text
    return value


def begun(where: str, said: Mapping[str, Any], policy: Policy, found: Findings) -> Vote | None:
    """A vote with all but its label, value, annotator and ballot, from what was sent out with an item:
    `item`, `round` and `policy`. None, after noting what is wrong."""
    try:
        item, under = (plain(said.get(name)) for name in ("item", "policy"))
        round_ = number_of(said.get("round")) or 0.0
    except (NotOneValue, NotANumber):
        found.add(where, "item, round or policy: not what was sent out", "an id, a number and a name")
        return None
    if not item or not round_.is_integer() or not 0 <= round_ < 2**15:
        what = "has no item" if not item else "round: not a round"
        found.add(where, what, "`item` and `round` as they were sent out")
        return None
    return Vote(item, "", None, None, int(round_), policy=under or named(policy))
