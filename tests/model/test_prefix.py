"""Frozen layers read from the disk: in every family the same scores and gradients as when computed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModel

from tests.conftest import byte_pairs
from tests.model.classifiers import TEXTS, encoder_of, make
from tests.model.families import ALL, ENCODER_MARKS, SIZE
from train.data.order import scoring_batches
from train.errors import Failure, InputError
from train.model.adapter import Full, Head, Lora, Top, layers
from train.model.classifier import Classifier
from train.model.precision import autocast
from train.model.prefix import Prefix, frozen

FREEZING = [Lora(r=2, alpha=4, top=1), Top(layers=2), Head()]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TEENSAFE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def sequences(classifier: Classifier, texts: Sequence[str] = TEXTS) -> list[np.ndarray]:
    return [np.array(ids, dtype=np.int32) for ids in encoder_of(classifier)(texts)]


def filled(classifier: Classifier, texts: Sequence[np.ndarray], depth: int | None = None) -> Prefix:
    """The prefix of a classifier that keeps the states of these texts."""
    encoder = encoder_of(classifier)
    prefix = Prefix(classifier, frozen(classifier) if depth is None else depth, encoder.pad(texts))
    prefix.fill(prefix.states.missing(texts), batches(classifier))
    return prefix


def batches(classifier: Classifier) -> Callable[..., Iterator[tuple[np.ndarray, Mapping[str, Any]]]]:
    return lambda part: encoder_of(classifier).batches(
        part, scoring_batches(np.array([len(text) for text in part]), 40)
    )


def passed(classifier: Classifier, inputs: Mapping[str, Any]) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Scores and gradients of one pass as training makes it."""
    classifier.model.train()
    classifier.model.zero_grad()
    with classifier.lean(), autocast(classifier.device, classifier.card.precision):
        found = classifier.model(**inputs).logits.float()
    found.square().sum().backward()
    trained = [p for part in classifier.parts() for _, p in part]
    return found.detach(), [p.grad.clone() for p in trained]


@pytest.mark.parametrize("adapter", FREEZING, ids=lambda adapter: adapter.kind)
@pytest.mark.parametrize("family", ALL)
def test_reading_gives_what_computing_gives(base: Callable[[str], Path], family: str, adapter: Any) -> None:
    classifier = make(base(family), adapter)
    texts = sequences(classifier)
    inputs = encoder_of(classifier).pad(texts)
    computed, gradients = passed(classifier, inputs)
    prefix = filled(classifier, texts)
    assert prefix.depth == {"lora": 2, "top": 1, "head": 3}[adapter.kind]
    with prefix.read():
        read, alike = passed(classifier, inputs)
        classifier.model.eval()
        with torch.inference_mode():
            judged = classifier.model(**inputs).logits
    assert (read - computed).abs().max() <= 1e-5 * (1 + float(computed.abs().max()))
    for one, other in zip(alike, gradients, strict=True):
        assert (one - other).abs().max() <= 1e-3 * float(other.abs().max()) + 1e-6
    assert prefix.prove() < 1e-5
    again, _ = passed(classifier, inputs)
    assert torch.equal(again, computed)  # nothing stays behind
    with torch.inference_mode():
        assert torch.equal(classifier.model.eval()(**inputs).logits, judged)  # what is judged is computed


@pytest.mark.parametrize("adapter", FREEZING, ids=lambda adapter: adapter.kind)
def test_in_bf16_what_is_kept_is_off_by_rounding(base: Callable[[str], Path], adapter: Any) -> None:
    for family in ALL:
        classifier = make(base(family), adapter).computing_in("bf16")
        prefix = filled(classifier, sequences(classifier))
        assert prefix.states.dtype == "uint16"
        assert 0.0005 < prefix.prove() < 0.01, family


