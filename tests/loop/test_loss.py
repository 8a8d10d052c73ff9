"""Losses against the papers' formulas in float64 numpy; nothing at all on unknown cells."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from train.loop.loss import LEAST, MOST, Asl, Bce, Focal

NAN = float("nan")
LOSSES: list[Any] = [
    Bce(),
    Bce(label_smoothing=0.1),
    Focal(),
    Focal(gamma=0.5),
    Focal(gamma=1, alpha=0.25),
    Focal(gamma=5, alpha=0.9, label_smoothing=0.2),
    Asl(),
    Asl(gamma_pos=1, gamma_neg=4, margin=0.05),
    Asl(gamma_pos=0.5, gamma_neg=0.5, margin=0.0),
    Asl(gamma_neg=0, margin=0.2, label_smoothing=0.1),
]


def by_hand(loss: Bce | Focal | Asl, z: np.ndarray, t: np.ndarray, w: np.ndarray) -> np.ndarray:
    """The papers' formulas, written down once more: float64, no care for large logits."""
    s = loss.label_smoothing
    t = t * (1 - s) + s / 2
    p = 1 / (1 + np.exp(-z))
    if isinstance(loss, Asl):
        q = np.maximum(p - loss.margin, 0)
        return -w * t * (1 - p) ** loss.gamma_pos * np.log(p) - (1 - t) * q**loss.gamma_neg * np.log(1 - q)
    entropy = -(w * t * np.log(p) + (1 - t) * np.log(1 - p))
    if isinstance(loss, Bce):
        return entropy
    alpha = 1 if loss.alpha is None else loss.alpha * t + (1 - loss.alpha) * (1 - t)
    return alpha * np.abs(t - p) ** loss.gamma * entropy


def grid() -> tuple[np.ndarray, np.ndarray]:
    z, t = np.meshgrid(np.linspace(-12, 12, 49), [0.0, 0.03, 1 / 3, 0.5, 0.7, 1.0])
    return z, t


