"""How long, how fast and in which precision to train."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from train.spec import Seed, Spec


class Training(Spec):
    seed: Seed = 1
    """Initialises head and adapter, and drives dropout."""
    global_batch: PositiveInt = 64
    """Examples per update over all processes and accumulation steps."""
    micro_batch: PositiveInt | Literal["auto"] = "auto"
    """Most examples a process holds at once; auto: what fits. Changes memory and speed, never the result."""
    gradient_checkpointing: bool = False
    """Compute activations twice instead of keeping them: less memory, a third slower, the same result."""
    cache_prefix: bool | Literal["auto"] = False
    """Keep on disk, in $TEENSAFE_CACHE, what the frozen layers below all that learns make of each text, and
    read it at every update and in every run that freezes the same layers: many times faster where few layers
    learn. The same result but for rounding to `precision`. For adapter.kind head and top, or adapter.top.
    auto: where there are such layers, the model's family can, and the disk has room."""
    epochs: PositiveFloat | None = None
    """Passes over the training examples; or say `steps`."""
    steps: PositiveInt | None = None
    """Optimizer updates; or say `epochs`."""
    lr: PositiveFloat = 3e-4
    head_lr: PositiveFloat | None = None
    """Rate of the head; default `lr`."""
    weight_decay: float = Field(default=0.01, ge=0)
    warmup: float = Field(default=0.06, ge=0, lt=1)
    """Share of the steps over which the rate rises from 0."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """How the rate falls to 0 after the warm-up."""
    clip: PositiveFloat | None = 1.0
    """Largest norm of the gradient; null does not clip."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """auto: bf16 where the processor computes it natively, else fp32. Head and loss are fp32 always."""

    @model_validator(mode="after")
    def _one_length(self) -> Self:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("say either epochs or steps")
        return self
