"""Every family, merged and as a graph, says what the trained model says, whatever the batch."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from tests.model.classifiers import TEXTS, encoder_of, logits, make
from tests.model.conftest import base  # noqa: F401  a fixture: tiny models
from tests.model.families import ALL
from train.evaluation.calibration import foldable
from train.evaluation.operating_points import OperatingPoint, write
from train.export.graph import to_onnx
from train.export.merged import TOLERANCE, merge
from train.model.adapter import Full, Lora
from train.serving.predictor import POINTS

pytestmark = pytest.mark.slow


def _points(labels: tuple[str, ...], biased: bool) -> dict[str, OperatingPoint]:
    """Calibrations that the head can take in, each label's another."""
    kind = foldable(biased)[-1]
    return {
        label: OperatingPoint(0.5 + n, biased * (n - 1.0), 0.5, "fpr <= 0.02", 99, 9, True, calibration=kind)
        for n, label in enumerate(labels)
    }


@pytest.mark.parametrize(
    ("family", "adapter"),
    [*((family, Lora(r=4, alpha=8)) for family in ALL), ("bert", Full()), ("llama", Full())],
    ids=[*ALL, "bert-full", "llama-full"],
)
def test_merged_and_as_a_graph(
    base: Callable[[str], Path],  # noqa: F811
    tmp_path: Path,
    family: str,
    adapter: Lora | Full,
) -> None:
    classifier = make(base(family), adapter)
    points = _points(classifier.labels, classifier.head_has_bias)
    expected = logits(classifier) * [p.scale for p in points.values()] + [p.bias for p in points.values()]
    classifier.save(tmp_path / "saved")
    write(tmp_path / "saved" / POINTS, points)
    merged = merge(tmp_path / "saved", TEXTS)
    assert merged.difference <= TOLERANCE
    encoder = encoder_of(merged.trained)
    to_onnx(merged.model, encoder.pad(encoder(["one two three", "one"])), tmp_path / "model.onnx")
    graph = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    for texts in (TEXTS, TEXTS[:1], TEXTS[1:2], TEXTS[3:], TEXTS * 3):  # batches and lengths it never saw
        inputs = {name: value.numpy() for name, value in encoder.pad(encoder(texts)).items()}
        (found,) = graph.run(["logits"], inputs)
        rows = [TEXTS.index(text) for text in texts]
        np.testing.assert_allclose(found, expected[rows], atol=1e-3, rtol=1e-4)
