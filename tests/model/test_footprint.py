"""Memory and operations counted without weights, against formulas and against models with weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.model.classifiers import LABELS, make
from tests.model.families import ALL, SIZE
from train.model.adapter import Full, Head, Lora, Qlora, Top
from train.model.backbone import Backbone
from train.model.classifier import Classifier
from train.model.footprint import Footprint, measure, multiplication_rate

TOKENS = 32


def footprint(base: Path, adapter: Any, recompute: bool = False) -> Footprint:
    return measure(Backbone(base=str(base)), adapter, LABELS, 1, TOKENS, "fp32", recompute)


def really_kept(classifier: Classifier, texts: int) -> int:
    """Bytes that a real forward pass keeps for its backward pass, beside the parameters."""
    kept = {}
    own = {p.untyped_storage().data_ptr() for p in classifier.model.parameters()}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
        return tensor

    ids = torch.randint(5, 50, (texts, TOKENS))
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        classifier.model(input_ids=ids, attention_mask=torch.ones_like(ids))
    return sum(storage.nbytes() for address, storage in kept.items() if address not in own)


def test_operations_are_those_of_the_textbook(base: Callable[[str], Path]) -> None:
    """BERT, trained whole: twice a multiplication for the gradients of inputs and weights."""
    d, f = SIZE["hidden_size"], SIZE["intermediate_size"]
    t = np.array([1, 5, TOKENS])
    layer = 4 * 2 * t * d * d + 2 * 2 * t * d * f + 2 * 2 * t * t * d
    forward = SIZE["num_hidden_layers"] * layer + 2 * d * d + 2 * d * len(LABELS)  # pooler, classifier
    assert footprint(base("bert"), Full()).flops(t).tolist() == (3 * forward).tolist()
    assert footprint(base("bert"), Head()).flops(t).tolist() == (forward + 2 * d * len(LABELS)).tolist()


@pytest.mark.parametrize("adapter", [Full(), Lora(r=4), Top(layers=1)], ids=lambda adapter: adapter.kind)
@pytest.mark.parametrize("family", ALL)
def test_what_is_kept_is_what_a_model_with_weights_keeps(
    base: Callable[[str], Path], family: str, adapter: Any
) -> None:
    classifier = make(base(family), adapter)
    classifier.model.train()
    classifier.plain.set_attn_implementation("eager")
    counted = footprint(base(family), adapter)
    assert counted.per_text == pytest.approx(really_kept(classifier, 1), rel=0.05)
    assert counted.parameters == sum(p.numel() for p in classifier.model.parameters())
    assert counted.trained == sum(p.numel() for p in classifier.model.parameters() if p.requires_grad)
    a_text = (really_kept(classifier, 9) - really_kept(classifier, 1)) / 8
    assert a_text <= counted.per_text < 1.25 * a_text  # some is kept once a batch: positions, most of it


def test_recomputing_trades_memory_for_operations(base: Callable[[str], Path]) -> None:
    kept, recomputed = (footprint(base("bert"), Full(), recompute) for recompute in (False, True))
    assert recomputed.per_text < kept.per_text * 0.6
    assert 1.2 < recomputed.flops(np.array([TOKENS]))[0] / kept.flops(np.array([TOKENS]))[0] < 1.34


def test_four_bits_are_an_eighth_of_the_linear_layers(base: Callable[[str], Path]) -> None:
    lora, qlora = (footprint(base("llama"), adapter) for adapter in (Lora(r=4), Qlora(r=4)))
    d, f, grouped = SIZE["hidden_size"], SIZE["intermediate_size"], SIZE["hidden_size"] // 2
    linear = SIZE["num_hidden_layers"] * (2 * d * d + 2 * d * grouped + 3 * d * f)
    assert lora.weights - qlora.weights == pytest.approx(linear * (4 - 4.127 / 8), abs=1)
    assert lora.state == lora.trained * 12


def test_the_rate_is_this_machine_s() -> None:
    assert 1e9 < multiplication_rate(torch.device("cpu"), "fp32") < 1e14
