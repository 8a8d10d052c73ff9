"""Answers that were paid for, kept as they arrive, so that nobody pays for one twice.

One file a prompt, address and model, one line a text, in the cache folder. What was asked is known by its
hash; what a model wrote is kept as it wrote it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from threading import Lock
from typing import Any

from train.files import cache_folder, make_folder, sha256_bytes, write_text


@dataclass(frozen=True)
class Answer:
    """said: of a verdict the log-odds of each label; tokens: those that it cost, or where the server does not
    say, the most that it can have cost."""

    said: Sequence[Any]
    prompt_tokens: int
    completion_tokens: int


class Answers:
    """Threads may use it together, and so may processes: a line is appended in one write."""

    def __init__(self, key: str) -> None:
        """key: hash of all that an answer depends on but the text."""
        folder = cache_folder() / "verdicts"
        make_folder(folder, mode=0o700)
        path = folder / f"{key}.jsonl"
        self._found: dict[str, Answer] = {}
        self._lock = Lock()
        lines = path.read_bytes().split(b"\n") if path.exists() else [b""]
        for line in lines[:-1]:
            with suppress(ValueError):  # a line that was cut when a process was killed
                found = json.loads(line)
                self._found[found["text"]] = Answer(
                    found["said"], found["prompt_tokens"], found["completion_tokens"]
                )
        self._file = path.open("ab", buffering=0)
        if lines[-1]:
            self._file.write(b"\n")

    def get(self, text: str) -> Answer | None:
        return self._found.get(_hash(text))

    def keep(self, text: str, answer: Answer) -> None:
        line = json.dumps({"text": _hash(text), **asdict(answer)}) + "\n"
        with self._lock:
            self._file.write(line.encode())
            os.fsync(self._file.fileno())
            self._found[_hash(text)] = answer

    def close(self) -> None:
        self._file.close()


def forget(texts: Collection[str]) -> int:
    """Remove what is kept about texts, of every prompt and model; how many answers that were. They are asked
    for, and paid for, again if the texts come back."""
    gone, removed = {_hash(text) for text in texts}, 0
    for path in sorted((cache_folder() / "verdicts").glob("*.jsonl")) if gone else ():
        lines = path.read_bytes().splitlines(keepends=True)
        rest = [line for line in lines if _text(line) not in gone]
        if len(rest) < len(lines):
            write_text(path, b"".join(rest).decode(), private=True)
            removed += len(lines) - len(rest)
    return removed


def _text(line: bytes) -> str | None:
    try:
        return str(json.loads(line)["text"])
    except (ValueError, KeyError):  # cut when a process was killed
        return None


def _hash(text: str) -> str:
    return sha256_bytes(text.encode())
