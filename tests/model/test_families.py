"""Every family, encoder or decoder, through one recipe: heads, padding, attention, save, merge, reload."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from tests.conftest import byte_pairs
from tests.model.classifiers import LABELS, TEXTS, encoder_of, logits, make
from tests.model.families import ALL, DECODERS, ENCODERS
from train.errors import InputError
from train.model.adapter import Full, Head, Lora, Top, layers
from train.model.backbone import Backbone, load_tokenizer
from train.model.classifier import load
from train.model.first import FAMILIES, first_alone

HEADS = {"modernbert": ("classifier", "head"), "deberta-v2": ("classifier", "pooler")}


@pytest.mark.parametrize("family", ALL)
def test_the_head_is_found_and_no_adapter_touches_it(base: Callable[[str], Path], family: str) -> None:
    classifier = make(base(family), Lora(r=2, alpha=4))
    expected = HEADS.get(family, ("classifier",) if family in ENCODERS else ("score",))
    assert classifier.head == expected
    body, head = classifier.parts()
    assert all("lora_" in name and name.split(".")[2] not in expected for name, _ in body)
    assert {name.split(".")[2] for name, _ in head} == set(expected)
    assert all("modules_to_save" in name and p.dtype == torch.float32 for name, p in head)
    if family in DECODERS:
        assert [name.split(".")[-1] for name, _ in head] == ["weight"]  # no bias
    assert classifier.head_has_bias is (family in ENCODERS)
    assert len(layers(classifier.plain)) == 3


@pytest.mark.parametrize("family", ALL)
@pytest.mark.parametrize("adapter", [Lora(r=2, alpha=4), Full(), Head()], ids=lambda a: a.kind)
def test_saved_and_loaded_gives_the_same_logits(
    base: Callable[[str], Path], tmp_path: Path, family: str, adapter: Any
) -> None:
    classifier = make(base(family), adapter)
    classifier.save(tmp_path)
    loaded = load(tmp_path)
    assert np.array_equal(logits(loaded), logits(classifier))
    trained, again = ({name for part in each.parts() for name, _ in part} for each in (classifier, loaded))
    assert again == trained
    (weights,) = tmp_path.glob("*model.safetensors")
    in_head = {key: t for key, t in load_file(weights).items() if {*key.split(".")} & {*classifier.head}}
    assert len(in_head) == len(classifier.parts()[1])
    assert {tensor.dtype for tensor in in_head.values()} == {torch.float32}
    said = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert said["model_max_length"] == 32
    assert said["pad_token"] == ("<pad>" if family in ENCODERS else "<|endoftext|>")


@pytest.mark.parametrize("family", ALL)
def test_merged_and_reloaded_by_plain_transformers(
    base: Callable[[str], Path], tmp_path: Path, family: str
) -> None:
    """As a serving team would: no teensafe, a batch of several texts, the tokenizer's own padding."""
    classifier = make(base(family), Lora(r=2, alpha=4))
    before = logits(classifier)
    classifier.model.merge_and_unload(safe_merge=True).save_pretrained(tmp_path)
    classifier.tokenizer.save_pretrained(tmp_path)
    plain, loading = AutoModelForSequenceClassification.from_pretrained(tmp_path, output_loading_info=True)
    assert not loading["missing_keys"]
    assert not loading["unexpected_keys"]
    assert tuple(plain.config.id2label[i] for i in range(3)) == LABELS
    assert plain.config.problem_type == "multi_label_classification"
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert plain.config.pad_token_id == tokenizer.pad_token_id
    texts = [text or "<|endoftext|>" for text in TEXTS] if family in DECODERS else TEXTS
    inputs = tokenizer(texts, padding=True, truncation=True, return_tensors="pt", return_token_type_ids=False)
    with torch.inference_mode():
        after = plain.eval()(**inputs).logits.numpy()
    assert np.abs(after - before).max() < 1e-5


