"""AdamW on the trained parts, and its state as plain tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from train.loop.training import Training

if TYPE_CHECKING:
    import torch
    from torch import nn

    Named = Sequence[tuple[str, nn.Parameter]]


def build(training: Training, body: Named, head: Named) -> torch.optim.AdamW:
    """Body at `lr`, head at `head_lr`, kept as `rate`; vectors (biases, norms) are not decayed."""
    import torch

    groups = []
    for part, rate in ((body, training.lr), (head, training.head_lr or training.lr)):
        for decay, chosen in (
            (training.weight_decay, [p for _, p in part if p.ndim > 1]),
            (0.0, [p for _, p in part if p.ndim <= 1]),
        ):
            if chosen:
                groups.append({"params": chosen, "lr": rate, "rate": rate, "weight_decay": decay})
    return torch.optim.AdamW(groups, fused=True)


def factor(training: Training, step: int, steps: int) -> float:
    """Share of the peak rate at update `step` of `steps` (from 0): a rise from 0, then the schedule."""
    rise = round(training.warmup * steps)
    if step < rise:
        return (step + 1) / (rise + 1)
    done = (step - rise) / max(1, steps - rise)
    match training.schedule:
        case "linear":
            return 1 - done
        case "cosine":
            return (1 + math.cos(math.pi * done)) / 2
        case "constant":
            return 1.0


def set_rate(optimizer: torch.optim.Optimizer, share: float) -> float:
    """Set every group's rate to `share` of its peak; returns the first group's."""
    for group in optimizer.param_groups:
        group["lr"] = group["rate"] * share
    return float(optimizer.param_groups[0]["lr"])


def state(optimizer: torch.optim.Optimizer, named: Named) -> dict[str, torch.Tensor]:
    """The optimizer's moments as named tensors, so that they are saved without pickle."""
    return {
        f"{name}/{key}": value.detach().cpu().clone()
        for name, parameter in named
        for key, value in optimizer.state[parameter].items()
    }


def restore(optimizer: torch.optim.Optimizer, named: Named, saved: dict[str, torch.Tensor]) -> None:
    """Put moments saved by `state` back. Raises KeyError where one is missing."""
    fused_on_device = optimizer.defaults.get("fused") or optimizer.defaults.get("capturable")
    for name, parameter in named:
        for key in ("step", "exp_avg", "exp_avg_sq"):
            value = saved[f"{name}/{key}"]
            place = parameter.device if key != "step" or fused_on_device else value.device
            optimizer.state[parameter][key] = value.to(place)
