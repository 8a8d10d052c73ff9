"""`teensafe plan`: what a recipe's data come to, counted before anything is trained."""

from __future__ import annotations

from typing import Any

import numpy as np
from rich.filesize import decimal

from train.data.hazards import SOURCE_ALONE, sides, source_alone, unknown_emoji, unknown_tokens, warnings
from train.data.plan import counts, held, passes, passes_table, table, token_lengths, unknown_shown
from train.job import steps_of
from train.lock import Resolved
from train.model.footprint import measure, multiplication_rate
from train.model.precision import resolve as resolve_precision
from train.suites.overlap import overlaps, suite_rows
from train.terminal import Terminal


def plan(resolved: Resolved) -> dict[str, Any]:
    """Everything counted, as one JSON document."""
    corpus, training = resolved.corpus, resolved.recipe.train
    steps = steps_of(resolved)
    per_epoch = -(-resolved.mixture.size // training.global_batch)
    unknown, emoji = unknown_tokens(corpus), unknown_emoji(corpus)
    sided = sides(corpus, resolved.mixture)
    return {
        "run": resolved.run_name,
        "steps": steps,
        "steps_per_epoch": per_epoch,
        "mixture": [
            line | {"seen": line["repeats"] * steps / per_epoch} for line in passes(resolved.mixture)
        ],
        "source_alone": {label: source_alone(found) for label, found in sided.items()},
        "united": int((corpus.aside == 0).sum()) - len(corpus.row),
        "contradictions": dict(corpus.contradictions),
        "unknown_tokens": {**unknown, "emoji": {"share": emoji[0], "n": emoji[1]}},
        "warnings": list(warnings(corpus, sided, unknown, emoji)),
        "tokens": token_lengths(corpus, corpus.encoder.tokens),
        "counts": counts(corpus),
        "left_out": {source: dict(reasons) for source, reasons in corpus.left_out.items()},
        "overlap": overlap(resolved),
        "training": demand(resolved, steps),
    }


def overlap(resolved: Resolved) -> dict[str, dict[str, int]]:
    """By set of the recipe's suites: n, and how many of these texts training holds nearly word for word."""
    suites, corpus = resolved.recipe.evaluate.suites, resolved.corpus
    sets = [*suite_rows(corpus, suites.dev, "dev"), *suite_rows(corpus, suites.test, "test")]
    found = overlaps(corpus, sets) if sets else {}
    return {asked.name: {"n": len(asked), "in_training": len(found[asked.name])} for asked in sets}


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
    terminal.show(passes_table(found["mixture"]))
    for line in held(found["mixture"]):
        terminal.show(line)
    terminal.show(_alone_shown(found["source_alone"]))
    for source, reasons in found["left_out"].items():
        said = ", ".join(f"{count:,} {reason}" for reason, count in reasons.items())
        terminal.show(f"{source}: left out {said}")
    if found["united"]:
        torn = ", ".join(f"{label} {count:,}" for label, count in found["contradictions"].items())
        contradicted = f"; contradictions, whose cells are the mean: {torn}" if torn else ""
        terminal.show(f"equal texts: {found['united']:,} rows united with another{contradicted}")
    for name, counted in found["overlap"].items():
        if near := counted["in_training"]:
            terminal.show(f"{name}: {near:,} of {counted['n']:,} texts are nearly word for word in training")
    tokens, unknown = found["tokens"], found["unknown_tokens"]
    for kind in ("source", "lang"):
        if kind in unknown:
            terminal.show(unknown_shown(kind, unknown[kind]))
    terminal.show(f"unknown emoji: {unknown['emoji']['share']:.1%} of {unknown['emoji']['n']:,}")
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


def _alone_shown(found: dict[str, float | None]) -> str:
    """A line: how well the source of a text alone tells each label."""
    told = sorted(((value, label) for label, value in found.items() if value is not None), reverse=True)
    said = [f"{label} {value:.3f}" for value, label in told if value > 0.5]
    if len(said) < len(told):
        said.append("others 0.500" if said else "0.500")
    return f"AUROC of the source alone (0.5: none; warned of from {SOURCE_ALONE:g}): {', '.join(said)}"


def _demand_shown(found: dict[str, Any], tokens: int) -> str:
    """Two lines: memory, and time."""
    size = {what: decimal(count) for what, count in found["bytes"].items()}
    seconds = found["seconds_at_least"]
    time = f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{max(1, seconds / 60):.0f} min"
    bound = f"no less than {time}" if seconds >= 60 else "possibly under a minute"
    return (
        f"memory ({found['precision']}): weights {size['weights']}, gradients and AdamW "
        f"{size['gradients_and_adamw']}, and up to {size['a_text']} a text of {tokens} tokens "
        f"({found['trained_parameters']:,} of {found['parameters']:,} parameters are trained)\n"
        f"compute: {found['flops'] / 1e12:,.3g} TFLOP; {bound} on one {found['device']} like "
        f"this ({found['matrix_flops_per_second'] / 1e9:,.0f} GFLOP/s in a matrix product, measured now)"
    )
