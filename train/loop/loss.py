"""Losses on soft labels with unknown cells."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import PositiveFloat

from train.spec import Spec

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

MOST = 10.0


class Bce(Spec):
    """Binary cross-entropy of each known cell."""

    kind: Literal["bce"] = "bce"
    pos_weight: Literal["auto", "none"] | dict[str, PositiveFloat] = "none"
    """Factor on the positive term, by label. auto: known negatives / known positives of train, at most 10."""

    def factors(self, labels: Sequence[str], targets: np.ndarray) -> np.ndarray:
        """pos_weight by label, float32 [L], from the train split's soft targets [n, L] (NaN = unknown)."""
        import numpy as np

        if isinstance(self.pos_weight, dict):
            return np.array([self.pos_weight.get(label, 1.0) for label in labels], dtype="float32")
        if self.pos_weight == "none":
            return np.ones(len(labels), dtype="float32")
        positive = np.nansum(targets, axis=0)
        known = (~np.isnan(targets)).sum(axis=0)
        return np.clip((known - positive) / np.maximum(positive, 1e-6), 1.0, MOST).astype("float32")


Loss = Bce  # becomes a union on `kind` when a second loss joins


def cells(logits: Tensor, targets: Tensor, pos_weight: Tensor) -> Tensor:
    """Loss of each cell, float32 [B, L]; exactly 0 and without gradient where the target is NaN.

    -(w t log s(z) + (1 - t) log(1 - s(z))) for a soft target t, as torch's binary_cross_entropy_with_logits.
    """
    import torch

    known = ~torch.isnan(targets)
    # unknown logits are replaced, not multiplied by 0: 0 * inf would be NaN
    loss = torch.nn.functional.binary_cross_entropy_with_logits(
        torch.where(known, logits, 0.0),
        torch.where(known, targets, 0.0),
        pos_weight=pos_weight,
        reduction="none",
    )
    return torch.where(known, loss, 0.0)
