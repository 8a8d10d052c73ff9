"""A classifier survives save, merge and reload, and refuses what is not whole."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification

from train.data.encoding import Encoder, Encoding
from train.errors import Failure, InputError
from train.model.adapter import Full, Lora
from train.model.backbone import Backbone, digest, load_tokenizer
from train.model.classifier import Classifier, create, load

LABELS = ("hate", "harassment", "grooming")
TEXTS = ["you are kind", "", "🙂🙂🙂", "a " * 400, "안녕하세요 여러분", "short"]


def make(base: Path, adapter: Lora | Full, dropout: float = 0.0) -> Classifier:
    backbone = Backbone(base=str(base), dropout=dropout)
    encoding = {"max_length": {"tokens": 32, "overflow": "truncate"}}
    classifier = create(backbone, adapter, encoding, LABELS, load_tokenizer(backbone, 32), "fp32", seed=3)
    torch.manual_seed(5)  # as if trained: LoRA's B matrices start at zero and would hide a lost adapter
    for _, parameter in [*classifier.parts()[0], *classifier.parts()[1]]:
        torch.nn.init.normal_(parameter, std=0.1)
    return classifier


def logits(classifier: Classifier, texts: list[str] = TEXTS) -> np.ndarray:
    classifier.model.eval()
    encoder = Encoder(classifier.tokenizer, Encoding.model_validate(classifier.card.encoding))
    return classifier.logits(encoder.pad(encoder(texts))).numpy()


@pytest.mark.parametrize("adapter", [Lora(r=4, alpha=8), Full()], ids=["lora", "full"])
def test_saved_and_loaded_gives_the_same_logits(
    tiny_base: Path, tmp_path: Path, adapter: Lora | Full
) -> None:
    classifier = make(tiny_base, adapter)
    classifier.save(tmp_path)
    loaded = load(tmp_path)
    assert loaded.card == classifier.card
    assert np.array_equal(logits(loaded), logits(classifier))
    assert not list(tmp_path.glob("*.bin")) + list(tmp_path.glob("*.pt")) + list(tmp_path.glob("*.pkl"))


@pytest.mark.parametrize("adapter", [Lora(r=4, alpha=8), Full()], ids=["lora", "full"])
def test_head_is_trained_and_stays_float32(tiny_base: Path, tmp_path: Path, adapter: Lora | Full) -> None:
    classifier = make(tiny_base, adapter)
    body, head = classifier.parts()
    assert sorted(name.split(".")[-1] for name, _ in head) == ["bias", "weight"]
    assert all("classifier" in name for name, _ in head)
    assert all("lora_" in name for name, _ in body) == isinstance(adapter, Lora)
    classifier.save(tmp_path)
    (weights,) = tmp_path.glob("*model.safetensors")
    assert {tensor.dtype for key, tensor in load_file(weights).items() if "classifier" in key} == {
        torch.float32
    }


def test_head_computes_in_float32_under_bf16_autocast(tiny_base: Path) -> None:
    classifier = make(tiny_base, Lora(r=4, alpha=8))
    seen: list[torch.dtype] = []
    (head,) = (
        m for n, m in classifier.model.named_modules() if n.endswith("classifier.modules_to_save.default")
    )
    head.register_forward_hook(lambda module, given, out: seen.append(out.dtype))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        classifier.model(input_ids=torch.ones(1, 4, dtype=torch.long))
    assert seen == [torch.float32]


def test_merged_and_reloaded_by_plain_transformers_keeps_head_and_labels(
    tiny_base: Path, tmp_path: Path
) -> None:
    classifier = make(tiny_base, Lora(r=4, alpha=8))
    before = logits(classifier)
    merged = classifier.model.merge_and_unload(safe_merge=True)
    merged.save_pretrained(tmp_path)
    plain, loading = AutoModelForSequenceClassification.from_pretrained(tmp_path, output_loading_info=True)
    assert not loading["missing_keys"]
    assert not loading["unexpected_keys"]
    assert tuple(plain.config.id2label[i] for i in range(3)) == LABELS
    assert plain.config.problem_type == "multi_label_classification"
    encoder = Encoder(classifier.tokenizer, Encoding.model_validate(classifier.card.encoding))
    with torch.inference_mode():
        after = plain.eval()(**encoder.pad(encoder(TEXTS))).logits.numpy()
    assert np.abs(after - before).max() < 1e-5


def test_padding_and_batch_composition_do_not_change_a_score(tiny_base: Path) -> None:
    classifier = make(tiny_base, Lora(r=4, alpha=8))
    together = logits(classifier)
    alone = np.concatenate([logits(classifier, [text]) for text in TEXTS])
    assert np.abs(together - alone).max() < 1e-5
    classifier.attend("eager")
    assert np.abs(logits(classifier) - together).max() < 1e-5


def test_dropout_is_one_field(tiny_base: Path) -> None:
    for rate in (0.0, 0.25):
        model = make(tiny_base, Lora(r=4, alpha=8), rate).model
        assert {m.p for m in model.modules() if isinstance(m, torch.nn.Dropout)} <= {rate}
        model.train()
        ids = torch.arange(5, 15)[None]
        varies = not torch.equal(model(input_ids=ids).logits, model(input_ids=ids).logits)
        assert varies == (rate > 0)


def test_the_tokenizer_carries_the_maximum_length(tiny_base: Path, tmp_path: Path) -> None:
    classifier = make(tiny_base, Full())
    classifier.save(tmp_path)
    assert json.loads((tmp_path / "tokenizer_config.json").read_text())["model_max_length"] == 32


@pytest.mark.parametrize("damage", ["truncated", "tensor missing", "card"])
def test_a_damaged_checkpoint_is_refused(tiny_base: Path, tmp_path: Path, damage: str) -> None:
    make(tiny_base, Lora(r=4, alpha=8)).save(tmp_path)
    weights = tmp_path / "adapter_model.safetensors"
    match damage:
        case "truncated":
            weights.write_bytes(weights.read_bytes()[:-100])
        case "tensor missing":
            tensors = load_file(weights)
            tensors.pop(next(key for key in tensors if "classifier" in key))
            save_file(tensors, weights)
        case "card":
            (tmp_path / "classifier.json").write_text("{")
    with pytest.raises(Failure) as error:
        load(tmp_path)
    assert str(tmp_path) in str(error.value)


def test_a_changed_base_is_refused(tiny_base: Path, tmp_path: Path) -> None:
    import shutil

    base = tmp_path / "base"
    shutil.copytree(tiny_base, base)
    make(base, Lora(r=4, alpha=8)).save(tmp_path / "saved")
    tensors = load_file(base / "model.safetensors")
    tensors["embeddings.word_embeddings.weight"] += 0.01
    save_file(tensors, base / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(Failure, match="was trained on"):
        load(tmp_path / "saved")


def test_a_base_that_lacks_encoder_weights_is_refused(tiny_base: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(tiny_base, tmp_path / "base")
    weights = tmp_path / "base" / "model.safetensors"
    tensors = {key: value for key, value in load_file(weights).items() if "layer.1" not in key}
    save_file(tensors, weights, metadata={"format": "pt"})
    with pytest.raises(InputError, match="lacks 16 weights of its own encoder"):
        make(tmp_path / "base", Full())


def test_a_base_without_safetensors_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(InputError, match=r"no \.safetensors weights"):
        digest(Backbone(base=str(tmp_path)))
