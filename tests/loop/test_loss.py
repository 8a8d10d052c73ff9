"""The loss: torch's own on known cells, nothing at all on unknown ones."""

import numpy as np
import pytest
import torch

from train.loop.loss import MOST, Bce, cells

NAN = float("nan")


def test_known_cells_equal_the_formula() -> None:
    logits = torch.tensor([[2.0, -1.0], [0.5, 3.0]])
    targets = torch.tensor([[0.7, 0.0], [1.0, 0.25]])
    weight = torch.tensor([3.0, 1.0])
    p = torch.sigmoid(logits)
    by_hand = -(weight * targets * p.log() + (1 - targets) * (1 - p).log())
    torch.testing.assert_close(cells(logits, targets, weight), by_hand)


@pytest.mark.parametrize("value", [0.0, 50.0, -50.0, float("inf"), float("nan")])
def test_an_unknown_cell_adds_no_loss_and_no_gradient(value: float) -> None:
    logits = torch.tensor([[value, 1.0], [2.0, value]], requires_grad=True)
    loss = cells(logits, torch.tensor([[NAN, 1.0], [0.0, NAN]]), torch.ones(2))
    loss.sum().backward()
    assert loss[0, 0] == 0
    assert loss[1, 1] == 0
    assert logits.grad is not None
    assert logits.grad[0, 0] == 0
    assert logits.grad[1, 1] == 0
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[0, 1] != 0


def test_automatic_pos_weight_counts_known_cells_only() -> None:
    targets = np.array([[1, 0.5], [0, NAN], [0, NAN], [NAN, 0.5], [0, 0]], dtype="float32")
    factors = Bce(pos_weight="auto").factors(["a", "b"], targets)
    assert factors.tolist() == pytest.approx([3.0, 2.0])
    rare = np.zeros((1000, 1), dtype="float32")
    rare[0] = 1
    assert Bce(pos_weight="auto").factors(["a"], rare).tolist() == [MOST]


def test_given_pos_weight_is_by_label() -> None:
    assert Bce(pos_weight={"b": 2.5}).factors(["a", "b"], np.zeros((1, 2))).tolist() == [1.0, 2.5]
    assert Bce().factors(["a", "b"], np.zeros((1, 2))).tolist() == [1.0, 1.0]
