"""The run folder: what a training leaves behind, readable without any service.

recipe.yaml  recipe.lock  status.json  metrics.jsonl  summary.json  checkpoints/  predictions/  wandb/
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from train.errors import Failure, InputError, Problem
from train.files import canonical_json, make_folder, sha256_bytes, write_json, write_text

State = Literal["running", "interrupted", "failed", "done"]


def runs_folder() -> Path:
    """`$TEENSAFE_RUNS`, default ./runs."""
    return Path(os.environ.get("TEENSAFE_RUNS") or "runs")


def find(name: str) -> Path:
    """The folder of a run named by path or by name under runs_folder(). Raises InputError."""
    for folder in (Path(name), runs_folder() / name):
        if (folder / "status.json").is_file():
            return folder
    import difflib

    known = sorted(path.parent.name for path in runs_folder().glob("*/status.json"))
    close = difflib.get_close_matches(name, known, n=3, cutoff=0.4) or known[:3]
    raise InputError(
        Problem(
            name,
            "is no run",
            f"a folder with a status.json, or a name under {runs_folder()} ($TEENSAFE_RUNS)",
            f"one of {', '.join(close)}" if close else "teensafe train RECIPE",
        )
    )


class Run:
    """An open run folder. Only one process writes to it: the lock goes with the process, however it ends."""

    def __init__(self, folder: Path, code: str) -> None:
        """Raises Failure where another process is training this run."""
        self.folder, self._code = folder, code
        make_folder(folder)
        self._lock = (folder / ".lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            raise Failure(
                Problem(
                    str(folder),
                    "another process is training this run",
                    "one at a time",
                    "wait for it, or give the recipe another name",
                )
            ) from error
        self._metrics = _appendable(folder / "metrics.jsonl")

    @property
    def checkpoints(self) -> Path:
        return self.folder / "checkpoints"

    def describe(self, recipe: str, lock: Mapping[str, Any]) -> None:
        write_text(self.folder / "recipe.yaml", recipe, private=True)  # addresses of data may be signed
        write_json(self.folder / "recipe.lock", lock)

    def log(self, metrics: Mapping[str, Any]) -> None:
        """Append one record and hand it to the operating system at once."""
        self._metrics.write(json.dumps(metrics, allow_nan=False) + "\n")
        self._metrics.flush()

    def status(self, state: State, step: int, **more: Any) -> None:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        write_json(
            self.folder / "status.json",
            {"status": state, "step": step, "code": self._code, "updated": now, **more},
        )

    def summary(self, figures: Mapping[str, Any]) -> None:
        write_json(self.folder / "summary.json", figures)

    def close(self) -> None:
        self._metrics.close()
        self._lock.close()


def status(folder: Path) -> dict[str, Any]:
    """What status.json says; {} where the run has not begun."""
    return _read(folder / "status.json") if (folder / "status.json").exists() else {}


def summary(folder: Path) -> dict[str, Any]:
    return _read(folder / "summary.json")


def judged_digest(summary: Mapping[str, Any]) -> str:
    """Of a summary's figures and intervals: what was derived from others is of an earlier judgement."""
    judged = canonical_json([summary["metrics"], summary["intervals"]])
    return sha256_bytes(judged.encode())


def history(folder: Path) -> list[dict[str, Any]]:
    """The records of metrics.jsonl by rising step, one a step; what was logged last of a key wins.

    Raises Failure where the file is missing or damaged; a torn last line of a killed process is passed over.
    """
    path = folder / "metrics.jsonl"
    found: dict[int, dict[str, Any]] = {}
    try:
        for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
            if line.endswith("\n"):
                record = json.loads(line)
                found.setdefault(record["step"], {}).update(record)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _unreadable(path, error) from error
    return [found[step] for step in sorted(found)]


def evaluations(folder: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(step, figures) of every evaluation so far, by rising step; none where the run has not begun."""
    for record in history(folder) if (folder / "metrics.jsonl").exists() else ():
        figures = {key: value for key, value in record.items() if not key.startswith("train/")}
        if len(figures) > 1:
            yield figures.pop("step"), figures


def lock(folder: Path) -> dict[str, Any]:
    """What recipe.lock says. Raises Failure."""
    return _read(folder / "recipe.lock")


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return dict(found)
    except (OSError, ValueError, TypeError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> Failure:
    return Failure(Problem(str(path), f"cannot be read ({type(error).__name__})", "the run's own file"))


def _appendable(path: Path) -> Any:
    """Open for appending, less the torn last line a killed process may have left."""
    if path.exists():
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole != len(content):
            with path.open("r+b") as stream:
                stream.truncate(whole)
    return path.open("a", encoding="utf-8")
