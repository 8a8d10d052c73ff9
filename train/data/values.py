"""Rows and their cells: what a cell says (a text, a number, nothing), and how it may be shown."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

from train.data.findings import in_quotes

Row = tuple[str, dict[str, Any]]
"""(where, {column: cell}); where is a place to look at, such as x.csv:41."""


class NotOneValue(Exception):
    """A list, an object or bytes where one value belongs."""


class NotANumber(Exception):
    pass


def plain(value: Any) -> str | None:
    """A cell as text: no outer white space, 1.0 as "1", True as "true"; empty, null and NaN are None."""
    if isinstance(value, str):
        return value.strip() or None
    if value is None or value != value:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, dict, bytes)):
        kind = {list: "a list", dict: "an object", bytes: "bytes"}[type(value)]
        raise NotOneValue(f"{kind} instead of one value")
    if isinstance(value, (float, Decimal)) and math.isfinite(value) and value == int(value):
        return str(int(value))
    return str(value)


def canonical(text: str) -> str:
    """Text whose equality is equality of meaning: "1.0" and "1", "True" and "true"."""
    if (small := text.lower()) in ("true", "false"):
        return small
    if text and is_number(text):
        number = Decimal(text)  # exact: a float would take two long ids for one
        return str(int(number)) if number == int(number) else str(number.normalize())
    return text


def is_number(text: str) -> bool:
    try:
        return number_of(text) is not None
    except NotANumber:
        return False


def number_of(value: Any) -> float | None:
    """The finite number of a cell, None if it is empty. Raises NotANumber."""
    if value is None or isinstance(value, bool) or not isinstance(value, (str, int, float, Decimal)):
        if value is None:
            return None
        raise NotANumber
    if isinstance(value, str):
        value = value.strip()
        if not value:
            return None
        if len(value) > 40 or "_" in value:
            raise NotANumber
    elif value != value:
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        raise NotANumber from None
    if not math.isfinite(number):
        raise NotANumber
    return number


def as_shown(value: Any, most: int = 40) -> str:
    """A value for a message, where it cannot be a user's text."""
    if value is None or value == "":
        return "empty"
    if isinstance(value, (list, dict, bytes)):
        return "not one value"
    text = str(value)
    if len(text) > most:
        return f"(a value of {len(text)} characters)"
    return in_quotes(text) if isinstance(value, str) else text


def collapsed(text: str) -> str:
    """Case-folded, white space collapsed: texts that agree in this are the same text to a reader."""
    return " ".join(text.casefold().split())


def several(value: str | tuple[str, ...] | None) -> tuple[str, ...]:
    """One name or several, as several."""
    if value is None:
        return ()
    return (value,) if isinstance(value, str) else value
