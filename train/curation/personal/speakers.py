"""Who speaks in a conversation: a role stays, the name of an account becomes a letter."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from itertools import count

ROLES = (
    *("user", "bot", "assistant", "system", "tool", "agent", "model", "ai", "human", "customer", "operator"),
    *("moderator", "mod", "admin", "host", "speaker", "player", "buyer", "seller", "poster", "op", "other"),
    *("adult", "child", "kid", "teen", "minor", "student", "teacher", "parent", "friend", "stranger", "peer"),
)
_NUMBER = re.compile(r"[\s_-]?\d{1,3}$")


def speakers(turns: Sequence[str], roles: Collection[str]) -> Iterator[tuple[int, str, str]]:
    """(turn, the name before it, the letter in its place) of each turn that an account speaks. turns: each
    "name: words".

    A role may have a number, and a single letter is one. The letters are A, B, C in the order in which
    accounts first speak, but for those that speak already.
    """
    names = [turn.partition(": ")[0] for turn in turns]
    taken = {name.strip().casefold() for name in names}
    free = (letter for letter in _letters() if letter.casefold() not in taken)
    given: dict[str, str] = {}
    for turn, name in enumerate(names):
        role = _NUMBER.sub("", name.strip().casefold())
        if len(role) > 1 and role not in roles:
            if name not in given:
                given[name] = next(free)
            yield turn, name, given[name]


def _letters() -> Iterator[str]:
    for number in count():
        yield f"{chr(ord('A') + number % 26)}{number // 26 or ''}"
