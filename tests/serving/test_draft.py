"""A draft in bf16 changes no flag: what it leaves open is scored again, and it is paid for in texts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.serving.minilm import LABELS, comments, learned
from train.evaluation.operating_points import OperatingPoint
from train.model.precision import native_bf16
from train.serving.draft import FEWEST, SAMPLE, drafted
from train.serving.predictor import Predictor

N = 4_000


def looked_up(logits: np.ndarray, asked: list[int] | None = None) -> Callable[[Sequence[str]], np.ndarray]:
    """A scoring that knows each text's logits; `asked`: told how many texts it had to score."""

    def score(texts: Sequence[str]) -> np.ndarray:
        if asked is not None:
            asked.append(len(texts))
        return logits[[int(text) for text in texts]]

    return score


def above(thresholds: Sequence[float]) -> Callable[[np.ndarray], np.ndarray]:
    return lambda found: found >= np.array(thresholds)


@pytest.mark.parametrize("place", ["middle", "tail", "outside"])
@pytest.mark.parametrize("scale", [0.0, 0.01, 0.3])
def test_flags_are_the_exact_ones_wherever_the_thresholds_lie(place: str, scale: float) -> None:
    dice = np.random.default_rng(1)
    true = dice.normal(size=(N, 3)).astype(np.float32)
    rough = true + scale * dice.normal(size=(N, 3)).astype(np.float32)
    flags = above({"middle": (0.0, 0.1, -0.1), "tail": (2.0, 2.5, 3.0), "outside": (9.0, 9.0, 9.0)}[place])
    asked: list[int] = []
    texts = [str(row) for row in range(N)]
    found = drafted(looked_up(rough), looked_up(true, asked), flags, texts)
    assert np.array_equal(flags(found), flags(true))
    assert sum(asked) <= N, "no text is scored exactly twice"
    if place == "outside" or scale == 0:
        assert asked == [SAMPLE], "nothing is open"
    elif scale == 0.01:
        assert (flags(rough) != flags(true)).any(), "the draft alone would have changed flags"
        assert sum(asked) < N / 2


def test_a_text_scored_again_that_is_off_by_more_widens_the_margin() -> None:
    """Errors grow towards the threshold, where the sample hardly looks: the texts there say so themselves."""
    true = np.linspace(-8, 8, N, dtype=np.float32)[:, None]
    rough = true + 0.4 * np.exp(-(true**2)) * np.where(np.arange(N) % 2, 1, -1).astype(np.float32)[:, None]
    asked: list[int] = []
    texts = [str(row) for row in range(N)]
    found = drafted(looked_up(rough), looked_up(true, asked), above([0.0]), texts)
    assert np.array_equal(found >= 0, true >= 0)
    assert len(asked) > 1


def test_few_texts_are_scored_exactly() -> None:
    true = np.zeros((FEWEST - 1, 1), dtype=np.float32)
    texts = [str(row) for row in range(len(true))]
    assert drafted(looked_up(true + 1), looked_up(true), above([0.5]), texts).sum() == 0
    assert drafted(looked_up(true), looked_up(true), above([0.5]), []).shape == (0, 1)


def at(logit: float) -> OperatingPoint:
    """A point that flags from just above this logit on."""
    threshold = 1 / (1 + np.exp(-(1.5 * (logit + 1e-4) - 0.5)))
    return OperatingPoint(1.5, -0.5, float(threshold), "fpr <= 0.02", 1, 1, True)


@pytest.mark.slow
@pytest.mark.skipif(not native_bf16(torch.device("cpu")), reason="this processor emulates bf16")
def test_on_real_texts_the_flags_are_those_of_float32(real_data: Path) -> None:
    """With thresholds on a text's very own logit, where texts are dense and where they are not."""
    texts = comments(real_data, 1_500)
    names = [str(row) for row in range(len(texts))]
    classifier = learned("fp32")
    exact = Predictor(classifier, {}).logits(texts)
    rough = Predictor(classifier.computing_in("bf16"), {}).logits(texts)
    assert exact is not None and rough is not None
    for quantile in (0.5, 0.8, 0.9, 0.95, 0.98, 0.99):
        cuts = np.quantile(exact, quantile, axis=0, method="nearest")
        flags = above(cuts)
        assert (flags(rough) != flags(exact)).any(), "bf16 alone changes some"
        assert np.array_equal(flags(drafted(looked_up(rough), looked_up(exact), flags, names)), flags(exact))
    predictor = Predictor(classifier, {label: at(cut) for label, cut in zip(LABELS, cuts, strict=True)})
    found = predictor.predict(names, texts)
    assert np.array_equal([list(one.flags.values()) for one in found], predictor.judge(exact)[1])
    scores = np.array([list(one.scores.values()) for one in found])
    assert not np.array_equal(scores, predictor.judge(exact)[0]), "most were scored in bf16"
