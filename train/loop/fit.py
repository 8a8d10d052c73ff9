"""The training loop: a generator that yields once per optimizer update and knows nothing of its caller."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

from train.errors import Diverged, Problem
from train.example import Batch, Window
from train.files import hashed

if TYPE_CHECKING:
    import torch
    from accelerate import Accelerator
    from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Update:
    """One optimizer update, over all processes. loss: mean over the window's known cells."""

    step: int  # updates done, this one included
    loss: float
    grad_norm: float
    lr: float
    examples: int
    tokens: int
    seconds: float
    stop: bool  # a signal reached one of the processes


def fit(
    model: nn.Module,
    windows: Iterable[Window],
    optimizer: torch.optim.Optimizer,
    *,
    accelerator: Accelerator,
    autocast: Callable[[], torch.autocast],
    cells: Callable[[Tensor, Tensor], Tensor],
    rate: Callable[[int], float],
    clip: float | None,
    seed: int,
    stopping: Callable[[], bool],
) -> Iterator[Update]:
    """Train `model` (prepared by `accelerator`) on `windows`, one update each.

    cells: (logits, targets) -> loss of each cell [B, L], 0 where unknown. The gradient is that of the sum
    of all cells of the window, over micro-batches and processes, divided by its known cells: how the window
    was cut does not enter. rate: step -> sets the learning rates and returns the one to report.

    Dropout is seeded from (seed, step, process), so a resumed run draws what it would have drawn. Raises
    Diverged, before the weights change, where loss or gradient is not finite; it names the examples' ids.
    """
    import torch

    trained = [p for p in model.parameters() if p.requires_grad]
    clock = time.perf_counter()
    for window in windows:
        torch.manual_seed(hashed(seed, window.step, accelerator.process_index))
        lr = rate(window.step)
        model.train()
        total = torch.zeros((), device=accelerator.device)
        broken: list[Batch] = []
        for number, batch in enumerate(window.batches, start=1):
            last = number == len(window.batches)
            with nullcontext() if last else accelerator.no_sync(model):
                loss = cost(model, batch, accelerator.device, autocast, cells) / max(1, window.known)
                # DistributedDataParallel averages gradients over processes; we want their sum
                accelerator.backward(loss * accelerator.num_processes)
            if not torch.isfinite(loss):
                broken.append(batch)
            total += loss.detach()
        summed = accelerator.reduce(torch.stack([total, total.new_tensor(float(stopping()))]), "sum")
        mean, asked = summed.tolist()
        norm = float(torch.nn.utils.clip_grad_norm_(trained, clip if clip is not None else float("inf")))
        if not (_finite(mean) and _finite(norm)):
            raise _not_finite(window, broken, mean, norm, accelerator)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        now = time.perf_counter()
        counts = window.examples, window.tokens
        yield Update(window.step + 1, mean, norm, lr, *counts, now - clock, asked > 0)
        clock = time.perf_counter()


def cost(
    model: nn.Module,
    batch: Batch,
    device: torch.device,
    autocast: Callable[[], torch.autocast],
    cells: Callable[[Tensor, Tensor], Tensor],
) -> Tensor:
    """The sum of a batch's known cells, a scalar with gradient."""
    inputs = {key: value.to(device, non_blocking=True) for key, value in batch.inputs.items()}
    with autocast():
        logits = model(**inputs).logits.float()
    return cells(logits, batch.targets.to(device)).sum()


def _finite(value: float) -> bool:
    return value - value == 0


def _not_finite(
    window: Window, broken: list[Batch], loss: float, norm: float, accelerator: Accelerator
) -> Diverged:
    from accelerate.utils import gather_object

    ids = gather_object([id for batch in broken or window.batches for id in batch.ids])
    shown = ", ".join(ids[:20]) + (f" and {len(ids) - 20} more" if len(ids) > 20 else "")
    what = f"loss {loss}" if not _finite(loss) else f"gradient norm {norm}"
    return Diverged(
        Problem(
            f"update {window.step + 1}",
            f"{what} is not finite; examples of the batch: {shown}",
            "a finite loss and gradient; the weights were left as they were before this update",
            "a lower train.lr or head_lr, train.clip, or train.precision=fp32; look at these examples",
        )
    )
