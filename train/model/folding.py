"""A model as scoring wants it: its adapter in the weights, and these in the format they are multiplied in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn

    from train.model.precision import Precision


@contextmanager
def folded(model: nn.Module, head: Sequence[nn.Module], precision: Precision) -> Iterator[None]:
    """While it lasts, W + s B A (or DoRA's weight) is one matrix, and each linear layer outside the head has
    its weight in `precision`, which autocast would make anew for every batch.

    The layers get other parameters meanwhile and their own ones back, the very same objects: nothing is
    subtracted again, and what an optimizer or a process group holds on to stays. It costs a copy of those
    weights in `precision`. Weights in 4 bits stay as they are, with their adapters beside them.
    """
    import torch
    from peft.tuners.lora import LoraLayer
    from torch import nn

    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    apart = {module for part in head for module in part.modules()}
    own: dict[nn.Linear, torch.Tensor] = {}
    adapters: list[LoraLayer] = []
    try:
        with torch.no_grad():
            for module in model.modules():
                linear = module.get_base_layer() if isinstance(module, LoraLayer) else module
                if type(linear) is not nn.Linear or linear in own or module in apart:
                    continue
                own[linear] = linear.weight
                linear.weight = nn.Parameter(linear.weight.detach(), requires_grad=False)
                if isinstance(module, LoraLayer):
                    adapters.append(module)
                    module.merge(safe_merge=True)  # into a copy
                linear.weight.data = linear.weight.data.to(dtype)
        yield
    finally:
        for adapter in adapters:
            adapter.merged_adapters.clear()
        for linear, weight in own.items():
            linear.weight = weight
