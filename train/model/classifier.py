"""A classifier: backbone, adapter, head and the encoding it was trained with, as one thing on disk."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from train.errors import Failure, Problem
from train.files import write_json
from train.model.adapter import Adapter, Full, Lora
from train.model.backbone import Backbone, digest, load_classifier, load_tokenizer, quiet_loading
from train.model.precision import SCORING_ATTENTION, Precision, autocast, head_in_float32
from train.spec import Spec

if TYPE_CHECKING:
    import torch
    from torch import nn

CARD = "classifier.json"


class Card(Spec):
    """What a saved classifier says of itself; with the base it names, all that loading needs."""

    schema_version: int = 1
    labels: tuple[str, ...]
    backbone: Backbone
    base_digest: str
    adapter: Adapter
    encoding: dict[str, Any]
    precision: Precision


@dataclass(frozen=True)
class Classifier:
    card: Card
    model: nn.Module
    tokenizer: Any
    head: tuple[str, ...]

    def parts(self) -> tuple[list[tuple[str, nn.Parameter]], list[tuple[str, nn.Parameter]]]:
        """The trained parameters by name: (body, head)."""
        trained = [(name, p) for name, p in self.model.named_parameters() if p.requires_grad]
        in_head = [any(f".{part}." in f".{name}" for part in self.head) for name, _ in trained]
        body = [pair for pair, head in zip(trained, in_head, strict=True) if not head]
        return body, [pair for pair, head in zip(trained, in_head, strict=True) if head]

    def attend(self, kernel: str) -> None:
        """Choose the attention kernel: "eager" or "sdpa"."""
        model: Any = self.model
        if isinstance(self.card.adapter, Lora):
            model = model.get_base_model()
        model.set_attn_implementation(kernel)

    def logits(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Scores before the sigmoid, float32 [B, L], without gradient; inputs int64 [B, T]."""
        import torch

        device = next(self.model.parameters()).device
        with torch.inference_mode(), autocast(device, self.card.precision):
            out = self.model(**{key: value.to(device) for key, value in inputs.items()})
        return out.logits.float()

    def save(self, folder: Path) -> None:
        """Adapter and head, or the whole model, as safetensors; tokenizer; the card."""
        self.model.save_pretrained(folder)  # type: ignore[operator]
        (folder / "README.md").unlink(missing_ok=True)  # peft's empty template of a model card
        self.tokenizer.save_pretrained(folder)
        write_json(folder / CARD, self.card.model_dump(mode="json"))


def create(
    backbone: Backbone,
    adapter: Adapter,
    encoding: Mapping[str, Any],
    labels: Sequence[str],
    tokenizer: Any,
    precision: Precision,
    seed: int,
) -> Classifier:
    """A classifier to train: pretrained body, head and adapter initialised from `seed`."""
    import torch

    torch.manual_seed(seed)
    model, head = load_classifier(backbone, labels)
    if isinstance(adapter, Lora):
        from peft import LoraConfig, get_peft_model

        config = LoraConfig(
            task_type="SEQ_CLS",
            r=adapter.r,
            lora_alpha=adapter.alpha,
            lora_dropout=backbone.dropout,
            target_modules=adapter.targets if isinstance(adapter.targets, str) else list(adapter.targets),
            modules_to_save=list(head),
        )
        with quiet_loading():
            model = get_peft_model(model, config)
    card = Card(
        labels=tuple(labels),
        backbone=backbone,
        base_digest=digest(backbone),
        adapter=adapter,
        encoding=dict(encoding),
        precision=precision,
    )
    return _finished(card, model, tokenizer, head)


def load(folder: Path, precision: Precision | None = None) -> Classifier:
    """A saved classifier, for scoring or to train on. Every weight must be found, none left over.

    Raises Failure for a damaged folder, a base that is missing or has changed.
    """
    try:
        card = Card.model_validate(json.loads((folder / CARD).read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise _damaged(folder, f"{CARD} cannot be read ({type(error).__name__})") from error
    if precision is not None:
        card = card.model_copy(update={"precision": precision})
    if isinstance(card.adapter, Full):
        from transformers import AutoTokenizer

        saved = Backbone(base=str(folder.resolve()), dropout=card.backbone.dropout)
        model, head = load_classifier(saved, card.labels)
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
        return _finished(card, model, tokenizer, head)
    if (now := digest(card.backbone)) != card.base_digest:
        raise Failure(
            Problem(
                str(folder),
                f"was trained on {card.backbone.base} with {card.base_digest[:23]}, found {now[:23]}",
                "the same base weights, tokenizer and configuration",
                "restore the base model's files, or train again",
            )
        )
    model, head = load_classifier(card.backbone, card.labels)
    tokenizer = load_tokenizer(card.backbone, int(card.encoding["max_length"]["tokens"]))
    return _finished(card, _with_adapter(model, folder), tokenizer, head)


def _with_adapter(model: nn.Module, folder: Path) -> nn.Module:
    from peft import PeftModel, get_peft_model_state_dict
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    weights = folder / "adapter_model.safetensors"
    try:
        found = load_file(weights)
        with quiet_loading():
            model = PeftModel.from_pretrained(model, str(folder), is_trainable=True)
    except (OSError, SafetensorError, ValueError, KeyError, RuntimeError) as error:
        raise _damaged(folder, f"{weights.name} cannot be read ({type(error).__name__})") from error
    loaded = get_peft_model_state_dict(model)
    wrong = [
        k
        for k in loaded.keys() | found.keys()
        if k not in loaded or k not in found or not loaded[k].equal(found[k])
    ]
    if wrong:
        raise _damaged(folder, f"{len(wrong)} weights did not load as saved, such as {min(wrong)}")
    return model


def _finished(card: Card, model: nn.Module, tokenizer: Any, head: tuple[str, ...]) -> Classifier:
    for name in head:
        # the attribute path, not the module found by type: peft wraps the head and swaps what is inside
        parent = model.get_base_model() if isinstance(card.adapter, Lora) else model  # type: ignore[operator]
        head_in_float32(getattr(parent, name))
    classifier = Classifier(card, model, tokenizer, head)
    classifier.attend(SCORING_ATTENTION)
    return classifier


def _damaged(folder: Path, what: str) -> Failure:
    return Failure(
        Problem(str(folder), what, "a whole checkpoint", "use another checkpoint of the run, or resume it")
    )
