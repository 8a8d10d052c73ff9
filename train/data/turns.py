"""Conversations: turns in, out one text that the encoder divides again; the same for training and serving."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from train.example import TURN

Turns = Sequence[tuple[str, str]]
"""(speaker, text) of each turn."""


class NoConversation(ValueError):
    """What is wrong with it, as in "3 rows without a last turn"."""


def told(value: Any) -> Turns:
    """The turns of a list of {speaker, text} or {role, content}, or of such a list written as JSON.

    A text that is null is empty, as in a message that only calls a tool. Raises NoConversation.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise NoConversation("without a list of turns") from None
    if not isinstance(value, list):
        raise NoConversation("without a list of turns")
    return [_turn(item) for item in value]


def joined(turns: Turns) -> str:
    """One text, each turn as "speaker: text", the turns set apart by TURN. An empty turn is left out.

    Raises NoConversation where there is no last turn to judge.
    """
    if not turns or not turns[-1][1]:
        raise NoConversation("without a last turn")
    return TURN.join(undivided(f"{speaker}: {text}") for speaker, text in turns if text)


def undivided(text: str) -> str:
    """A text that is one turn: what would divide it is a space."""
    return text.replace(TURN, " ")


def spoken(text: Any) -> str:
    """The words of a turn; nothing where there are none. Raises NoConversation for what is no text."""
    if text is None or text != text:  # NaN: a table's empty cell
        return ""
    if not isinstance(text, str):
        raise NoConversation("with a turn that is no text")
    return text.strip()


def _turn(item: Any) -> tuple[str, str]:
    if isinstance(item, dict):
        speakers = [item[key] for key in ("speaker", "role") if isinstance(item.get(key), str)]
        texts = [item[key] for key in ("text", "content") if key in item]
        if speakers and texts:
            return speakers[0], spoken(next((text for text in texts if text is not None), None))
    raise NoConversation("with a turn that is not {speaker, text} or {role, content}")
