"""`teensafe plan`: what a recipe's data come to, counted before anything is trained."""

from __future__ import annotations

from typing import Any

import numpy as np
from rich.filesize import decimal

from train.data.hazards import unknown_emoji, unknown_tokens, warnings
from train.data.plan import counts, passes, passes_table, table, token_lengths
from train.job import steps_of
from train.lock import Resolved
from train.model.footprint import measure, multiplication_rate
from train.model.precision import resolve as resolve_precision
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
        "training": demand(resolved, steps),
    }


def demand(resolved: Resolved, steps: int) -> dict[str, Any]:
    """What the updates take, evaluation apart: bytes, floating-point operations, seconds at the very least.

    The time is what one process would need if training were nothing but large matrix products.
    """
    import torch

    recipe, corpus, mixture = resolved.recipe, resolved.corpus, resolved.mixture
    device = torch.accelerator.current_accelerator() or torch.device("cpu")
    precision = resolve_precision(recipe.train.precision, device)
    found = measure(
        recipe.model,
        recipe.adapter,
        corpus.labels,
        resolved.tokenizer.pad_token_id,
        recipe.model.max_length.tokens,
        precision,
        recipe.train.gradient_checkpointing,
    )
    a_text = found.flops(corpus.lengths[corpus.rows("train")])
    of_source = [a_text[rows].mean() * mixture.quota[name] for name, rows in mixture.positions.items()]
    flops = float(np.sum(of_source)) / mixture.size * steps * recipe.train.global_batch
    rate = multiplication_rate(device, precision)
    return {
        "device": device.type,
        "precision": precision,
        "parameters": found.parameters,
        "trained_parameters": found.trained,
        "bytes": {"weights": found.weights, "gradients_and_adamw": found.state, "a_text": found.per_text},
        "flops": flops,
        "matrix_flops_per_second": rate,
        "seconds_at_least": flops / rate,
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
        f"{_demand_shown(found['training'], length.tokens)}\n"
        f"run: {found['run']}"
    )
    for warning in found["warnings"]:
        terminal.say(f"warning: {warning}")


def _demand_shown(found: dict[str, Any], tokens: int) -> str:
    """Two lines: memory, and time."""
    size = {what: decimal(count) for what, count in found["bytes"].items()}
    seconds = found["seconds_at_least"]
    time = f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{max(1, seconds / 60):.0f} min"
    return (
        f"memory ({found['precision']}): weights {size['weights']}, gradients and AdamW "
        f"{size['gradients_and_adamw']}, and up to {size['a_text']} a text of {tokens} tokens "
        f"({found['trained_parameters']:,} of {found['parameters']:,} parameters are trained)\n"
        f"compute: {found['flops'] / 1e12:,.0f} TFLOP; no less than {time} on one {found['device']} like "
        f"this ({found['matrix_flops_per_second'] / 1e9:,.0f} GFLOP/s in a matrix product, measured now)"
    )
