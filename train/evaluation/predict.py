"""Scoring a set with a model, over all processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from train.example import Batch

if TYPE_CHECKING:
    from accelerate import Accelerator
    from torch import Tensor


def logits(
    forward: Callable[[Mapping[str, Tensor]], Tensor],
    batches: Iterable[Batch],
    rows: int,
    labels: int,
    *,
    accelerator: Accelerator,
    stopping: Callable[[], bool],
    advance: Callable[[int], None] = lambda rows: None,
) -> np.ndarray | None:
    """Logits of every row, float32 [rows, labels], equal on all processes; None if a signal cut it short.

    `batches` are this process's: over all processes each row occurs exactly once, so that adding what the
    processes computed gives every row its one value and no padding has to be removed.
    """
    import torch

    found = torch.zeros((rows, labels), device=accelerator.device)
    cut = False
    for batch in batches:
        if cut := stopping():
            break
        found[torch.as_tensor(batch.rows, device=accelerator.device)] = forward(batch.inputs)
        advance(len(batch.rows))
    cut_anywhere = accelerator.reduce(torch.tensor([float(cut)], device=accelerator.device), "sum")
    if cut_anywhere.item() > 0:
        return None
    summed: np.ndarray = accelerator.reduce(found, "sum").cpu().numpy()
    return summed
