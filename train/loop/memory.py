"""How many examples a process can hold at once, found by trying before the first update."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from train.errors import Failure, Problem
from train.example import Batch
from train.loop.fit import cost

if TYPE_CHECKING:
    import torch
    from accelerate import Accelerator
    from torch import Tensor, nn


def largest(most: int, attempt: Callable[[int], None], accelerator: Accelerator) -> int:
    """The first of most, most / 2, ... 1 examples for which `attempt` finds memory on every process.

    attempt: does with that many examples what an update does, and leaves nothing behind. It must not
    communicate: a process that ran out would leave the others waiting. Raises Failure where one is too much.
    """
    import torch
    from accelerate.utils.memory import clear_device_cache

    size = most
    while True:
        failed = torch.tensor(float(not _fits(size, attempt)), device=accelerator.device)
        clear_device_cache(garbage_collection=True)
        if accelerator.reduce(failed, "sum").item() == 0:
            return size
        if size == 1:
            raise Failure(
                Problem(
                    "train.micro_batch",
                    "not even one text of the longest fits in memory",
                    "room for a forward and backward pass beside the model",
                    "train.gradient_checkpointing=true, fewer model.max_length.tokens, a smaller model.base",
                )
            )
        size = -(-size // 2)


def _fits(size: int, attempt: Callable[[int], None]) -> bool:
    from accelerate.utils.memory import should_reduce_batch_size

    try:
        attempt(size)
    except Exception as error:
        if isinstance(error, MemoryError) or should_reduce_batch_size(error):
            return False
        raise
    return True


def rehearse(
    model: nn.Module,
    batch: Batch,
    *,
    accelerator: Accelerator,
    autocast: Callable[[], torch.autocast],
    cells: Callable[[Tensor, Tensor], Tensor],
) -> None:
    """One forward and backward pass, with room held for what training adds; leaves weights as they were.

    model: without gradients, not yet wrapped for several processes. Held: AdamW's moments, exchange buckets.
    """
    import torch

    copies = 2 if accelerator.num_processes == 1 else 3
    trained = [p for p in model.parameters() if p.requires_grad]
    model.train()
    try:
        held = [torch.empty_like(p) for p in trained for _ in range(copies)]
        accelerator.backward(cost(model, batch, accelerator.device, autocast, cells))
        del held
    finally:
        model.zero_grad(set_to_none=True)