@pytest.mark.parametrize("family", ALL)
def test_padding_and_batch_composition_do_not_change_a_score(
    base: Callable[[str], Path], family: str
) -> None:
    classifier = make(base(family), Lora(r=2, alpha=4))
    together = logits(classifier)
    assert np.isfinite(together).all()
    alone = np.concatenate([logits(classifier, [text]) for text in TEXTS])
    assert np.abs(together - alone).max() < 1e-4
    backwards = logits(classifier, TEXTS[::-1])[::-1]
    assert np.abs(together - backwards).max() < 1e-4
    classifier.attend("eager")
    assert classifier.plain.config._attn_implementation == "eager"
    assert np.abs(logits(classifier) - together).max() < 1e-4
    classifier.attend("sdpa")
    assert classifier.plain.config._attn_implementation == ("eager" if family == "deberta-v2" else "sdpa")


@pytest.mark.parametrize("family", DECODERS)
def test_left_and_right_padding_give_the_same_logits(base: Callable[[str], Path], family: str) -> None:
    classifier = make(base(family), Lora(r=2, alpha=4))
    right = logits(classifier)
    classifier.tokenizer.padding_side = "left"
    ids = encoder_of(classifier).pad(encoder_of(classifier)(TEXTS))
    assert ids["attention_mask"][0, 0] == 0
    texts = [text for text in TEXTS if text]  # an empty text is one mark that, here, is the padding itself
    assert np.abs(logits(classifier, texts) - right[[n for n, t in enumerate(TEXTS) if t]]).max() < 1e-4


@pytest.mark.parametrize("family", ALL)
def test_dropout_is_one_field(base: Callable[[str], Path], family: str) -> None:
    ids = torch.arange(5, 25)[None]
    for rate in (0.0, 0.25):
        classifier = make(base(family), Full(), rate)
        assert {m.p for m in classifier.model.modules() if isinstance(m, torch.nn.Dropout)} <= {rate}
        model = classifier.model.train()
        varies = not torch.equal(model(input_ids=ids).logits, model(input_ids=ids).logits)
        assert varies == (rate > 0)


@pytest.mark.parametrize("family", ALL)
def test_a_base_that_lacks_weights_is_refused(
    base: Callable[[str], Path], tmp_path: Path, family: str
) -> None:
    shutil.copytree(base(family), tmp_path / "base")
    weights = tmp_path / "base" / "model.safetensors"
    whole = load_file(weights)
    kept = {key: tensor for key, tensor in whole.items() if ".1." not in key}
    save_file(kept, weights, metadata={"format": "pt"})
    with pytest.raises(InputError, match=f"lacks {len(whole) - len(kept)} weights of its own"):
        make(tmp_path / "base", Full())


@pytest.mark.parametrize("family", ALL)
@pytest.mark.parametrize("adapter", [Lora(r=2, alpha=4), Top(layers=1)], ids=lambda a: a.kind)
def test_recomputed_activations_give_the_same_gradients(
    base: Callable[[str], Path], family: str, adapter: Any
) -> None:
    found = []
    for recompute in (False, True):
        classifier = make(base(family), adapter, dropout=0.2)
        if recompute:
            classifier.recompute_activations()
        encoder = encoder_of(classifier)
        classifier.model.train()
        torch.manual_seed(7)
        classifier.model(**encoder.pad(encoder(TEXTS))).logits.square().sum().backward()
        found.append({n: p.grad for part in classifier.parts() for n, p in part})
    assert any(gradient.abs().max() > 0 for gradient in found[0].values())
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], gradient, rtol=0, atol=0, msg=name)


@pytest.mark.parametrize("family", ["bert", "modernbert", "deberta-v2", "qwen3"])
def test_only_the_top_layers_are_trained(base: Callable[[str], Path], family: str) -> None:
    classifier = make(base(family), Top(layers=2))
    body, head = classifier.parts()
    numbers = {int(part) for name, _ in body for part in name.split(".") if part.isdigit()}
    assert numbers == {1, 2}
    top = [p for layer in layers(classifier.plain)[1:] for p in layer.parameters()]
    assert {id(p) for _, p in body} == {id(p) for p in top}
    assert {name.split(".")[0] for name, _ in head} == set(classifier.head)


