"""What is wrong with a file: said with its place, never with its content, which people wrote."""

from __future__ import annotations

import difflib
import json
import shlex
import stat
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import NoReturn

from train.errors import InputError, Problem

SHOWN = 20  # problems of one file that are spelled out; the rest are counted
PLACES = 10  # rows named in a message about many
EMPTY = "is empty"
WHOLE = "check that the download or export was complete"


class Places:
    """Where something is: how often, and the first places."""

    def __init__(self) -> None:
        self.count = 0
        self._first: list[str] = []

    def add(self, where: str) -> None:
        self.count += 1
        if len(self._first) < PLACES:
            self._first.append(where)

    @property
    def first(self) -> str:
        return self._first[0]

    def others(self, path: Path) -> str:
        """The places after the first, "" where there are none: in this file, without its name."""
        short = ", ".join(place.removeprefix(str(path)).lstrip(": ") for place in self._first[1:])
        return f"; also {short}{' ...' if self.count > PLACES else ''}" if short else ""


class Findings:
    """The problems of one file, to be raised together: equal ones as one, the first ones in full, the rest as
    a number."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._places: dict[tuple[str, str, str], Places] = {}
        self._more = 0

    def __bool__(self) -> bool:
        return bool(self._places)

    def add(self, where: str, what: str, expected: str = "", remedy: str = "") -> None:
        key = (what, expected, remedy)
        if key in self._places or len(self._places) < SHOWN:
            self._places.setdefault(key, Places()).add(where)
        else:
            self._more += 1

    def stop(self, where: str, what: str, expected: str = "", remedy: str = "") -> NoReturn:
        """Raise now: nothing after this place can be read."""
        raise InputError([*self._all(), Problem(where, what, expected, remedy)])

    def close(self) -> None:
        if self._places:
            raise InputError(self._all())

    def _all(self) -> list[Problem]:
        found = []
        for (what, expected, remedy), places in self._places.items():
            often = f", {places.count:,} times" if places.count > 1 else ""
            what = f"{what}{often}{places.others(self._path)}"
            found.append(Problem(places.first, what, expected, remedy))
        more = [Problem(str(self._path), f"and {self._more:,} more problems")] if self._more else []
        return [*found, *more]


def must_be_file(path: Path) -> None:
    """Raise InputError unless `path` is a file that can be looked at."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise InputError(missing(path)) from None
    except OSError as error:
        raise InputError(Problem(str(path), f"cannot be read: {error.strerror}")) from None
    if stat.S_ISDIR(mode):
        inside = [name for name in _names(path) if not name.startswith(".")]
        remedy = f"one file in it: {quoted(inside)}" if inside else ""
        raise InputError(Problem(str(path), "is a folder", "a file", remedy))
    if not stat.S_ISREG(mode):
        raise InputError(Problem(str(path), "is a pipe or a device", "a file: it is read more than once"))


def missing(path: Path) -> Problem:
    """The problem of a file that is not there, with the names most like it."""
    absent = path
    while not is_folder(absent.parent) and absent.parent != absent:
        absent = absent.parent
    what = "no such file" if absent == path else f"no such file: there is no folder {absent}"
    if command := _fetches(path):
        return Problem(str(path), what, remedy=command)
    near = nearest(absent.name, _names(absent.parent))
    return Problem(str(path), what, remedy=f"{quoted([near])}, which is there" if near else "")


def _fetches(path: Path) -> str:
    """The command that brings a file of a public source; "" for any other."""
    from train.data.public import catalogue, data_folder

    source, folder = catalogue().get(path.parent.name), path.absolute().parent.parent
    if source is None or path.name not in source.files:
        return ""
    to = "" if folder == data_folder().absolute() else f" --to {shlex.quote(str(folder))}"
    return f"teensafe data fetch {path.parent.name}{to}"


def is_folder(path: Path) -> bool:
    """Whether it is a folder that we may know of; `Path.is_dir` raises where we may not."""
    try:
        return path.is_dir()
    except OSError:
        return False


def _names(folder: Path) -> list[str]:
    try:
        return sorted(p.name for p in folder.iterdir())
    except OSError:
        return []


def nearest(word: str, words: Iterable[str]) -> str | None:
    """The word that was probably meant."""
    by_small = {w.casefold(): w for w in words}
    match = difflib.get_close_matches(word.casefold(), by_small, n=1)
    return by_small[match[0]] if match else None


def quoted(names: Iterable[str], most: int = 30) -> str:
    """Names for a message. A long one may be a user's text (a header that is none) and is not shown."""
    first = list(islice(names, most + 1))
    shown = [
        in_quotes(name) if len(name) <= 60 and name.count(" ") < 3 else f"(a name of {len(name)} characters)"
        for name in first[:most]
    ]
    return ", ".join(shown) + (", ..." if len(first) > most else "")


def in_quotes(text: str) -> str:
    """Text for a terminal: control characters and half characters are escaped."""
    return json.dumps(text, ensure_ascii=False).encode(errors="backslashreplace").decode()
