"""When checkpoints are evaluated, and which one is kept as the best."""

from __future__ import annotations

from pydantic import Field, PositiveInt

from train.spec import Spec


class Select(Spec):
    metric: str = Field(default="dev/macro/auprc", pattern=r"^dev[^/]*/[^/]+/(auprc|auroc|f1)$")
    """`<dev set>/<label or macro>/<auprc, auroc or f1>`. All-synthetic data: dev.synthetic/macro/auprc."""


class Evaluation(Spec):
    every: str = Field(default="1 epoch", pattern=r"^[1-9][0-9]* (steps?|epochs?)$")
    """How often a checkpoint is saved and evaluated on dev: `500 steps` or `1 epoch`."""
    patience: PositiveInt | None = None
    """Stop after this many evaluations without a better one; null never stops early."""
    select: Select = Select()
