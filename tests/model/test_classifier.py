"""A classifier survives save, merge and reload, and refuses what is not whole."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification

from tests.model.classifiers import LABELS, TEXTS, encoder_of, logits, make
from train.errors import Failure, InputError
from train.model.adapter import Full, Head, Lora, Qlora, Top, require_gpu
from train.model.backbone import Backbone, digest
from train.model.classifier import load

ADAPTERS: list[Any] = [
    Full(),
    Head(),
    Top(layers=1),
    Lora(r=4, alpha=8),
    Lora(r=4, alpha=8, rslora=True, targets=("query", "value")),
    Lora(r=4, alpha=8, dora=True),
]


@pytest.mark.parametrize("adapter", ADAPTERS, ids=str)
def test_saved_and_loaded_gives_the_same_logits(
    tiny_base: Path, tmp_path: Path, adapter: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    classifier = make(tiny_base, adapter)
    classifier.save(tmp_path)
    loaded = load(tmp_path)
    assert capfd.readouterr() == ("", "")  # no bars on the terminal at every checkpoint
    assert loaded.card == classifier.card
    assert np.array_equal(logits(loaded), logits(classifier))
    for made, found in zip(classifier.parts(), loaded.parts(), strict=True):
        assert [name for name, _ in found] == [name for name, _ in made]
    assert not list(tmp_path.glob("*.bin")) + list(tmp_path.glob("*.pt")) + list(tmp_path.glob("*.pkl"))


class Elsewhere(torch.Tensor):
    """Like one on a GPU: nothing is done with it and a tensor of the processor, until it is brought there."""

    @classmethod
    def __torch_function__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.Tensor.cpu:
            with torch._C.DisableTorchFunctionSubclass():
                return args[0].as_subclass(torch.Tensor)
        if any(type(given) is not cls for given in args if isinstance(given, torch.Tensor)):
            raise RuntimeError("Expected all tensors to be on the same device")
        return super().__torch_function__(func, types, args, kwargs)


def test_weights_that_load_onto_a_gpu_are_held_against_the_file(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A base in 4 bits loads nowhere else, and peft puts the adapter beside it."""
    import peft

    make(tiny_base, Lora(r=4, alpha=8)).save(tmp_path)
    own = peft.get_peft_model_state_dict

    def there(model: Any) -> dict[str, Any]:
        return {name: weight.as_subclass(Elsewhere) for name, weight in own(model).items()}

    monkeypatch.setattr(peft, "get_peft_model_state_dict", there)
    load(tmp_path)
    monkeypatch.setattr(
        peft, "get_peft_model_state_dict", lambda model: {k: v + 1 for k, v in there(model).items()}
    )
    with pytest.raises(Failure, match="did not load as saved"):
        load(tmp_path)


@pytest.mark.parametrize("adapter", ADAPTERS, ids=str)
def test_head_is_trained_and_stays_float32(tiny_base: Path, tmp_path: Path, adapter: Any) -> None:
    classifier = make(tiny_base, adapter)
    body, head = classifier.parts()
    assert sorted(name.split(".")[-1] for name, _ in head) == ["bias", "weight"]
    assert all("classifier" in name for name, _ in head)
    assert (len(body) > 0) == (adapter.kind != "head")
    assert all("lora_" in name for name, _ in body) == (adapter.kind in ("lora", "head"))
    classifier.save(tmp_path)
    (weights,) = tmp_path.glob("*model.safetensors")
    assert {tensor.dtype for key, tensor in load_file(weights).items() if "classifier" in key} == {
        torch.float32
    }


def test_rslora_and_dora_are_what_their_papers_say(tiny_base: Path) -> None:
    """The layer's output, computed once more from the papers' formulas."""
    x = torch.randn(3, 32)
    for rslora, dora in ((False, False), (True, False), (False, True)):
        classifier = make(tiny_base, Lora(r=4, alpha=8, rslora=rslora, dora=dora, targets=("query",)))
        layer = classifier.plain.bert.encoder.layer[0].attention.self.query
        weight, bias = layer.base_layer.weight, layer.base_layer.bias
        low_rank = layer.lora_B["default"].weight @ layer.lora_A["default"].weight
        full = weight + 8 / (2 if rslora else 4) * low_rank
        if dora:
            length = layer.lora_magnitude_vector["default"].weight
            full = length[:, None] * full / full.norm(dim=1, keepdim=True)
        torch.testing.assert_close(layer(x), x @ full.T + bias)


@pytest.mark.parametrize("targets", [("quary",), ("classifier",), ("query", "LayerNorm")], ids=str)
def test_a_target_that_is_no_linear_layer_outside_the_head_is_refused(
    tiny_base: Path, targets: tuple[str, ...]
) -> None:
    with pytest.raises(InputError, match=f"{targets[-1]}: no linear layer") as error:
        make(tiny_base, Lora(targets=targets))
    assert error.value.problems[0].expected == "all-linear, or some of dense, key, query, value"


def test_more_layers_than_there_are_is_refused(tiny_base: Path) -> None:
    with pytest.raises(InputError, match=r"adapter\.layers: 3, but the model has 2"):
        make(tiny_base, Top(layers=3))


def test_qlora_without_a_gpu_is_one_clear_error() -> None:
    with pytest.raises(InputError, match="'qlora', but this machine has no CUDA GPU"):
        require_gpu(Qlora())
    require_gpu(Lora())


@pytest.mark.parametrize("dora", [False, True])
@pytest.mark.parametrize("base", ["tiny_base", "tiny_decoder"])
def test_qlora_quantizes_all_but_the_head_and_reloads(
    request: pytest.FixtureRequest, tmp_path: Path, base: str, dora: bool
) -> None:
    """bitsandbytes computes on CPUs too, slowly: enough to prove what is quantized and what is saved."""
    bitsandbytes = pytest.importorskip("bitsandbytes")
    classifier = make(request.getfixturevalue(base), Qlora(r=2, alpha=4, dora=dora))
    packed = [n for n, m in classifier.model.named_modules() if isinstance(m, bitsandbytes.nn.Linear4bit)]
    assert packed
    assert not [name for name in packed if {*name.split(".")} & {*classifier.head}]
    body, head = classifier.parts()
    assert {p.dtype for _, p in [*body, *head]} == {torch.float32}
    classifier.save(tmp_path)
    assert np.array_equal(logits(load(tmp_path)), logits(classifier))
    alone = logits(classifier)
    with classifier.folded():
        assert np.array_equal(logits(classifier), alone), "4-bit weights stay beside their adapters"


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
    encoder = encoder_of(classifier)
    with torch.inference_mode():
        after = plain.eval()(**encoder.pad(encoder(TEXTS))).logits.numpy()
    assert np.abs(after - before).max() < 1e-5


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
    with pytest.raises(InputError, match="lacks 16 weights of its own"):
        make(tmp_path / "base", Full())


def test_a_base_without_safetensors_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(InputError, match=r"no \.safetensors weights"):
        digest(Backbone(base=str(tmp_path)))
