"""The families of models that tests go through, each as a tiny model with random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModel

from tests.conftest import byte_pairs

ENCODER_MARKS = {"cls_token": "<s>", "pad_token": "<pad>", "sep_token": "</s>", "unk_token": "<unk>"}
DECODER_MARKS = {"eos_token": "<|endoftext|>"}
SIZE = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 64}
GROUPED = {**SIZE, "num_key_value_heads": 2, "bos_token_id": None, "eos_token_id": 0}
ENCODERS: dict[str, dict[str, Any]] = {
    "bert": {**SIZE, "pad_token_id": 1},
    "roberta": {**SIZE, "max_position_embeddings": 40, "pad_token_id": 1},
    "xlm-roberta": {**SIZE, "max_position_embeddings": 40, "pad_token_id": 1},
    "modernbert": {
        **SIZE,
        "local_attention": 8,
        "global_attn_every_n_layers": 2,
        "pad_token_id": 1,
        "cls_token_id": 0,
        "sep_token_id": 2,
    },
    "deberta-v2": {
        **SIZE,
        "relative_attention": True,
        "position_buckets": 8,
        "pos_att_type": ["p2c", "c2p"],
        "norm_rel_ebd": "layer_norm",
        "share_att_key": True,
        "position_biased_input": False,
        "type_vocab_size": 0,
        "pad_token_id": 1,
        "pooler_hidden_size": 32,
    },
}
DECODERS: dict[str, dict[str, Any]] = {
    "llama": GROUPED,  # SmolLM2 is one
    "qwen2": GROUPED,
    "qwen3": {**GROUPED, "head_dim": 8},
}
ALL = [*ENCODERS, *DECODERS]


def tiny(family: str, folder: Path) -> Path:
    """Model and tokenizer of a family, written to a folder."""
    tokenizer = byte_pairs(**(ENCODER_MARKS if family in ENCODERS else {"eos_token": "<|endoftext|>"}))
    given = {**ENCODERS, **DECODERS}[family]
    config = AutoConfig.for_model(family, vocab_size=len(tokenizer), **given)
    torch.manual_seed(0)
    AutoModel.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
