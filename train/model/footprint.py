"""What training a classifier takes: memory and operations, counted on a model without weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from train.model.adapter import Adapter, Qlora, layers
from train.model.backbone import Backbone, outline, quiet_loading, recompute_activations
from train.model.precision import Precision

if TYPE_CHECKING:
    import torch
    from torch import nn
    from torch._subclasses.fake_tensor import FakeTensorMode

_STATE = 3 * 4
"""Bytes a trained parameter needs beside itself: gradient and AdamW's two moments, float32."""
_NF4 = 4.127 / 8
"""Bytes a quantized parameter needs: 4 bits and its part of the constants (arXiv:2305.14314, section 3)."""


@dataclass(frozen=True)
class Footprint:
    """parameters: all of them, trained: those with a gradient. weights, state, per_text: bytes.

    state: gradients and optimizer. per_text: what a text of the recipe's most tokens keeps until its backward
    pass; the C library, the framework and an accelerator's kernels come on top. operations: c0, c1, c2, by
    which a text of t tokens takes c0 + c1 t + c2 t^2 floating-point operations, forward and backward.
    """

    parameters: int
    trained: int
    weights: int
    state: int
    per_text: int
    operations: tuple[float, float, float]

    def flops(self, tokens: np.ndarray) -> np.ndarray:
        """Operations of texts, float64 [n], by their tokens; a multiplication and an addition are two."""
        return np.polynomial.polynomial.polyval(tokens.astype(float), self.operations)


def measure(
    backbone: Backbone,
    adapter: Adapter,
    labels: Sequence[str],
    padding: int,
    tokens: int,
    precision: Precision,
    recompute: bool,
) -> Footprint:
    """The footprint of a recipe's classifier. tokens: the longest text; recompute: gradient checkpointing.

    Matrix products and attention are counted, as the field does; the rest is a few percent. In bf16 a saved
    tensor is taken to be half as large.
    """
    plain, head = outline(backbone, labels, padding)
    quantized = _linear(plain, head) if isinstance(adapter, Qlora) else 0
    base = sum(p.numel() for p in plain.parameters())
    with quiet_loading():
        model = adapter.attach(plain, head, backbone.dropout)
    model.train()
    plain.set_attn_implementation("eager")  # a fused kernel keeps less: this is the upper end
    kept = _kept(model, tokens)
    if recompute:
        recompute_activations(plain)
        stack = [layer for layer in layers(plain) if any(p.requires_grad for p in layer.parameters())]
        inputs = len(stack) * tokens * plain.config.get_text_config().hidden_size * 4
        kept = _kept(model, tokens) + inputs + kept // max(1, len(stack))
    counted = sum(p.numel() for p in model.parameters())
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    half = precision == "bf16"
    copy = 2 * (base - quantized) if half else 0  # autocast's, of what is multiplied
    return Footprint(
        parameters=counted,
        trained=trained,
        weights=int((counted - quantized) * 4 + quantized * _NF4) + copy,
        state=trained * _STATE,
        per_text=kept // 2 if half else kept,
        operations=_polynomial([_flops(model, length) for length in (1, 2, 3)]),
    )


def _kept(model: nn.Module, tokens: int) -> int:
    """Bytes that a text's forward pass keeps for its backward pass, without the weights themselves."""
    import torch

    kept = {}  # each storage once, and alive, so that no other takes its address

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage()._cdata] = tensor.untyped_storage()
        return tensor

    with _shapes_only() as mode:
        weights = [mode.from_tensor(p).untyped_storage() for p in model.parameters()]
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            model(**_text(tokens))
    own = {storage._cdata for storage in weights}
    return sum(storage.nbytes() for address, storage in kept.items() if address not in own)


def _flops(model: nn.Module, tokens: int) -> int:
    """Operations of a text's forward and backward pass."""
    from torch.utils.flop_counter import FlopCounterMode

    with _shapes_only(), FlopCounterMode(display=False) as counter:
        model(**_text(tokens)).logits.sum().backward()
    model.zero_grad(set_to_none=True)
    return int(counter.get_total_flops())


def _shapes_only() -> FakeTensorMode:
    """Within it, transformers knows that there are no values to look at."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    return FakeTensorMode(allow_non_fake_inputs=True)


def _text(tokens: int) -> dict[str, torch.Tensor]:
    import torch

    ids = torch.zeros(1, tokens, dtype=torch.int64, device="meta")
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def _polynomial(values: Sequence[int]) -> tuple[float, float, float]:
    """c0, c1, c2 of the parabola through (1, v1), (2, v2), (3, v3)."""
    first, second, third = values
    c2 = (third - 2 * second + first) / 2
    c1 = second - first - 3 * c2
    return first - c1 - c2, c1, c2


def _linear(model: nn.Module, head: Sequence[str]) -> int:
    """Parameters of the linear layers outside the head: what 4 bits hold."""
    from torch import nn

    found = (m for name, m in model.named_modules() if name.split(".")[0] not in head)
    return sum(m.weight.numel() for m in found if isinstance(m, nn.Linear))


def multiplication_rate(device: torch.device, precision: Precision) -> float:
    """Floating-point operations a second that the device reaches in a large matrix product; takes .3 s."""
    import torch
    from torch.utils.benchmark import Timer

    size = 4096 if device.type != "cpu" else 1024
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    factor = torch.randn(size, size, device=device, dtype=dtype)
    timer = Timer("factor @ factor", globals={"factor": factor}, num_threads=torch.get_num_threads())
    return float(2 * size**3 / timer.blocked_autorange(min_run_time=0.3).median)
