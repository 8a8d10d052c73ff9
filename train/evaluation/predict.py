"""Scoring texts with a model, over all processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from accelerate import Accelerator
    from torch import Tensor


def logits(
    forward: Callable[[Mapping[str, Tensor]], Tensor],
    batches: Iterable[tuple[np.ndarray, Mapping[str, Tensor]]],
    shape: tuple[int, int],
    *,
    reduce: Literal["max", "mean"],
    accelerator: Accelerator | None = None,
    stopping: Callable[[], bool] = lambda: False,
    advance: Callable[[int], None] = lambda rows: None,
) -> np.ndarray | None:
    """Logits of every row, float32 `shape` = [rows, labels], equal on all processes; None if a signal cut it
    short.

    `batches`: (row of each input, inputs), this process's. Over all processes each row occurs in one, with
    all of its windows, whose logits `reduce` makes one; so adding what the processes computed gives every row
    its one value, and no padding has to be removed.
    """
    import torch

    device = accelerator.device if accelerator else torch.device("cpu")
    found = torch.full(shape, -torch.inf if reduce == "max" else 0.0, device=device)
    windows = torch.zeros(shape[0], 1, device=device)
    cut = False
    for rows, inputs in batches:
        if cut := stopping():
            break
        at = torch.as_tensor(rows, device=device)
        seen = forward(inputs).to(device)
        advance(len(torch.unique(at[windows[at, 0] == 0])))
        windows.index_add_(0, at, torch.ones(len(rows), 1, device=device))
        if reduce == "max":
            found.scatter_reduce_(0, at[:, None].expand_as(seen), seen, "amax")
        else:
            found.index_add_(0, at, seen)
    found = torch.where(windows > 0, found / (1 if reduce == "max" else windows.clamp(min=1)), 0.0)
    if accelerator:
        cut = accelerator.reduce(torch.tensor([float(cut)], device=device), "sum").item() > 0
        found = found if cut else accelerator.reduce(found, "sum")
    return None if cut else found.cpu().numpy()
