"""What a person sees while a command works: bars and lines on stderr, so that stdout stays for results."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class Terminal:
    """`speaks` is False for all processes but the main one."""

    def __init__(self, speaks: bool = True) -> None:
        self._speaks = speaks
        self._err = Console(file=sys.stderr, quiet=not speaks, highlight=False, soft_wrap=True)

    def say(self, line: str) -> None:
        self._err.print(line, markup=False)

    @contextmanager
    def bar(
        self, what: str, total: int | None, done: int = 0, *, of_bytes: bool = False
    ) -> Iterator[Callable[..., None]]:
        """A progress bar; yields advance(count, note=""). Without a terminal nothing is drawn."""
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn() if of_bytes else MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        with Progress(
            *columns, console=self._err, transient=True, disable=not self._err.is_terminal
        ) as progress:
            task = progress.add_task(what, total=total, completed=done, note="")

            def advance(count: int, note: str = "") -> None:
                progress.update(task, advance=count, note=note)

            yield advance

    def show(self, renderable: Any) -> None:
        """A result, on stdout."""
        if self._speaks:
            Console(highlight=False).print(renderable)
