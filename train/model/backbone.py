"""The pretrained model, encoder or decoder: where it comes from and how it becomes a classifier."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from train.errors import InputError, Problem
from train.files import canonical_json, in_package, sha256_bytes, sha256_file
from train.model import gguf
from train.model.precision import Precision
from train.spec import Spec

if TYPE_CHECKING:
    from torch import nn


class Backbone(Spec):
    base: str
    """`package:NAME/FOLDER`, a folder (begins with `.`, `/` or `~`), a .gguf file in place of either, or a
    hub id (needs `revision`)."""
    revision: str | None = Field(default=None, pattern="^[0-9a-f]{40}$")
    """Commit of a hub id, 40 hex digits; a branch moves, a commit does not."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Hidden, attention and adapter dropout alike."""


def local_path(backbone: Backbone) -> Path | None:
    """The folder or GGUF file of a base on this machine, whether or not it exists; None for a hub id.

    A package is located without being imported.
    """
    if backbone.base.startswith("package:"):
        return in_package(backbone.base)
    if is_place(backbone.base):
        return Path(backbone.base).expanduser()
    return None


def is_place(base: str) -> bool:
    """Does a base name a folder or a file by where it lies?"""
    return base.startswith((".", "/", "~"))


def placeless(base: str) -> str:
    """A base as another machine is told of it: `./NAME` of a folder or file, never where that lies here."""
    return f"./{Path(base).name}" if is_place(base) else base


def digest(backbone: Backbone) -> str:
    """What exactly the base is: the hub commit, or a hash of the weights, configuration and tokenizer."""
    path = local_path(backbone)
    if path is None:
        return f"hub:{backbone.base}@{backbone.revision}"
    if gguf.is_gguf(path):
        return gguf.digest(path)
    files = sorted(p for p in path.glob("*") if p.suffix == ".safetensors" or p.name in _DECISIVE)
    if not any(file.suffix == ".safetensors" for file in files):
        raise InputError(
            Problem(
                str(path),
                "holds no .safetensors weights",
                "a model folder as save_pretrained writes it",
                "save the model with safe_serialization; pickled .bin weights are refused",
            )
        )
    return "sha256:" + sha256_bytes(canonical_json([[f.name, sha256_file(f)] for f in files]).encode())


_DECISIVE = (
    *(
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "added_tokens.json",
    ),
    *("vocab.txt", "vocab.json", "merges.txt", "tokenizer.model", "sentencepiece.bpe.model", "spm.model"),
)


def load_tokenizer(backbone: Backbone, tokens: int) -> Any:
    """The base's fast tokenizer; it carries the recipe's maximum length when it is saved.

    It pads, and at the right, so that every text begins at position 0. Raises InputError where no token of
    the vocabulary can pad.
    """
    from transformers import AutoConfig, AutoTokenizer

    where, revision = _address(backbone)
    tokenizer = AutoTokenizer.from_pretrained(
        where, revision=revision, trust_remote_code=False, model_max_length=tokens, padding_side="right"
    )
    config = AutoConfig.from_pretrained(where, revision=revision, trust_remote_code=False)
    padding = _padding(tokenizer, config.get_text_config())
    if padding is None:
        raise InputError(
            Problem(
                f"model.base: {backbone.base}",
                "its tokenizer has no token to pad with",
                "a pad, eos or unk token within the model's vocabulary",
                "name one in its tokenizer_config.json; a new one would need a new embedding",
            )
        )
    if tokenizer.pad_token_id != padding:
        tokenizer.pad_token = tokenizer.convert_ids_to_tokens(padding)
    return tokenizer


def _padding(tokenizer: Any, config: Any) -> int | None:
    """The token to pad with. What the model states comes first: some encoders count positions by it."""
    known = min(config.vocab_size, len(tokenizer))
    wanted = (config.pad_token_id, tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id)
    return next((token for token in wanted if isinstance(token, int) and 0 <= token < known), None)


