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
        lacking = _lacking(size, attempt)
        clear_device_cache(garbage_collection=True)
        failed = accelerator.reduce(
            torch.tensor(float(lacking is not None), device=accelerator.device), "sum"
        )
        if failed.item() == 0:
            return size
        if accelerator.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(accelerator.device)  # what did not fit was never held
        if size == 1:
            said = f" ({lacking})" if lacking else ""  # empty where it was another process
            raise Failure(
                Problem(
                    "train.micro_batch",
                    f"not even one text of the longest fits in memory{said}",
                    "room for a forward and backward pass beside the model",
                    "train.gradient_checkpointing=true, fewer model.max_length.tokens, a smaller model.base",
                )
            )
        size = -(-size // 2)


_LACKING = (
    "could not create a",  # oneDNN, of its scratch memory
    "CUDA error: out of memory",  # the driver, of what torch's allocator does not hold: kernels, for one
    "_ALLOC_FAILED",  # cuBLAS, cuDNN, cuSPARSE, of their handles and workspaces
)
"""Ways to say that memory could not be had which accelerate does not know."""


def _lacking(size: int, attempt: Callable[[int], None]) -> str | None:
    """What the allocator said, None where there was room. Other errors are raised."""
    from accelerate.utils.memory import should_reduce_batch_size

    try:
        attempt(size)
    except Exception as error:
        said = str(error)
        lacking = isinstance(error, MemoryError) or should_reduce_batch_size(error)
        if lacking or any(words in said for words in _LACKING):
            return said.strip().splitlines()[0][:200] if said.strip() else type(error).__name__
        raise
    return None


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


def give_back(accelerator: Accelerator) -> None:
    """Let go of the models that `accelerator` prepared; what nothing refers to, other processes can have."""
    from accelerate.utils.memory import clear_device_cache

    accelerator.free_memory()
    clear_device_cache(garbage_collection=True)  # once more: free_memory collects before it lets go


def peak_bytes(device: torch.device) -> int:
    """The most memory this process held: of the GPU's where there is one, else of the machine's."""
    import torch

    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    import resource
    import sys

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024  # kilobytes elsewhere


def device_name(device: torch.device) -> str:
    """What trained, without saying whose it is: the GPU's name, or the processor's kind and cores used."""
    import torch

    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    return f"{device.type}, {torch.get_num_threads()} threads"
