"""Files with a message a row: each becomes a conversation, with those of its thread that led to it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

from pydantic import Field

from train.data.turns import NoConversation, Turns, spoken
from train.data.values import NotOneValue, Row, is_number, plain
from train.spec import Spec

NEEDS = "a thread, a place in it that no other message has, a speaker and a text in every row"


class Messages(Spec):
    """A conversation whose messages are rows of their own. Its thread is the group: it stays in one split."""

    thread: str
    """Column that says which conversation a message is of."""
    order: str
    """Column with a number or an ISO 8601 time (UTC where it says no zone): how the messages of a thread
    follow one another, wherever they stand in the file."""
    speaker: str
    """Column with who says it, which is written before the text."""
    text: str
    """Column."""
    context: int = Field(default=6, ge=0)
    """How many messages before the one that is judged are shown with it, at most."""
    judged: Literal["last", "every"] = "last"
    """Which messages are examples, each with the id, cells and slices of its own row: the last of a thread,
    or every one, as it is to be judged while a conversation goes on. `only` chooses among these; the others
    are context still."""

    def reads(self) -> Iterator[tuple[str, str]]:
        """(field, column); the text's field is `turns`."""
        yield from (("turns.thread", self.thread), ("turns.order", self.order))
        yield from (("turns.speaker", self.speaker), ("turns", self.text))


def in_context(
    messages: Messages, rows: Iterable[Row], gone: Callable[[int, Row], bool] = lambda number, row: False
) -> Iterator[Row]:
    """The rows of a file, in their order, each with turns in place of its text: the last is its own message.

    None stands there where a later message of the thread is judged instead; where something is wrong with the
    message, what that is (a NoConversation), and the message is in no context. gone: whether the message of a
    row, by its number and what it holds, was deleted: it is in no context, and not judged. Memory holds the
    rows.
    """
    held = list(rows)
    turns: list[Turns | NoConversation | None] = [None] * len(held)
    threads: dict[str, dict[Decimal, tuple[int, tuple[str, str]]]] = {}
    for row, (where, cells) in enumerate(held):
        if gone(row, (where, cells)):
            continue
        try:
            name, place = _cell(cells, messages.thread, "a thread"), _place(cells, messages.order)
            said = row, _turn(cells, messages)
            if threads.setdefault(name, {}).setdefault(place, said) is not said:
                raise NoConversation("at a place of its thread that another message has")
        except NoConversation as wrong:
            turns[row] = wrong
    for thread in threads.values():
        inside = [thread[place] for place in sorted(thread)]
        first = 0 if messages.judged == "every" else len(inside) - 1
        for at in range(first, len(inside)):
            shown = inside[max(0, at - messages.context) : at + 1]
            turns[inside[at][0]] = [turn for _, turn in shown]
    for (where, cells), its in zip(held, turns, strict=True):
        yield where, cells | {messages.text: its}


def _turn(cells: dict[str, Any], messages: Messages) -> tuple[str, str]:
    speaker, text = _cell(cells, messages.speaker, "a speaker"), spoken(cells.get(messages.text))
    if not text:
        raise NoConversation("empty")
    return speaker, text


def _place(cells: dict[str, Any], column: str) -> Decimal:
    """A number, or a time in seconds since 1970. Exact: a float would take two long numbers for one."""
    said = _cell(cells, column, "an order")
    if is_number(said):
        return Decimal(said)
    try:
        time = datetime.fromisoformat(said)
    except ValueError:
        raise NoConversation("whose order is neither number nor time") from None
    passed = time.replace(tzinfo=time.tzinfo or UTC) - datetime.fromtimestamp(0, UTC)
    return Decimal(passed // timedelta(microseconds=1)).scaleb(-6)


def _cell(cells: dict[str, Any], column: str, what: str) -> str:
    try:
        value = plain(cells.get(column))
    except NotOneValue:
        value = None
    if value is None:
        raise NoConversation(f"without {what}")
    return value
