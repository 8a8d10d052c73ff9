"""LoRA layers while they are trained, in as few passes over their activations as there are.

peft computes W x, then B A x, scales it and adds it, each time over all of the activations; autocast casts
the frozen W anew for every batch, and x for every layer that reads it. Here W is cast once, x once for all
that read it, and the low-rank part is added inside a matrix product (addmm), forwards and backwards: the same
sums in another order.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from train.model.precision import Precision


@contextmanager
def lean(model: nn.Module, precision: Precision) -> Iterator[None]:
    """While it lasts, plain LoRA layers of `model` train in this way; its weights must not move meanwhile.

    Layers with DoRA or dropout, and on weights in 4 bits, stay as they are, and so does all scoring. It costs
    a copy of the frozen weights in `precision`.
    """
    import torch
    from peft.tuners.lora import LoraLayer

    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    cast = _Cast(dtype)
    changed: list[nn.Module] = []
    try:
        for layer in model.modules():
            if isinstance(layer, LoraLayer) and _is_plain(layer):
                layer.forward = _forward(layer, cast)
                changed.append(layer)
        yield
    finally:
        for layer in changed:
            del layer.forward


def _is_plain(layer: Any) -> bool:
    from torch import nn

    return (
        type(layer.get_base_layer()) is nn.Linear
        and len(layer.active_adapters) == 1
        and not layer.lora_variant
        and not any(isinstance(part, nn.Dropout) for part in layer.lora_dropout.values())
    )


class _Cast:
    """A tensor in a number format; the same object again is not cast again, so that layers which read one
    tensor share a copy of it, and one cast of its gradient."""

    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype
        self._source: Callable[[], Tensor | None] = lambda: None
        self._made: Tensor | None = None

    def __call__(self, x: Tensor) -> Tensor:
        if x.dtype == self.dtype:
            return x
        if self._made is None or self._source() is not x:
            self._made, self._source = x.to(self.dtype), weakref.ref(x)
        return self._made


def _forward(layer: Any, cast: _Cast) -> Callable[..., Tensor]:
    whole, linear = layer.forward, layer.get_base_layer()
    (name,) = layer.active_adapters
    down, up, scale = layer.lora_A[name].weight, layer.lora_B[name].weight, layer.scaling[name]
    weight = linear.weight.detach().to(cast.dtype)
    bias = None if linear.bias is None else linear.bias.detach().to(cast.dtype)
    product = _function()

    def forward(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if not layer.training or layer.merged or layer.disable_adapters:
            return whole(x, *args, **kwargs)
        made: Tensor = product.apply(cast(x), weight, bias, down.to(cast.dtype), (up * scale).to(cast.dtype))
        return made

    return forward


def _function() -> Any:
    import torch

    class LowRank(torch.autograd.Function):
        """x (W + B A)^T + b of x [..., n], W [m, n], b [m] or None, A [r, n], B [m, r]; W and b have no
        gradient."""

        @staticmethod
        def forward(ctx: Any, x: Tensor, w: Tensor, bias: Tensor | None, a: Tensor, b: Tensor) -> Tensor:
            flat = x.reshape(-1, x.shape[-1])
            y = flat @ w.t() if bias is None else torch.addmm(bias, flat, w.t())
            inner = flat @ a.t()
            y.addmm_(inner, b.t())
            ctx.save_for_backward(flat, w, a, b, inner)
            ctx.shape = x.shape
            return y.view(*x.shape[:-1], w.shape[0])

        @staticmethod
        def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, None, None, Tensor, Tensor]:
            flat, w, a, b, inner = ctx.saved_tensors
            grad = grad.reshape(-1, grad.shape[-1])
            within = grad @ b
            of_x = None
            if ctx.needs_input_grad[0]:
                of_x = (grad @ w).addmm_(within, a).view(ctx.shape)
            return of_x, None, None, within.t() @ flat, grad.t() @ inner

    return LowRank
