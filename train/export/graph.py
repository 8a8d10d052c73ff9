"""The model as an ONNX graph, in float32 and with weights in 8 bits."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

OPSET = 18


def to_onnx(model: Any, example: Mapping[str, Tensor], path: Path) -> None:
    """Write a transformers classifier as one file: input_ids, attention_mask int64 [batch, tokens] in, logits
    float32 [batch, labels] out. example: such inputs of two texts, one longer: what varies must be seen."""
    import torch

    with _quiet():
        model.set_attn_implementation("sdpa" if model._supports_sdpa else "eager")
        shape = {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}
        program = torch.onnx.export(
            model,
            (),
            kwargs=dict(example),
            dynamo=True,
            opset_version=OPSET,
            input_names=["input_ids", "attention_mask"],
            output_names=["logits"],
            dynamic_shapes={"input_ids": shape, "attention_mask": shape},
            verbose=False,
        )
        assert program is not None  # torch's own signature allows it
        path.parent.mkdir(parents=True, exist_ok=True)
        program.save(str(path), external_data=False)


def to_int8(graph: Path, path: Path) -> None:
    """Write a graph again with its weights in 8 bits, by output channel; activations are quantized as they
    come (dynamic quantization). A row at a time: see `RowwiseOnnxScorer`."""
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with _quiet(), TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(str(graph), str(prepared), skip_symbolic_shape=True)
        quantize_dynamic(str(prepared), str(path), weight_type=QuantType.QInt8, per_channel=True)


@contextmanager
def _quiet() -> Iterator[None]:
    """Both libraries tell at length what they pass over."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