def load_classifier(
    backbone: Backbone, labels: Sequence[str], padding: int, quantize: Precision | None = None
) -> tuple[nn.Module, tuple[str, ...]]:
    """The base with a new float32 head for `labels`, and the names of the modules that form the head.

    The head is all that stands beside the base model, whatever the family calls it. padding: the token that
    batches are padded with, by which a decoder finds a text's last token. quantize: hold the base in 4 bits
    (NF4) and compute in this format. Raises InputError where weights inside the base are missing, since they
    would stay random.
    """
    import torch
    from transformers import AutoModelForSequenceClassification

    where, revision = _address(backbone)
    config = _configured(backbone, labels, padding)
    options = {} if quantize is None else {"quantization_config": _nf4(config, quantize)}
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
            **options,
        )
    mismatched = {key if isinstance(key, str) else key[0] for key in loading["mismatched_keys"]}
    base = f"{model.base_model_prefix}."
    if inside := sorted(key for key in {*loading["missing_keys"], *mismatched} if key.startswith(base)):
        raise InputError(
            Problem(
                f"model.base: {backbone.base}",
                f"lacks {len(inside)} weights of its own, such as {inside[0]}",
                "a complete model; missing weights would stay random",
                "take the original model, not a part of it",
            )
        )
    return model, _head(model)


def outline(backbone: Backbone, labels: Sequence[str], padding: int) -> tuple[Any, tuple[str, ...]]:
    """As `load_classifier`, without weights: on torch's meta device, where tensors have shapes only."""
    return _outline(_configured(backbone, labels, padding))


def _outline(config: Any) -> tuple[Any, tuple[str, ...]]:
    import torch
    from transformers import AutoModelForSequenceClassification

    with torch.device("meta"):
        model = AutoModelForSequenceClassification.from_config(config)
    return model, _head(model)


def _configured(backbone: Backbone, labels: Sequence[str], padding: int) -> Any:
    """The base's configuration as a classifier of `labels` has it."""
    from transformers import AutoConfig

    where, revision = _address(backbone)
    config = AutoConfig.from_pretrained(where, revision=revision, trust_remote_code=False)
    for key, value in list(vars(config).items()):
        if "dropout" in key and not isinstance(value, bool) and isinstance(value, int | float | None):
            setattr(config, key, backbone.dropout)
    config.num_labels = len(labels)
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: index for index, label in enumerate(labels)}
    config.problem_type = "multi_label_classification"
    config.get_text_config().pad_token_id = padding
    if hasattr(config, "use_cache"):
        config.use_cache = False  # a decoder keeps keys and values for the next token; here none comes
    return config


def _head(model: nn.Module) -> tuple[str, ...]:
    prefix = str(model.base_model_prefix)
    with_weights = (n for n, m in model.named_children() if n != prefix and any(True for _ in m.parameters()))
    return tuple(sorted(with_weights))


def recompute_activations(model: Any) -> None:
    """Have a transformers model keep a layer's input only and compute the rest again for the gradient."""
    model.activation_checkpointing_enable({"use_reentrant": False})
    # only the reentrant kind needs inputs with a gradient; they would have frozen layers recomputed
    model.disable_input_require_grads()


def _nf4(config: Any, precision: Precision) -> Any:
    """4-bit NormalFloat with quantized constants for all but the head."""
    import torch
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16 if precision == "bf16" else torch.float32,
        llm_int8_skip_modules=list(_outline(config)[1]),
    )


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Transformers reports every missing weight on the terminal; we judge its loading info ourselves.

    It also draws a bar for every load and every save.

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


def _address(backbone: Backbone) -> tuple[str, str | None]:
    """What from_pretrained takes: a folder, or a hub id with its revision."""
    path = local_path(backbone)
    if path is None:
        return backbone.base, backbone.revision
    return str(gguf.as_folder(path) if gguf.is_gguf(path) else path), None
