"""What was trained, or tried as a baseline, from which data and code."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from train.report.finished import Finished
from train.tracking.run import status


def content(run: Finished) -> dict[str, Any]:
    """facts: (term, value); values are plain text."""
    final, locked = run.final, run.locked
    sources = ", ".join(f"{name} ({_rows(locked, name):,} rows)" for name in locked["sources"])
    policy = locked["recipe"]["policy"]
    facts = [
        ("recipe", final["name"]),
        ("policy", f"{policy['name']} {policy['version']}"),
        *(_attempted(final["baseline"]) if "baseline" in final else _trained(final, locked)),
        ("data", sources),
        ("code", status(run.folder).get("code", "unknown")),
        ("identity", locked["sha256"]),
        ("page written", time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())),
    ]
    return {"facts": facts}


def _trained(final: Mapping[str, Any], locked: Mapping[str, Any]) -> list[tuple[str, str]]:
    recipe = locked["recipe"]
    adapter = recipe["adapter"]
    ((metric, value),) = final["selected_by"].items()
    chosen = f"{final['selected_step']:,}, by {metric} "
    chosen += "(not measurable: too few positives or negatives)" if value is None else f"{value:.4f}"
    details = ", ".join(f"{key} {_plain(adapter[key])}" for key in adapter if key != "kind")
    return [
        ("base", recipe["model"].get("base", "a local folder")),
        ("base digest", locked["base"]),
        ("adapter", adapter["kind"] + (f" ({details})" if details else "")),
        ("updates", f"{final['steps']:,} of {recipe['train']['global_batch']} examples"),
        ("selected step", chosen),
        ("number format", f"{final['precision']}, {final['processes']} process(es)"),
        ("reload", f"largest logit difference in a new process {final['reload_max_logit_difference']:g}"),
    ]


def _attempted(about: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a baseline was made with; of an LLM, which texts it was asked about and what that cost."""
    settings = {key: _plain(value) for key, value in about.items() if not isinstance(value, dict)}
    parts = {
        f"{outer}: {key}": ", ".join(f"{name} {_plain(count)}" for name, count in value.items())
        if isinstance(value, dict)
        else _plain(value)
        for outer, inner in about.items()
        if isinstance(inner, dict)
        for key, value in inner.items()
    }
    return [(f"baseline {key}", value) for key, value in (settings | parts).items()]


def _plain(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _rows(locked: Mapping[str, Any], source: str) -> int:
    first = locked["labels"][0]
    return sum(cell["rows"] for cell in locked["rows"] if cell["source"] == source and cell["label"] == first)
