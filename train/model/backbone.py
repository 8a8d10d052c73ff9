"""The pretrained encoder: where it comes from and how it becomes a classifier."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from train.errors import InputError, Problem
from train.files import canonical_json, in_package, sha256_bytes, sha256_file
from train.spec import Spec

if TYPE_CHECKING:
    from torch import nn


class Backbone(Spec):
    base: str
    """`package:NAME/FOLDER`, a folder (begins with `.`, `/` or `~`), or a hub id (needs `revision`)."""
    revision: str | None = Field(default=None, pattern="^[0-9a-f]{40}$")
    """Commit of a hub id, 40 hex digits; a branch moves, a commit does not."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Hidden, attention and adapter dropout alike."""


def local_folder(backbone: Backbone) -> Path | None:
    """The folder of a `package:` or folder base, whether or not it exists; None for a hub id.

    A package is located without being imported.
    """
    if backbone.base.startswith("package:"):
        return in_package(backbone.base)
    if backbone.base.startswith((".", "/", "~")):
        return Path(backbone.base).expanduser()
    return None


def digest(backbone: Backbone) -> str:
    """What exactly the base is: the hub commit, or a hash of the weights, configuration and tokenizer."""
    folder = local_folder(backbone)
    if folder is None:
        return f"hub:{backbone.base}@{backbone.revision}"
    files = sorted(p for p in folder.glob("*") if p.suffix == ".safetensors" or p.name in _DECISIVE)
    if not any(file.suffix == ".safetensors" for file in files):
        raise InputError(
            Problem(
                str(folder),
                "holds no .safetensors weights",
                "a model folder as save_pretrained writes it",
                "save the model with safe_serialization; pickled .bin weights are refused",
            )
        )
    return "sha256:" + sha256_bytes(canonical_json([[f.name, sha256_file(f)] for f in files]).encode())


_DECISIVE = ("config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt", "special_tokens_map.json")


def load_tokenizer(backbone: Backbone, tokens: int) -> Any:
    """The base's fast tokenizer; it carries the recipe's maximum length when it is saved."""
    from transformers import AutoTokenizer

    where, revision = _address(backbone)
    return AutoTokenizer.from_pretrained(
        where, revision=revision, trust_remote_code=False, model_max_length=tokens
    )


def load_classifier(backbone: Backbone, labels: Sequence[str]) -> tuple[nn.Module, tuple[str, ...]]:
    """The base with a new float32 head for `labels`, and the names of the modules that form the head.

    The head is what the base lacks: the top-level modules whose weights were not in its files. Raises
    InputError where weights inside the encoder are missing too, since they would stay random.
    """
    import torch
    from transformers import AutoConfig, AutoModelForSequenceClassification

    where, revision = _address(backbone)
    config = AutoConfig.from_pretrained(where, revision=revision, trust_remote_code=False)
    for key, value in list(vars(config).items()):
        if "dropout" in key and (value is None or isinstance(value, float)):
            setattr(config, key, backbone.dropout)
    config.num_labels = len(labels)
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: index for index, label in enumerate(labels)}
    config.problem_type = "multi_label_classification"
    with quiet_loading():
        model, loading = AutoModelForSequenceClassification.from_pretrained(
            where,
            revision=revision,
            config=config,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    mismatched = {key if isinstance(key, str) else key[0] for key in loading["mismatched_keys"]}
    fresh = {key.split(".")[0] for key in {*loading["missing_keys"], *mismatched}}
    if model.base_model_prefix in fresh:
        inside = sorted(k for k in loading["missing_keys"] if k.startswith(model.base_model_prefix + "."))
        raise InputError(
            Problem(
                f"model.base: {backbone.base}",
                f"lacks {len(inside)} weights of its own encoder, such as {inside[0]}",
                "a complete encoder; missing weights would stay random",
                "take the original model, not a part of it",
            )
        )
    return model, tuple(sorted(fresh)) or _existing_head(model)


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Transformers reports every missing weight on the terminal; we judge its loading info ourselves.

    peft, too, warns of what is transformers' business (is_gradient_checkpointing, peft 0.21).
    """
    from transformers.utils import logging

    before = logging.get_verbosity()
    bars = logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()


def _existing_head(model: nn.Module) -> tuple[str, ...]:
    """A base that is a classifier with as many labels already: its head is all beside the encoder."""
    prefix: str = model.base_model_prefix  # type: ignore[assignment]
    return tuple(
        sorted(n for n, m in model.named_children() if n != prefix and any(True for _ in m.parameters()))
    )


def _address(backbone: Backbone) -> tuple[str, str | None]:
    folder = local_folder(backbone)
    return (backbone.base, backbone.revision) if folder is None else (str(folder), None)
