"""An encoder's last layer where the head reads one position: what the others would become, nobody asks.

Keys and values are of all positions, the query and all that follows of the first alone: the same numbers, for
a layer's worth of work saved but for a third.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from train.model.adapter import layers

if TYPE_CHECKING:
    from torch import Tensor, nn

FAMILIES = ("bert", "roberta", "xlm-roberta")
"""transformers' model types that are built so, and whose classifiers read position 0."""


@contextmanager
def first_alone(model: nn.Module) -> Iterator[None]:
    """While it lasts, the last layer of a transformers classifier computes position 0 alone; of a family that
    is not known to read no other, nothing changes. Texts are padded at the right."""
    config: Any = model.config
    if config.model_type not in FAMILIES or config.is_decoder or config.add_cross_attention:
        yield
        return
    attention: Any = layers(model)[-1].attention
    if "forward" in vars(attention):  # it does already
        yield
        return
    attention.forward = _of_first(attention, config)
    try:
        yield
    finally:
        del attention.forward


def _of_first(attention: Any, config: Any) -> Callable[..., tuple[Tensor, None]]:
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    inner = attention.self
    eager = sys.modules[type(inner).__module__].eager_attention_forward

    def heads(projected: Tensor) -> Tensor:
        return projected.view(*projected.shape[:2], -1, inner.attention_head_size).transpose(1, 2)

    def forward(hidden: Tensor, attention_mask: Tensor | None = None, **more: Any) -> tuple[Tensor, None]:
        first = hidden[:, :1]
        kernel = ALL_ATTENTION_FUNCTIONS.get_interface(config._attn_implementation, eager)
        seen, _ = kernel(
            inner,
            heads(inner.query(first)),
            heads(inner.key(hidden)),
            heads(inner.value(hidden)),
            None if attention_mask is None else attention_mask[..., :1, :],
            dropout=inner.dropout.p if inner.training else 0.0,
            scaling=inner.scaling,
            **{name: value for name, value in more.items() if name != "past_key_values"},
        )
        return attention.output(seen.flatten(2), first), None

    return forward
