"""A bundle's model, ready to score: with torch, or with ONNX Runtime. Both load from the folder alone."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from train.bundle.manifest import GRAPHS, MODEL, Manifest, Runtime
from train.errors import Failure, InputError, Problem
from train.evaluation.operating_points import OperatingPoint
from train.model.backbone import quiet_loading
from train.serving.predictor import Predictor

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class _Scorer:
    """What both runtimes share: see `train.serving.predictor.Scorer`."""

    labels: tuple[str, ...]
    encoding: Mapping[str, Any]
    tokenizer: Any
    model: Any
    """A transformers model, or an onnxruntime session."""

    def folded(self) -> AbstractContextManager[None]:
        return nullcontext()  # it was folded when it was exported

    def faster(self) -> None:
        return None


class TorchScorer(_Scorer):
    @property
    def device(self) -> torch.device:
        device: torch.device = self.model.device
        return device

    def logits(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        import torch

        with torch.inference_mode():
            found: torch.Tensor = self.model(**{k: v.to(self.device) for k, v in inputs.items()}).logits
        return found.float()


class OnnxScorer(_Scorer):
    @property
    def device(self) -> torch.device:
        import torch

        return torch.device("cpu")

    def logits(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        import torch

        (found,) = self.model.run(["logits"], {name: value.numpy() for name, value in inputs.items()})
        return torch.from_numpy(found)


class RowwiseOnnxScorer(OnnxScorer):
    """A row at a time, without its padding: a graph in 8 bits quantizes what all rows of a batch share, so
    that a text's neighbours would move its probability, by .11 of 1 in a test. Two cores lose no time."""

    def logits(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        import torch

        seen = inputs["attention_mask"].bool()
        parts = [
            super(RowwiseOnnxScorer, self).logits({k: v[n, seen[n]][None] for k, v in inputs.items()})
            for n in range(len(seen))
        ]
        return torch.cat(parts)


def open_bundle(folder: Path, runtime: Runtime | None = None) -> Predictor:
    """`load`, of what a folder's manifest says. runtime: default torch where there is a GPU, else onnx."""
    import torch

    default: Runtime = "torch" if torch.cuda.is_available() else "onnx"
    return load(folder, Manifest.read(folder), runtime or default)


def load(folder: Path, manifest: Manifest, runtime: Runtime, threads: int | None = None) -> Predictor:
    """A predictor that flags by the thresholds of `runtime`'s variant. threads: of ONNX Runtime; default all.

    The files' hashes are not checked here: `train.bundle.verify` does. Raises InputError for a variant that
    the bundle lacks, Failure where weights are missing, left over or unreadable.
    """
    if runtime not in manifest.variants:
        raise InputError(
            Problem(str(folder), f"has no variant {runtime}", f"one of {', '.join(manifest.variants)}")
        )
    variant = manifest.variants[runtime]
    points = {
        label.name: OperatingPoint(
            scale=1.0,  # calibration lies in the head
            bias=0.0,
            threshold=variant.thresholds[label.name],
            constraint=label.constraint,
            n=0,
            positives=0,
            feasible=True,
            calibration="identity",
        )
        for label in manifest.labels
    }
    tokenizer = _tokenizer(folder / MODEL)
    encoding = manifest.encoding.encoding()
    if runtime == "torch":
        model = _transformer(folder / MODEL, manifest.names)
        return Predictor(TorchScorer(manifest.names, encoding, tokenizer, model), points)
    session = _session(folder / GRAPHS[runtime], threads)
    scorer = RowwiseOnnxScorer if runtime == "onnx-int8" else OnnxScorer
    return Predictor(scorer(manifest.names, encoding, tokenizer, session), points)


def _tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except Exception as error:  # the library raises many kinds
        raise _unloadable(folder, f"its tokenizer does not load ({type(error).__name__})") from error


def _transformer(folder: Path, names: tuple[str, ...]) -> Any:
    import torch
    from transformers import AutoModelForSequenceClassification

    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        with quiet_loading():
            model, loading = AutoModelForSequenceClassification.from_pretrained(
                str(folder),
                dtype=torch.float32,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
    except Exception as error:  # the library raises many kinds
        raise _unloadable(folder, f"the model does not load ({type(error).__name__})") from error
    for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if wrong := sorted(map(str, loading[kind])):
            raise _unloadable(folder, f"{len(wrong)} weights are {kind.split('_')[0]}, such as {wrong[0]}")
    said = tuple(model.config.id2label[index] for index in range(model.config.num_labels))
    if said != names:
        raise _unloadable(folder, f"config.json's labels are {', '.join(said)}, the manifest's are others")
    return model.eval().to(device)


def _session(path: Path, threads: int | None) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise InputError(
            Problem("onnxruntime", "is not installed", "the package", "pip install 'teensafe[serve]'")
        ) from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.log_severity_level = 3
    # threads that wait for work would burn the core that a server's event loop needs
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the library raises many kinds
        raise _unloadable(path, f"the graph does not load ({type(error).__name__})") from error


def _unloadable(path: Path, what: str) -> Failure:
    return Failure(Problem(str(path), what, "a whole bundle", "get the bundle again"))
