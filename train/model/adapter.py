"""What is trained beside the head: a LoRA adapter or every weight."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from train.spec import Spec


class Lora(Spec):
    """Low-rank adapters (Hu et al. 2021, arXiv:2106.09685) on frozen weights."""

    kind: Literal["lora"] = "lora"
    r: int = Field(default=16, ge=1)
    """Rank."""
    alpha: float = Field(default=32, gt=0)
    """Scale: the update is multiplied by alpha / r."""
    targets: Literal["all-linear"] | tuple[str, ...] = "all-linear"
    """Names of the linear layers that get an adapter; the head never does, it is trained whole."""


class Full(Spec):
    """Every weight is trained."""

    kind: Literal["full"] = "full"


Adapter = Annotated[Lora | Full, Field(discriminator="kind")]
