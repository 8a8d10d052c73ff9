"""Classifiers as the tests of this room make them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from train.data.encoding import Encoder, Encoding
from train.model.backbone import Backbone, load_tokenizer
from train.model.classifier import Classifier, create

LABELS = ("hate", "harassment", "grooming")
TEXTS = ["you are kind", "", "🙂🙂🙂", "a " * 400, "안녕하세요 여러분", "short"]


def make(base: Path, adapter: Any, dropout: float = 0.0) -> Classifier:
    """A classifier with three labels whose trained weights are all random: as if it had learned something."""
    backbone = Backbone(base=str(base), dropout=dropout)
    encoding = {"max_length": {"tokens": 32, "overflow": "truncate"}}
    classifier = create(backbone, adapter, encoding, LABELS, load_tokenizer(backbone, 32), "fp32", seed=3)
    torch.manual_seed(5)  # LoRA's B matrices start at zero and would hide a lost adapter
    for _, parameter in [*classifier.parts()[0], *classifier.parts()[1]]:
        torch.nn.init.normal_(parameter, std=0.1)
    return classifier


def encoder_of(classifier: Classifier) -> Encoder:
    return Encoder(classifier.tokenizer, Encoding.model_validate(classifier.card.encoding))


def logits(classifier: Classifier, texts: list[str] = TEXTS) -> np.ndarray:
    """Float32 [n, 3]."""
    classifier.model.eval()
    encoder = encoder_of(classifier)
    return classifier.logits(encoder.pad(encoder(texts))).numpy()
