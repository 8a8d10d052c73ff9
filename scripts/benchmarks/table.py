"""Goals as a Markdown table, as recipes/README.md has it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.measure import Goal


def table(machine: dict[str, Any], goals: Sequence[Goal]) -> str:
    packages = ", ".join(f"{name} {number}" for name, number in machine["packages"].items())
    peaks = ", ".join(f"{number:,} GFLOP/s in {name}" for name, number in machine["gflops"].items())
    lines = [
        f"{machine['processor']}, {machine['threads']} threads, {machine['memory_gb']} GB; {packages}.",
        f"A large matrix product reaches {peaks}; load before the run {machine['load']}.",
        "",
        "| work | against | times faster | at least | reach for | texts/s, ours and theirs |",
        "|---|---|---|---|---|---|",
    ]
    for goal in goals:
        low, high = goal.spread
        ratio = f"{goal.ratio:.2f} ({low:.2f}–{high:.2f}, {goal.rounds} rounds of {goal.texts:,})"
        ours, theirs = goal.per_second
        lines.append(
            f"| {goal.work} | {goal.against} | {ratio} | {goal.at_least:g} | {goal.reach:g} "
            f"| {ours:,.0f}, {theirs:,.0f} |"
        )
    for goal in goals:
        if equal := goal.quality:
            ours, theirs = (" ".join(f"{v:.3f}" for v in equal[who]) for who in ("ours", "theirs"))
            apart = f"{equal['difference']:+.3f} ({equal['low']:+.3f} to {equal['high']:+.3f})"
            lines += ["", f"Macro AUPRC in pairs against {goal.against}: {ours}; theirs {theirs}; {apart}."]
    return "\n".join(lines) + "\n"
