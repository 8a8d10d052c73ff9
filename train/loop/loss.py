"""Losses on soft labels with unknown cells: what each cell of a batch costs."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, PositiveFloat

from train.spec import Spec

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    Cells = Callable[[Tensor, Tensor], Tensor]

LEAST, MOST = 1.0, 10.0
"""Bounds of an automatic pos_weight. Below 1 it would quieten the positives of a label that most rows carry
(84% of Davidson's tweets are harassment), and they are what must be found. Above 10 a handful of rare
positives, labelling errors included, would steer every update they are in."""


class _Loss(Spec):
    """What every loss shares. Where the target is NaN a cell costs exactly 0 and has no gradient."""

    pos_weight: Literal["auto", "none"] | dict[str, PositiveFloat] = "none"
    """Factor on the positive term, by label. auto: known negatives / positives of train, kept in 1..10."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """s: a target t is trained as t (1 - s) + s / 2."""

    def factors(self, labels: Sequence[str], targets: np.ndarray) -> np.ndarray:
        """pos_weight by label, float32 [L], from the train split's soft targets [n, L] (NaN = unknown)."""
        import numpy as np

        if isinstance(self.pos_weight, dict):
            return np.array([self.pos_weight.get(label, 1.0) for label in labels], dtype="float32")
        if self.pos_weight == "none":
            return np.ones(len(labels), dtype="float32")
        positive = np.nansum(targets, axis=0)
        known = (~np.isnan(targets)).sum(axis=0)
        return np.clip((known - positive) / np.maximum(positive, 1e-6), LEAST, MOST).astype("float32")

    def cells(self, factors: Tensor) -> Cells:
        """The loss by cell: (logits, soft targets), both [B, L], -> [B, L]. `factors` is pos_weight, [L]."""
        import torch

        def cost(logits: Tensor, targets: Tensor) -> Tensor:
            known = ~torch.isnan(targets)
            # unknown cells are replaced, not multiplied by 0: 0 * inf would be NaN, in value and gradient
            z, t = torch.where(known, logits, 0.0), torch.where(known, targets, 0.0)
            t = t * (1 - self.label_smoothing) + self.label_smoothing / 2
            return torch.where(known, self._cost(z, t, factors), 0.0)

        return cost

    @abstractmethod
    def _cost(self, z: Tensor, t: Tensor, factors: Tensor) -> Tensor:
        """Cost of known cells: logits z, targets t in [0, 1], p = sigmoid(z), w = `factors`."""


class Bce(_Loss):
    """Binary cross-entropy: -(w t log p + (1 - t) log(1 - p))."""

    kind: Literal["bce"] = "bce"

    def _cost(self, z: Tensor, t: Tensor, factors: Tensor) -> Tensor:
        return _cross_entropy(z, t, factors)


class Focal(_Loss):
    """Cross-entropy that pays less for cells already right: alpha_t |t - p|^gamma BCE.

    Lin et al. 2017 (arXiv:1708.02002) for t in {0, 1}; between them the quality focal loss of Li et al. 2020
    (arXiv:2006.04388), which is least at p = t. alpha_t = alpha t + (1 - alpha)(1 - t).
    """

    kind: Literal["focal"] = "focal"
    gamma: float = Field(default=2.0, ge=0)
    """How fast the cost falls as a cell gets right; 0: cross-entropy. Soft targets want 1 or more."""
    alpha: float | None = Field(default=None, gt=0, lt=1)
    """Share of the positive term, the paper's .25; null weighs both terms 1. pos_weight multiplies it."""

    def _cost(self, z: Tensor, t: Tensor, factors: Tensor) -> Tensor:
        import torch

        # |t - p| without the difference of two numbers near 1: for t = 1 it is sigmoid(-z)
        distance = (t * torch.sigmoid(-z) - (1 - t) * torch.sigmoid(z)).abs()
        cost = _power(distance, self.gamma) * _cross_entropy(z, t, factors)
        return cost if self.alpha is None else (self.alpha * t + (1 - self.alpha) * (1 - t)) * cost


class Asl(_Loss):
    """Asymmetric loss: -(w t (1 - p)^a log p + (1 - t) q^b log(1 - q)) with q = max(p - margin, 0).

    Ridnik et al. 2021 (arXiv:2009.14119), with the gradient of the whole formula (their code's default leaves
    that of the powers out); a is gamma_pos, b gamma_neg. Negatives below the margin cost nothing.
    """

    kind: Literal["asl"] = "asl"
    gamma_pos: float = Field(default=0.0, ge=0)
    gamma_neg: float = Field(default=4.0, ge=0)
    """Larger than gamma_pos: easy negatives, of which there are many, fade first."""
    margin: float = Field(default=0.05, ge=0, lt=1)
    """Probability below which a negative costs nothing."""

    def _cost(self, z: Tensor, t: Tensor, factors: Tensor) -> Tensor:
        import torch
        from torch.nn.functional import logsigmoid

        wrong = torch.sigmoid(-z)  # 1 - p, without cancellation
        positive = _power(wrong, self.gamma_pos) * logsigmoid(z)
        if self.margin:
            shifted = (torch.sigmoid(z) - self.margin).clamp_min(0)
            log = torch.log((wrong + self.margin).clamp_max(1))
        else:
            shifted, log = torch.sigmoid(z), logsigmoid(-z)
        return -(factors * t * positive + (1 - t) * _power(shifted, self.gamma_neg) * log)


def _cross_entropy(z: Tensor, t: Tensor, factors: Tensor) -> Tensor:
    """In two logsigmoids: torch's own adds z and max(-z, 0), which costs a sure cell its digits."""
    from torch.nn.functional import logsigmoid

    return -(factors * t * logsigmoid(z) + (1 - t) * logsigmoid(-z))


def _power(x: Tensor, exponent: float) -> Tensor:
    """x^exponent for x >= 0. Below 1 it is infinitely steep at 0, and inf * 0 would be a NaN gradient."""
    import torch

    return x.clamp_min(torch.finfo(x.dtype).tiny) ** exponent


Loss = Annotated[Bce | Focal | Asl, Field(discriminator="kind")]