@pytest.mark.parametrize("weight", [1.0, 3.0])
@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_known_cells_equal_the_papers_formula(loss: Any, weight: float) -> None:
    z, t = grid()
    w = np.where(np.arange(z.shape[1]) % 2, weight, 1.0)
    expected = by_hand(loss, z, t, w)
    for dtype, tolerance in ((torch.float64, 1e-9), (torch.float32, 2e-6)):
        cells = loss.cells(torch.tensor(w, dtype=dtype))
        found = cells(torch.tensor(z, dtype=dtype), torch.tensor(t, dtype=dtype))
        assert found.dtype == dtype
        np.testing.assert_allclose(found.numpy(), expected, rtol=20 * tolerance, atol=tolerance)


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_gradients_equal_finite_differences(loss: Any) -> None:
    z, t = grid()
    z = z + 0.0137  # beside the kinks: p = t, and p = margin
    w = np.full(z.shape[1], 2.0)
    logits = torch.tensor(z, requires_grad=True)
    loss.cells(torch.tensor(w))(logits, torch.tensor(t)).sum().backward()
    assert logits.grad is not None
    step = 1e-6
    slope = (by_hand(loss, z + step, t, w) - by_hand(loss, z - step, t, w)) / (2 * step)
    np.testing.assert_allclose(logits.grad.numpy(), slope, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("hard", [0.0, 1.0])
def test_focal_is_the_common_implementation_on_hard_targets(hard: float) -> None:
    """torchvision.ops.sigmoid_focal_loss, by its formula: (1 - p_t)^gamma CE, weighed by alpha_t."""
    z = np.linspace(-9, 9, 37)
    p = 1 / (1 + np.exp(-z))
    p_t = p * hard + (1 - p) * (1 - hard)
    expected = (0.25 * hard + 0.75 * (1 - hard)) * (1 - p_t) ** 2 * -np.log(p_t)
    cells = Focal(gamma=2, alpha=0.25).cells(torch.ones(1, dtype=torch.float64))
    found = cells(torch.tensor(z)[:, None], torch.full((37, 1), hard, dtype=torch.float64))
    np.testing.assert_allclose(found[:, 0].numpy(), expected, rtol=1e-9)


@pytest.mark.parametrize("same", [Focal(gamma=0), Asl(gamma_pos=0, gamma_neg=0, margin=0)], ids=str)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_without_its_parameters_a_loss_is_cross_entropy(same: Any, smoothing: float) -> None:
    z, t = (torch.tensor(part, dtype=torch.float32) for part in grid())
    w = torch.linspace(0.5, 5, z.shape[1])
    found = []
    for loss in (Bce(label_smoothing=smoothing), same.model_copy(update={"label_smoothing": smoothing})):
        logits = z.clone().requires_grad_()
        value = loss.cells(w)(logits, t)
        value.sum().backward()
        found.append((value.detach(), logits.grad))
    torch.testing.assert_close(found[0][0], found[1][0], rtol=0, atol=0)
    torch.testing.assert_close(found[0][1], found[1][1], rtol=0, atol=0)


def test_quality_focal_is_least_where_the_probability_is_the_target() -> None:
    z = torch.linspace(-5, 5, 1001)[:, None]
    for t in (0.2, 0.5, 0.8):
        value = Focal(gamma=2).cells(torch.ones(1))(z, torch.full_like(z, t))
        assert torch.sigmoid(z[value.argmin()]).item() == pytest.approx(t, abs=2e-3)


@pytest.mark.parametrize("loss", LOSSES, ids=str)
@pytest.mark.parametrize("value", [0.0, 100.0, -100.0, float("inf"), float("-inf"), NAN])
def test_an_unknown_cell_adds_no_loss_and_no_gradient(loss: Any, value: float) -> None:
    logits = torch.tensor([[value, 1.0], [2.0, value]], requires_grad=True)
    cost = loss.cells(torch.ones(2))(logits, torch.tensor([[NAN, 1.0], [0.0, NAN]]))
    cost.sum().backward()
    assert logits.grad is not None
    assert cost[0, 0] == cost[1, 1] == 0
    assert logits.grad[0, 0] == logits.grad[1, 1] == 0
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[0, 1] != 0


@pytest.mark.parametrize("loss", LOSSES, ids=str)
def test_large_logits_stay_finite_in_float32(loss: Any) -> None:
    t = torch.tensor([0.0, 0.3, 1.0])
    z = torch.tensor([-1e4, -104.0, -100.0, -30.0, 30.0, 100.0, 104.0, 1e4])
    logits = z[:, None].expand(-1, 3).clone().requires_grad_()
    cost = loss.cells(torch.full((3,), 2.0))(logits, t.expand(len(z), 3))
    cost.sum().backward()
    assert logits.grad is not None
    assert torch.isfinite(cost).all()
    assert torch.isfinite(logits.grad).all()
    assert (cost >= 0).all()


@pytest.mark.parametrize("loss", [Bce(pos_weight="none"), Focal(gamma=2)], ids=str)
def test_a_surely_wrong_cell_costs_its_logit(loss: Any) -> None:
    """At |z| = 100 the naive formula gives inf; the cost is |z| and its slope 1."""
    logits = torch.tensor([[100.0, -100.0]], requires_grad=True)
    cost = loss.cells(torch.ones(2))(logits, torch.tensor([[0.0, 1.0]]))
    cost.sum().backward()
    assert logits.grad is not None
    assert cost.tolist() == [[100.0, 100.0]]
    assert logits.grad.tolist() == [[1.0, -1.0]]


@given(
    st.floats(-100, 100, width=32),
    st.floats(0, 1, width=32),
    st.floats(0, 8),
    st.floats(0, 8),
    st.floats(0, 0.9),
)
def test_any_parameters_give_a_finite_cost_and_slope(
    z: float, t: float, first: float, second: float, margin: float
) -> None:
    asl = Asl(gamma_pos=first, gamma_neg=second, margin=margin)
    # between 0 and 1 the power's slope at p = t is infinite by its formula; hard targets never meet it
    focal = Focal(gamma=first) if first >= 1 or first == 0 else Focal(gamma=first + 1)
    for loss in (asl, focal):
        logits = torch.tensor([[z]], requires_grad=True)
        cost = loss.cells(torch.ones(1))(logits, torch.tensor([[t]]))
        cost.sum().backward()
        assert logits.grad is not None
        assert torch.isfinite(cost).all()
        assert cost >= 0
        assert torch.isfinite(logits.grad).all()


def test_automatic_pos_weight_counts_known_cells_only() -> None:
    targets = np.array([[1, 0.5], [0, NAN], [0, NAN], [NAN, 0.5], [0, 0]], dtype="float32")
    factors = Focal(pos_weight="auto").factors(["a", "b"], targets)
    assert factors.tolist() == pytest.approx([3.0, 2.0])


def test_automatic_pos_weight_stays_within_its_bounds() -> None:
    targets = np.zeros((1000, 2), dtype="float32")
    targets[0, 0] = 1  # one in a thousand
    targets[:800, 1] = 1  # four in five: its positives are not quietened
    assert Bce(pos_weight="auto").factors(["a", "b"], targets).tolist() == [MOST, LEAST]


def test_given_pos_weight_is_by_label() -> None:
    assert Asl(pos_weight={"b": 2.5}).factors(["a", "b"], np.zeros((1, 2))).tolist() == [1.0, 2.5]
    assert Bce().factors(["a", "b"], np.zeros((1, 2))).tolist() == [1.0, 1.0]
