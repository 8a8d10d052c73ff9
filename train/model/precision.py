"""Number formats and attention kernels: what the processor at hand does well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch
    from torch import nn

Precision = Literal["bf16", "fp32"]


def resolve(precision: Literal["auto", "bf16", "fp32"], device: torch.device) -> Precision:
    """The format to compute in: what is asked for, or bf16 exactly where it is native.

    A processor without bf16 instructions emulates them many times slower than float32.
    """
    return precision if precision != "auto" else ("bf16" if native_bf16(device) else "fp32")


def native_bf16(device: torch.device) -> bool:
    import torch

    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """Matrix products in `precision`, weights and the head in float32."""
    import torch

    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")


def head_in_float32(head: nn.Module) -> None:
    """Keep a head out of autocast: bf16 logits have 8 bits, so many scores would tie."""
    import torch

    forward = head.forward

    def in_float32(hidden: torch.Tensor, *args: object, **kwargs: object) -> torch.Tensor:
        with torch.autocast(hidden.device.type, enabled=False):
            return forward(hidden.float(), *args, **kwargs)

    head.forward = in_float32


def training_attention(device: torch.device, precision: Precision) -> str:
    """Attention kernel to train with. On CPUs SDPA's bf16 backward is about four times the plain one's."""
    return "eager" if device.type == "cpu" and precision == "bf16" else "sdpa"


SCORING_ATTENTION = "sdpa"