@pytest.mark.parametrize("narrow", [False, True], ids=["all-linear", "one"])
@pytest.mark.parametrize(
    ("family", "name"),
    [("bert", "query"), ("modernbert", "Wqkv"), ("deberta-v2", "query_proj"), ("qwen3", "q_proj")],
)
def test_adapters_in_the_top_layers(
    base: Callable[[str], Path], family: str, name: str, narrow: bool, tmp_path: Path
) -> None:
    """None lower, so that nothing lower takes part in the gradient; saved and loaded they are the same."""
    targets: Any = (name,) if narrow else "all-linear"
    classifier = make(base(family), Lora(r=2, top=2, targets=targets))
    body = {name for name, _ in classifier.parts()[0]}
    every = {name for name, _ in make(base(family), Lora(r=2, targets=targets)).parts()[0]}
    assert body == {name for name in every if not re.search(r"layers?\.0\.", name)} < every
    classifier.save(tmp_path)
    assert np.array_equal(logits(load(tmp_path)), logits(classifier))
    with pytest.raises(InputError, match="9, but the model has 3"):
        make(base(family), Lora(top=9))


# ---- padding -------------------------------------------------------------------------------------------


def test_a_tokenizer_without_padding_takes_eos_and_no_embedding_is_added(base: Callable[[str], Path]) -> None:
    tokenizer = load_tokenizer(Backbone(base=str(base("llama"))), 32)
    assert tokenizer.pad_token == "<|endoftext|>"
    classifier = make(base("llama"), Head())
    assert classifier.plain.config.pad_token_id == tokenizer.pad_token_id
    assert classifier.plain.get_input_embeddings().num_embeddings == len(tokenizer)


def test_what_the_model_pads_with_comes_before_what_its_tokenizer_says(
    base: Callable[[str], Path], tmp_path: Path
) -> None:
    """RoBERTa counts its positions from the number of its padding token."""
    shutil.copytree(base("roberta"), tmp_path / "base")
    told = tmp_path / "base" / "tokenizer_config.json"
    told.write_text(told.read_text().replace('"<pad>"', '"<unk>"'))
    assert load_tokenizer(Backbone(base=str(tmp_path / "base")), 32).pad_token_id == 1


def test_a_tokenizer_that_cannot_pad_is_refused(base: Callable[[str], Path], tmp_path: Path) -> None:
    shutil.copytree(base("llama"), tmp_path / "base")
    byte_pairs().save_pretrained(tmp_path / "base")
    with pytest.raises(InputError, match="no token to pad with"):
        load_tokenizer(Backbone(base=str(tmp_path / "base")), 32)


def test_a_text_without_tokens_gets_one(base: Callable[[str], Path]) -> None:
    classifier = make(base("llama"), Head())
    assert encoder_of(classifier)(["", "kind"])[0] == [classifier.tokenizer.eos_token_id]


@pytest.mark.parametrize("kernel", ["eager", "sdpa"])
@pytest.mark.parametrize("family", ALL)
def test_the_first_position_alone_is_the_same(base: Callable[[str], Path], family: str, kernel: str) -> None:
    """Scores and gradients, of families in which the last layer then computes less and of all others."""
    classifier = make(base(family), Full())
    classifier.attend(kernel)
    encoder = encoder_of(classifier)
    inputs = encoder.pad(encoder(TEXTS))
    widths: list[int] = []
    layers(classifier.plain)[-1].register_forward_hook(lambda layer, given, out: widths.append(_width(out)))

    def passed() -> tuple[torch.Tensor, list[torch.Tensor]]:
        classifier.model.zero_grad()
        found = classifier.model(**inputs).logits
        found.square().sum().backward()
        trained = [p for _, p in (*classifier.parts()[0], *classifier.parts()[1])]
        return found.detach(), [p.grad.clone() for p in trained if p.grad is not None]

    scores, gradients = passed()
    with first_alone(classifier.plain), first_alone(classifier.plain):
        same, alike = passed()
    assert torch.allclose(same, scores, atol=1e-5)
    assert len(alike) == len(gradients)
    for one, other in zip(alike, gradients, strict=True):
        assert torch.allclose(one, other, atol=1e-4 * float(other.abs().max()) + 1e-6)
    assert torch.equal(passed()[0], scores)
    whole = inputs["input_ids"].shape[1]
    assert widths == [whole, 1 if family in FAMILIES else whole, whole]


def _width(out: Any) -> int:
    return int((out[0] if isinstance(out, tuple) else out).shape[1])