def test_the_frozen_layers_do_not_run_and_a_head_alone_keeps_one_state_a_text(
    base: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    for adapter, run in ((Lora(r=2, top=1), [2]), (Head(), [])):
        classifier = make(base("bert"), adapter)
        texts = sequences(classifier)
        prefix = filled(classifier, texts)
        size = len(texts) if isinstance(adapter, Head) else sum(map(len, texts))
        assert prefix.bytes_of(texts) == 4 * 32 * size
        for number, layer in enumerate(layers(classifier.plain)):
            layer.attention.register_forward_hook(lambda *_, number=number: seen.append(number))
        with prefix.read():
            seen.clear()
            passed(classifier, encoder_of(classifier).pad(texts[:2]))
            assert seen == run
            passed(classifier, encoder_of(classifier).pad(sequences(classifier, ["never seen"])))
            assert seen == [*run, 0, 1, 2]  # what is not kept is computed


def test_left_padding(base: Callable[[str], Path]) -> None:
    classifier = make(base("qwen3"), Lora(r=2, top=1))
    classifier.tokenizer.padding_side = "left"
    # an empty text is one mark that, here, is the padding itself
    texts = sequences(classifier, [text for text in TEXTS if text])
    inputs = encoder_of(classifier).pad(texts)
    assert inputs["attention_mask"][0, 0] == 0
    computed, _ = passed(classifier, inputs)
    with filled(classifier, texts).read():
        read, _ = passed(classifier, inputs)
    assert (read - computed).abs().max() < 1e-5


def test_what_is_frozen(base: Callable[[str], Path]) -> None:
    for family in ALL:
        found = [frozen(make(base(family), adapter)) for adapter in (*FREEZING, Full(), Lora(r=2))]
        assert found == [2, 1, 3, 0, 0], family
    assert frozen(make(base("bert"), Head(), dropout=0.1)) == 0


def test_recipes_that_freeze_the_same_layers_share_what_is_kept(base: Callable[[str], Path]) -> None:
    """And only those: other depth, format or weights are kept apart."""
    one = make(base("bert"), Lora(r=2, top=1))
    texts = sequences(one)
    first = filled(one, texts[:4])
    assert len(first.states.missing(texts)) == len(texts) - 4
    for other in (
        make(base("bert"), Top(layers=1)),
        make(base("bert"), Lora(r=8, top=1, targets=("query",))),
    ):
        found = filled(other, texts)
        assert found.states.folder == first.states.folder
        assert not found.states.missing(texts)
    for other in (
        make(base("bert"), Top(layers=2)),
        make(base("bert"), Top(layers=1)).computing_in("bf16"),
        make(base("roberta"), Top(layers=1)),
    ):
        probe = encoder_of(other).pad(texts)
        assert Prefix(other, frozen(other), probe).states.missing(texts), other.card


def test_a_family_whose_upper_layers_read_more_is_refused(base: Callable[[str], Path]) -> None:
    classifier = make(base("bert"), Top(layers=1))
    stack = layers(classifier.plain)
    aside: list[float] = []
    stack[0].attention.register_forward_hook(lambda *_: aside.append(1.0))
    way = stack[2].forward
    stack[2].forward = lambda hidden, *more, **named: way(
        hidden * (aside.pop() if aside else -1.0), *more, **named
    )
    with pytest.raises(InputError, match="upper layers of BertForSequenceClassification read more than what"):
        filled(classifier, sequences(classifier), depth=2)


OTHERS = {
    "albert": {**SIZE, "embedding_size": 16, "pad_token_id": 1},
    "t5": {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 3, "num_heads": 4, "pad_token_id": 1,
           "eos_token_id": 2, "decoder_start_token_id": 1},
    "gpt2": {"n_embd": 32, "n_layer": 3, "n_head": 4, "bos_token_id": 0, "eos_token_id": 2},
}  # fmt: skip


def other(family: str, folder: Path) -> Path:
    tokenizer = byte_pairs(**ENCODER_MARKS)
    config = AutoConfig.for_model(family, vocab_size=len(tokenizer), **OTHERS[family])
    torch.manual_seed(0)
    AutoModel.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize(("family", "adapter"), [("albert", Head()), ("t5", Top(layers=1))])
def test_what_one_state_a_token_does_not_tell_is_refused(family: str, adapter: Any, tmp_path: Path) -> None:
    """ALBERT passes through one layer many times; T5's layers hand on a mask, which is the batch's own."""
    classifier = make(other(family, tmp_path), adapter)
    with pytest.raises(InputError, match="read more than what layer"):
        filled(classifier, sequences(classifier, [text for text in TEXTS if text]))


def test_a_dropout_that_the_family_keeps_for_itself_freezes_nothing(tmp_path: Path) -> None:
    assert frozen(make(other("gpt2", tmp_path), Top(layers=1))) == 0


def test_what_wrapped_a_layer_stays_around_it(base: Callable[[str], Path]) -> None:
    """Such as accelerate's hooks around layers in 4 bits."""
    classifier = make(base("bert"), Top(layers=1))
    texts = sequences(classifier)
    wrapped = [classifier.plain, layers(classifier.plain)[0]]
    for part in wrapped:
        part.forward = partial(part.forward)
    ways = [part.forward for part in wrapped]
    with filled(classifier, texts).read():
        passed(classifier, encoder_of(classifier).pad(texts))
    assert [part.forward for part in wrapped] == ways


def test_a_cache_that_is_emptied_meanwhile(base: Callable[[str], Path]) -> None:
    classifier = make(base("bert"), Top(layers=1))
    texts = sequences(classifier)
    inputs = encoder_of(classifier).pad(texts)
    computed, _ = passed(classifier, inputs)
    prefix = filled(classifier, texts)
    shutil.rmtree(prefix.states.folder)
    with prefix.read():
        assert torch.equal(passed(classifier, inputs)[0], computed)
    with pytest.raises(Failure, match="somebody has emptied the cache"):
        prefix.prove()


def test_one_token_a_thousand_times_as_large_does_not_speak_for_all(base: Callable[[str], Path]) -> None:
    """A decoder's first token is, and is the same for every text that begins so."""
    classifier = make(base("qwen3"), Top(layers=1))
    texts = sequences(classifier, [f"you are {word}" for word in ("kind", "so kind", "a friend", "an idiot")])
    body = classifier.plain.model
    first = body.embed_tokens.weight.data[texts[0][0]]
    first *= 1e4 / first.norm()
    prefix = filled(classifier, texts)
    (shard,) = prefix.states.folder.iterdir()
    states, starts = np.load(shard / "states.npy"), np.load(shard / "starts.npy")
    for start, end in pairwise(starts):
        states[start + 1 : end] = states[start + 1 : end][::-1]
    np.save(shard / "states.npy", states)
    prefix.states.look_again()
    with pytest.raises(Failure, match="off what the model computes"):
        prefix.prove()


def test_what_another_text_left_is_not_taken_for_it(base: Callable[[str], Path]) -> None:
    classifier = make(base("bert"), Top(layers=1))
    texts = sequences(classifier)
    prefix = filled(classifier, texts)
    (shard,) = prefix.states.folder.iterdir()
    states = np.load(shard / "states.npy")
    np.save(shard / "states.npy", states[::-1])
    prefix.states.look_again()
    with pytest.raises(Failure, match="off what the model computes"):
        prefix.prove()
