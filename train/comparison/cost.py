"""What a side's training took, beside what it gave: the runs' own logs go in, means over runs come out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean, median
from typing import Any

from train.comparison.sides import Finished, Side
from train.loop.checkpoints import TRAINER
from train.tracking.run import history

TITLES = {
    "updates": "updates",
    "seconds": "wall time",
    "train_seconds": "time in updates",
    "examples_per_second": "examples a second",
    "tokens_per_second": "tokens a second",
    "peak_memory_bytes": "peak memory",
    "stored_bytes": "checkpoint",
}


def cost(side: Side) -> dict[str, float | str | None]:
    """The figures of TITLES, None where a run does not hold one, and `device`.

    seconds: all of training; train_seconds: updates alone, which is derived from their examples a second
    where the run does not say; examples_per_second: the median update's; stored_bytes: weights of
    the selected checkpoint, which holds the base model only where that was trained.
    """
    runs = [_of_run(run) for run in side.runs]
    found: dict[str, float | str | None] = {key: _mean([run.get(key) for run in runs]) for key in TITLES}
    devices = {str(run["device"]) for run in runs if run.get("device")}
    return found | {"device": ", ".join(sorted(devices)) or None}


def _of_run(run: Finished) -> dict[str, Any]:
    told = dict(run.final.get("cost", {}))  # what the trainer measured
    logged = history(run.folder) if (run.folder / "metrics.jsonl").is_file() else []
    speeds = [r["train/examples_per_second"] for r in logged if r.get("train/examples_per_second")]
    if speeds:
        batch = run.locked["recipe"]["train"]["global_batch"]
        told.setdefault("train_seconds", sum(batch / speed for speed in speeds))
        told["examples_per_second"] = median(speeds)
    if told.get("tokens") and told.get("train_seconds"):
        told["tokens_per_second"] = told["tokens"] / told["train_seconds"]
    weights = (run.folder / "checkpoints" / "best").glob("*.safetensors")
    told["stored_bytes"] = sum(file.stat().st_size for file in weights if file.name != TRAINER) or None
    return told | {"updates": run.final.get("steps")}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known and len(known) == len(values) else None


def shown(key: str, value: float | None) -> str:
    """A figure of TITLES as a person reads it."""
    return "–" if value is None else _FORMS.get(key, "{:,.0f}".format)(value)


def _time(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def _size(count: float) -> str:
    return f"{count / 1e6:,.1f} MB" if count < 1e9 else f"{count / 1e9:,.2f} GB"


_FORMS: dict[str, Callable[[float], str]] = {
    "seconds": _time,
    "train_seconds": _time,
    "peak_memory_bytes": _size,
    "stored_bytes": _size,
}
