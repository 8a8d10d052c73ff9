"""`teensafe plan`: what a recipe's data come to, counted before anything is trained."""

from __future__ import annotations

from typing import Any

from train.data.hazards import unknown_emoji, unknown_tokens, warnings
from train.data.plan import counts, passes, passes_table, table, token_lengths
from train.job import steps_of
from train.lock import Resolved
from train.terminal import Terminal


def plan(resolved: Resolved) -> dict[str, Any]:
    """Everything counted, as one JSON document."""
    corpus, training = resolved.corpus, resolved.recipe.train
    steps = steps_of(resolved)
    per_epoch = -(-resolved.mixture.size // training.global_batch)
    unknown, emoji = unknown_tokens(corpus), unknown_emoji(corpus)
    return {
        "run": resolved.run_name,
        "steps": steps,
        "steps_per_epoch": per_epoch,
        "mixture": passes(resolved.mixture, steps / per_epoch),
        "united": len(corpus.united) - len(corpus.row),
        "contradictions": dict(corpus.contradictions),
        "unknown_tokens": {**unknown, "emoji": {"share": emoji[0], "n": emoji[1]}},
        "warnings": list(warnings(corpus, unknown, emoji)),
        "tokens": token_lengths(corpus, corpus.encoder.tokens),
        "counts": counts(corpus),
        "left_out": {source: dict(reasons) for source, reasons in corpus.left_out.items()},
    }


def show(found: dict[str, Any], resolved: Resolved, terminal: Terminal) -> None:
    """The plan for a person: counts, what an epoch holds, and what to beware of."""
    length = resolved.recipe.model.max_length
    terminal.show(table(found["counts"]))
    if any(line["in_epoch"] != line["rows"] for line in found["mixture"]):
        terminal.show(passes_table(found["mixture"]))
    for source, reasons in found["left_out"].items():
        said = ", ".join(f"{count:,} {reason}" for reason, count in reasons.items())
        terminal.show(f"{source}: left out {said}")
    if found["united"]:
        torn = ", ".join(f"{label} {count:,}" for label, count in found["contradictions"].items())
        contradicted = f"; contradictions, whose cells are the mean: {torn}" if torn else ""
        terminal.show(f"equal texts: {found['united']:,} rows united with another{contradicted}")
    tokens = found["tokens"]
    terminal.show(
        f"tokens a text: median {tokens['median']}, 95% {tokens['p95']}, longest {tokens['max']}; "
        f"{tokens['share_at_limit']:.1%} reach the limit of {length.tokens} ({length.overflow})\n"
        f"updates: {found['steps']:,} of {resolved.recipe.train.global_batch} examples, "
        f"{found['steps_per_epoch']:,} an epoch\n"
        f"run: {found['run']}"
    )
    for warning in found["warnings"]:
        terminal.say(f"warning: {warning}")
