"""Folded, a model scores as before, and afterwards it is what it was, to the object."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.model.classifiers import logits, make
from train.model.adapter import Full, Head, Lora, Top
from train.model.folding import folded
from train.model.precision import Precision

LOW_RANK = [Lora(r=4, alpha=8), Lora(r=4, alpha=8, rslora=True), Lora(r=4, alpha=8, dora=True)]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("adapter", [Full(), Head(), Top(layers=1)], ids=lambda adapter: adapter.kind)
def test_without_low_rank_matrices_no_bit_changes(
    tiny_base: Path, adapter: Any, precision: Precision
) -> None:
    classifier = make(tiny_base, adapter).computing_in(precision)
    expected = logits(classifier)
    head = [getattr(classifier.plain, name) for name in classifier.head]
    classifier.model.eval()
    with folded(classifier.model, head, precision):
        assert np.array_equal(logits(classifier), expected)


@pytest.mark.parametrize("adapter", LOW_RANK, ids=["lora", "rslora", "dora"])
def test_with_them_the_scores_are_those_of_the_merged_model(tiny_base: Path, adapter: Lora) -> None:
    classifier = make(tiny_base, adapter)
    expected = logits(classifier)
    with classifier.folded():
        assert logits(classifier) == pytest.approx(expected, abs=1e-5)
    rough = classifier.computing_in("bf16")
    with rough.folded():
        folded = np.abs(logits(rough) - expected).max()
    assert folded <= 1.5 * np.abs(logits(rough) - expected).max(), "no less exact than bf16 is anyway"


@pytest.mark.parametrize("adapter", [Full(), *LOW_RANK], ids=["full", "lora", "rslora", "dora"])
def test_afterwards_the_model_is_what_it_was(tiny_base: Path, adapter: Any) -> None:
    classifier = make(tiny_base, adapter).computing_in("bf16")
    before = dict(classifier.model.named_parameters())
    values = {name: parameter.detach().clone() for name, parameter in before.items()}
    trained = {name for name, parameter in before.items() if parameter.requires_grad}
    expected = logits(classifier)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt), classifier.folded():
            logits(classifier)
            raise KeyboardInterrupt
        after = dict(classifier.model.named_parameters())
        assert after.keys() == before.keys()
        assert all(
            after[name] is parameter and parameter.equal(values[name]) for name, parameter in before.items()
        )
        assert {name for name, parameter in after.items() if parameter.requires_grad} == trained
        assert np.array_equal(logits(classifier), expected)
