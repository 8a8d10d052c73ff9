"""A classifier: backbone, adapter, head and the encoding it was trained with, as one thing on disk."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from train.errors import Failure, InputError, Problem
from train.files import write_json
from train.model.adapter import Adapter, Lora, Qlora
from train.model.backbone import (
    Backbone,
    digest,
    load_classifier,
    load_tokenizer,
    local_path,
    placeless,
    quiet_loading,
    recompute_activations,
)
from train.model.first import first_alone
from train.model.folding import folded
from train.model.lowrank import lean
from train.model.precision import SCORING_ATTENTION, Precision, autocast, head_in_float32, native_bf16
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

    @property
    def labels(self) -> tuple[str, ...]:
        return self.card.labels

    @property
    def encoding(self) -> dict[str, Any]:
        """As `train.data.encoding.Encoding` reads it."""
        return self.card.encoding

    def parts(self) -> tuple[list[tuple[str, nn.Parameter]], list[tuple[str, nn.Parameter]]]:
        """The trained parameters by name: (body, head)."""
        trained = [(name, p) for name, p in self.model.named_parameters() if p.requires_grad]
        in_head = [any(f".{part}." in f".{name}" for part in self.head) for name, _ in trained]
        body = [pair for pair, head in zip(trained, in_head, strict=True) if not head]
        return body, [pair for pair, head in zip(trained, in_head, strict=True) if head]

    @property
    def plain(self) -> Any:
        """The transformers model, without peft's wrapping."""
        model: Any = self.model
        wrapped = hasattr(model, "get_base_model")  # no longer, once its adapter is merged
        return model.get_base_model() if wrapped else model

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    def computing_in(self, precision: Precision) -> Classifier:
        """The same model, not a copy, that scores in another number format."""
        return replace(self, card=self.card.model_copy(update={"precision": precision}))

    def faster(self) -> Classifier | None:
        """The same model in a number format that is faster here and rounds more; None where there is none."""
        if self.card.precision == "bf16" or not native_bf16(self.device):
            return None
        return self.computing_in("bf16")

    @property
    def head_has_bias(self) -> bool:
        """Does the head add a number to each label's score? A decoder's `score` does not."""
        parts = (getattr(self.plain, name) for name in self.head)
        biases = [p for part in parts for name, p in part.named_parameters() if name.endswith("bias")]
        return any(p.shape == (len(self.card.labels),) for p in biases)

    def attend(self, kernel: str) -> None:
        """Choose the attention kernel: "eager" or "sdpa"; a family without SDPA (DeBERTa) stays eager."""
        self.plain.set_attn_implementation(kernel if self.plain._supports_sdpa else "eager")

    def recompute_activations(self) -> None:
        """In training, keep a layer's input only and compute the rest again for the gradient.

        Raises InputError where the family cannot.
        """
        if not self.plain.supports_gradient_checkpointing:
            what = f"true, but {type(self.plain).__name__} cannot recompute its activations"
            raise InputError(Problem("train.gradient_checkpointing", what, "false for this model"))
        recompute_activations(self.plain)

    def folded(self) -> AbstractContextManager[None]:
        """While it lasts, `logits` is faster, and rounds differently, by no more than the precision does.

        Dropout is off from here on, until the model is told to train.
        """
        self.model.eval()
        head = [getattr(self.plain, name) for name in self.head]
        return _both(folded(self.model, head, self.card.precision), first_alone(self.plain))

    def lean(self) -> AbstractContextManager[None]:
        """While it lasts, training takes fewer passes over the activations, and rounds as often or less."""
        return _both(lean(self.model, self.card.precision), first_alone(self.plain))

    def logits(self, inputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Scores before the sigmoid, float32 [B, L], without gradient; inputs int64 [B, T]."""
        import torch

        with torch.inference_mode(), autocast(self.device, self.card.precision):
            out = self.model(**{key: value.to(self.device) for key, value in inputs.items()})
        return out.logits.float()

    def save(self, folder: Path) -> None:
        """Adapter and head, or the whole model, as safetensors; tokenizer; the card."""
        with quiet_loading():
            self.model.save_pretrained(folder)  # type: ignore[operator]
        (folder / "README.md").unlink(missing_ok=True)  # peft's empty template of a model card
        self.tokenizer.save_pretrained(folder)
        write_json(folder / CARD, self.card.model_dump(mode="json"))


@contextmanager
def _both(one: AbstractContextManager[None], other: AbstractContextManager[None]) -> Iterator[None]:
    with one, other:
        yield


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

    card = Card(
        labels=tuple(labels),
        backbone=backbone,
        base_digest=digest(backbone),
        adapter=adapter,
        encoding=dict(encoding),
        precision=precision,
    )
    torch.manual_seed(seed)
    model, head = _on_base(card, tokenizer)
    with quiet_loading():
        model = adapter.attach(model, head, backbone.dropout)
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
    tokens = int(card.encoding["max_length"]["tokens"])
    if not _beside_the_base(card):
        saved = Backbone(base=str(folder.resolve()), dropout=card.backbone.dropout)
        tokenizer = load_tokenizer(saved, tokens)
        model, head = load_classifier(saved, card.labels, tokenizer.pad_token_id)
        model = card.adapter.attach(model, head, card.backbone.dropout)
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
    tokenizer = load_tokenizer(card.backbone, tokens)
    model, head = _on_base(card, tokenizer)
    return _finished(card, _with_adapter(model, folder), tokenizer, head)


def without_places(folder: Path) -> dict[str, Any]:
    """What the files of a saved classifier that name its base say to another machine: name -> JSON.

    A base that is a folder is `./NAME`: it loads where one of that name, with the same digest, is in the
    working directory.
    """
    card = json.loads((folder / CARD).read_text(encoding="utf-8"))
    base = card["backbone"]["base"]
    said: dict[str, Any] = {CARD: card | {"backbone": card["backbone"] | {"base": placeless(base)}}}
    adapter = folder / "adapter_config.json"  # peft's: its name of a base is that folder, or a hub id
    if adapter.exists():
        hub = base if local_path(Backbone(base=base)) is None else None
        said[adapter.name] = json.loads(adapter.read_text(encoding="utf-8")) | {
            "base_model_name_or_path": hub
        }
    return said


def _beside_the_base(card: Card) -> bool:
    """Is what was trained saved without the base's weights, or the whole model?"""
    return isinstance(card.adapter, Lora | Qlora)


def _on_base(card: Card, tokenizer: Any) -> tuple[nn.Module, tuple[str, ...]]:
    quantize = card.precision if isinstance(card.adapter, Qlora) else None
    return load_classifier(card.backbone, card.labels, tokenizer.pad_token_id, quantize)


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
        if k not in loaded or k not in found or not loaded[k].cpu().equal(found[k])
    ]
    if wrong:
        raise _damaged(folder, f"{len(wrong)} weights did not load as saved, such as {min(wrong)}")
    return model


def _finished(card: Card, model: nn.Module, tokenizer: Any, head: tuple[str, ...]) -> Classifier:
    classifier = Classifier(card, model, tokenizer, head)
    for name in head:
        # the attribute path, not the module found by type: peft wraps the head and swaps what is inside
        head_in_float32(getattr(classifier.plain, name))
    classifier.attend(SCORING_ATTENTION)
    return classifier


def _damaged(folder: Path, what: str) -> Failure:
    return Failure(
        Problem(str(folder), what, "a whole checkpoint", "use another checkpoint of the run, or resume it")
    )
