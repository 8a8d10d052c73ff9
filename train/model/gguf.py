"""GGUF weights as a model folder: converted once, kept in the cache under the hash of the file."""

from __future__ import annotations

from pathlib import Path

from train.errors import InputError, Problem
from train.files import cache_folder, sha256_file, whole_folder


def is_gguf(path: Path) -> bool:
    return path.suffix == ".gguf"


def digest(file: Path) -> str:
    """Hash of the file: it holds weights, configuration and tokenizer."""
    return "sha256:" + sha256_file(file)


def as_folder(file: Path) -> Path:
    """The folder of safetensors, configuration and tokenizer that `file` was converted to, now or before.

    The weights are float32: what the quantized numbers stand for, without a second rounding. Raises
    InputError for a file that transformers cannot read.
    """
    folder = cache_folder() / f"gguf-{sha256_file(file)}"
    if not folder.is_dir():
        try:
            with whole_folder(folder) as part:
                _convert(file, part)
        except OSError:
            if not folder.is_dir():  # if it is, another process was faster
                raise
    return folder


def _convert(file: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModel, AutoTokenizer, GgufConfig

    try:
        model, loading = AutoModel.from_pretrained(
            file.parent,
            gguf_file=file.name,
            quantization_config=GgufConfig(dequantize=True),
            dtype=torch.float32,
            output_loading_info=True,
        )
        tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    except (ImportError, ValueError, KeyError, IndexError, RuntimeError) as error:
        said = str(error).strip().splitlines()
        raise _unreadable(file, f"cannot be read: {said[0] if said else type(error).__name__}") from error
    if missing := sorted(loading["missing_keys"]):
        raise _unreadable(file, f"lacks {len(missing)} weights, such as {missing[0]}")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _unreadable(file: Path, what: str) -> InputError:
    expected = "a whole GGUF file of an architecture that transformers knows, and the package gguf"
    return InputError(
        Problem(str(file), what, expected, "pip install 'teensafe[gguf]', or take the original model")
    )
