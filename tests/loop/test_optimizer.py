"""Schedule, parameter groups, and an optimizer whose state survives as plain tensors."""

import pytest
import torch

from train.loop import optimizer
from train.loop.training import Training


def test_the_rate_rises_and_falls() -> None:
    training = Training(steps=100, warmup=0.1)
    shares = [optimizer.factor(training, step, 100) for step in range(100)]
    assert shares[0] == pytest.approx(1 / 11)
    assert max(shares) == shares[10] == 1
    assert shares[:11] == sorted(shares[:11])
    assert shares[10:] == sorted(shares[10:], reverse=True)
    assert 0 < shares[-1] < 0.02
    constant = Training(steps=100, warmup=0, schedule="constant")
    assert {optimizer.factor(constant, step, 100) for step in range(100)} == {1.0}
    cosine = Training(steps=100, warmup=0, schedule="cosine")
    assert optimizer.factor(cosine, 50, 100) == pytest.approx(0.5)


def model() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 2))


def test_head_and_body_have_their_rates_and_vectors_do_not_decay() -> None:
    named = list(model().named_parameters())
    adam = optimizer.build(Training(steps=1, lr=1e-3, head_lr=1e-2), named[:2], named[2:])
    found = {
        (group["lr"], group["weight_decay"]): [p.ndim for p in group["params"]] for group in adam.param_groups
    }
    assert found == {(1e-3, 0.01): [2], (1e-3, 0.0): [1], (1e-2, 0.01): [2], (1e-2, 0.0): [1]}
    optimizer.set_rate(adam, 0.5)
    assert {group["lr"] for group in adam.param_groups} == {5e-4, 5e-3}


def test_a_restored_optimizer_takes_the_same_next_step() -> None:
    def step(net: torch.nn.Module, adam: torch.optim.Optimizer, seed: int) -> None:
        torch.manual_seed(seed)
        net(torch.randn(3, 4)).square().sum().backward()
        adam.step()
        adam.zero_grad()

    one, other = model(), model()
    first = optimizer.build(Training(steps=1), list(one.named_parameters()), [])
    step(one, first, 1)
    saved = optimizer.state(first, list(one.named_parameters()))
    other.load_state_dict(one.state_dict())
    second = optimizer.build(Training(steps=1), list(other.named_parameters()), [])
    optimizer.restore(second, list(other.named_parameters()), saved)
    step(one, first, 2)
    step(other, second, 2)
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
