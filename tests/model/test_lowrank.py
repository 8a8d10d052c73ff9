"""LoRA layers trained in few passes: the same gradients as peft's, and nothing else changes."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.model.classifiers import TEXTS, encoder_of, logits, make
from train.model.adapter import Full, Lora
from train.model.classifier import Classifier
from train.model.lowrank import lean as few_passes
from train.model.precision import autocast

LORA = Lora(r=4, alpha=8)


def gradients(classifier: Classifier, lean: bool, texts: list[str] = TEXTS) -> dict[str, Tensor]:
    """Of a loss over the logits, by parameter."""
    classifier.model.train().zero_grad()
    encoder = encoder_of(classifier)
    inputs = encoder.pad(encoder(texts))
    device = torch.device("cpu")
    torch.manual_seed(1)
    with few_passes(classifier.model, classifier.card.precision) if lean else nullcontext():
        with autocast(device, classifier.card.precision):
            out = classifier.model(**inputs).logits.float()
        (out * torch.linspace(-1, 1, out.numel()).view_as(out)).sum().backward()
    trained = [*classifier.parts()[0], *classifier.parts()[1]]
    return {name: parameter.grad.clone() for name, parameter in trained if parameter.grad is not None}


def far(found: dict[str, Tensor], expected: dict[str, Tensor]) -> float:
    """The greatest distance of a parameter's gradient, as a share of its length."""
    assert found.keys() == expected.keys()
    return max(float((found[n] - g).norm() / (g.norm() + 1e-12)) for n, g in expected.items())


@pytest.mark.parametrize("adapter", [LORA, Lora(r=4, alpha=8, rslora=True), Lora(targets=("query",))])
def test_the_gradients_are_peft_s(tiny_base: Path, adapter: Lora) -> None:
    classifier = make(tiny_base, adapter)
    assert far(gradients(classifier, lean=True), gradients(classifier, lean=False)) < 1e-5


def test_in_bf16_they_are_as_near_the_true_ones(tiny_base: Path) -> None:
    classifier = make(tiny_base, LORA)
    true, rough = gradients(classifier, lean=False), classifier.computing_in("bf16")
    assert far(gradients(rough, lean=True), true) < 1.2 * far(gradients(rough, lean=False), true)


@pytest.mark.parametrize(
    ("adapter", "dropout"),
    [(Lora(r=4, alpha=8, dora=True), 0.0), (LORA, 0.3), (Full(), 0.0)],
    ids=["dora", "dropout", "full"],
)
def test_what_it_is_not_for_stays_as_it_was(tiny_base: Path, adapter: Any, dropout: float) -> None:
    classifier = make(tiny_base, adapter, dropout)
    expected = gradients(classifier, lean=False)
    found = gradients(classifier, lean=True)
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_scoring_is_not_touched_and_nothing_stays_behind(tiny_base: Path) -> None:
    classifier = make(tiny_base, LORA)
    expected, forwards = logits(classifier), [m.__dict__.get("forward") for m in classifier.model.modules()]
    with few_passes(classifier.model, "fp32"):
        assert np.array_equal(logits(classifier), expected)
        with classifier.folded():
            assert logits(classifier) == pytest.approx(expected, abs=1e-5)
        assert [m.__dict__.get("forward") for m in classifier.model.modules()] != forwards
    assert [m.__dict__.get("forward") for m in classifier.model.modules()] == forwards


def test_a_step_is_seen_at_once(tiny_base: Path) -> None:
    """Weights that an optimizer changed are those of the next pass: only frozen ones are kept as copies."""
    classifier = make(tiny_base, LORA)
    encoder = encoder_of(classifier)
    inputs = encoder.pad(encoder(TEXTS))
    classifier.model.train()
    with few_passes(classifier.model, "fp32"):
        classifier.model(**inputs)
        with torch.no_grad():
            for _, parameter in classifier.parts()[0]:
                parameter.mul_(2)
        found = classifier.model(**inputs).logits
    expected = classifier.model(**inputs).logits
    assert torch.allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("adapter", [LORA, Lora(targets=("query",))], ids=["all", "query"])
def test_recomputed_activations_give_the_same(tiny_base: Path, adapter: Lora, precision: Any) -> None:
    classifier = make(tiny_base, adapter).computing_in(precision)
    expected = gradients(classifier, lean=True)
    classifier.recompute_activations()
    assert far(gradients(classifier, lean=True), expected) < 1e-6
