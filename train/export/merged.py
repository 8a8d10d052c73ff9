"""One plain transformers model: the adapter in the weights, the calibration in the head."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from train.errors import Failure, InputError, Problem
from train.evaluation.operating_points import OperatingPoint, folded
from train.evaluation.operating_points import read as read_points
from train.files import write_json
from train.model.adapter import Qlora
from train.model.backbone import quiet_loading
from train.model.classifier import Classifier, load
from train.serving.predictor import POINTS, Predictor

if TYPE_CHECKING:
    from torch import nn

SENTENCE = "sentence_bert_config.json"
TOLERANCE = 1e-4
"""Largest difference of a calibrated logit to the model that was trained, in float32."""


@dataclass(frozen=True)
class Merged:
    """model: in float32 on the processor, its sigmoid the calibrated probability. trained: the classifier it
    was made from, in pieces; its weights went into `model`, so it scores no more. difference: the largest
    difference of a calibrated logit between the two."""

    model: Any
    trained: Classifier
    points: dict[str, OperatingPoint]
    difference: float

    def save(self, folder: Path) -> None:
        """config.json, model.safetensors and a tokenizer that truncates where the model's input ends."""
        tokens = int(self.trained.encoding["max_length"]["tokens"])
        tokenizer = self.trained.tokenizer
        tokenizer.model_max_length = tokens
        tokenizer.truncation_side = "right"
        tokenizer.chat_template = None  # a classifier chats with nobody
        with quiet_loading():
            self.model.save_pretrained(folder)
            # last, and in the file itself: servers in other languages read tokenizer.json alone
            tokenizer.backend_tokenizer.enable_truncation(tokens)
            tokenizer.save_pretrained(folder)
        tokenizer.backend_tokenizer.no_truncation()
        # text-embeddings-inference takes the length of its inputs from here, else from the model's positions
        write_json(folder / SENTENCE, {"max_seq_length": tokens, "do_lower_case": False})


def merge(checkpoint: Path, texts: list[str]) -> Merged:
    """Merge a checkpoint, and hold what it says of `texts` against what the trained model says.

    Raises InputError for a run that cannot be handed over: weights in 4 bits, a calibration no head can take
    in. Raises Failure where the two differ by more than TOLERANCE.
    """
    classifier = load(checkpoint, "fp32")
    if isinstance(classifier.card.adapter, Qlora):
        what = "was trained on weights in 4 bits, which merge into no model that says the same"
        remedy = "train with adapter.kind=lora for a model to hand over"
        raise InputError(Problem(str(checkpoint), what, "an adapter on whole weights", remedy))
    points = read_points(checkpoint / POINTS)
    scale, bias = folded(points, classifier.labels, classifier.head_has_bias)
    expected = _logits(classifier, texts) * scale + bias
    model = _without_adapter(classifier)
    _fold(_last_layer(model, classifier), scale, bias)
    plain = Classifier(classifier.card, model, classifier.tokenizer, ())
    difference = float(np.abs(_logits(plain, texts) - expected).max())
    if not difference <= TOLERANCE:
        what = f"merged, its logits differ by {difference:.3g} from the trained model's"
        remedy = "please report this: weights were lost on the way"
        raise Failure(Problem(str(checkpoint), what, f"at most {TOLERANCE:g}", remedy))
    return Merged(model, classifier, points, difference)


def _logits(classifier: Classifier, texts: list[str]) -> np.ndarray:
    found = Predictor(classifier, {}).logits(texts)
    assert found is not None  # nothing stops it
    return found.astype(np.float64)


def _without_adapter(classifier: Classifier) -> Any:
    from peft import PeftModel

    model: Any = classifier.model
    if isinstance(model, PeftModel):
        model = model.merge_and_unload(safe_merge=True)
    for name in classifier.head:
        vars(getattr(model, name)).pop("forward", None)  # what kept the head out of autocast
    return model.eval().requires_grad_(False)


def _last_layer(model: Any, classifier: Classifier) -> nn.Linear:
    """The layer whose outputs are the labels' logits."""
    from torch import nn

    linear = [
        module
        for name in classifier.head
        for module in getattr(model, name).modules()
        if isinstance(module, nn.Linear) and module.out_features == len(classifier.labels)
    ]
    return linear[-1]


def _fold(layer: nn.Linear, scale: np.ndarray, bias: np.ndarray) -> None:
    """scale * (W x + b) + bias, in float64 until it is stored."""
    import torch

    with torch.no_grad():
        by, more = torch.from_numpy(scale), torch.from_numpy(bias)
        layer.weight.copy_(layer.weight.double() * by[:, None])
        if layer.bias is not None:
            layer.bias.copy_(layer.bias.double() * by + more)
