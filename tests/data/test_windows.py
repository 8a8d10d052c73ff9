"""Texts longer than the limit, seen in windows: nothing is missed, and training sees one at a time."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.sources import corpus, jsonl
from train.data.encoding import LONGEST, Encoder, Encoding, MaxLength
from train.data.order import CPU_TOKENS_AT_ONCE, TOKENS_AT_ONCE, scoring_batches


def windowed(tokenizer: Any, tokens: int = 16, stride: int = 4, **more: Any) -> Encoder:
    length = MaxLength(tokens=tokens, overflow="window", stride=stride, **more)
    return Encoder(tokenizer, Encoding(max_length=length))


@given(st.integers(0, 200), st.integers(8, 40), st.data())
def test_windows_cover_a_text_and_overlap_by_the_stride(
    tokenizer: Any, n: int, tokens: int, data: Any
) -> None:
    stride = data.draw(st.integers(0, tokens // 2))
    encoder = windowed(tokenizer, tokens, stride)
    before, after = tokenizer.cls_token_id, tokenizer.sep_token_id
    inner = list(range(1000, 1000 + n))
    found = [list(window) for window in encoder.windows([before, *inner, after])]
    if n + 2 <= tokens:
        assert found == [[before, *inner, after]]
        return
    assert all(window[0] == before and window[-1] == after and len(window) <= tokens for window in found)
    seen = [window[1:-1] for window in found]
    assert all(len(window) == tokens - 2 for window in seen[:-1])
    for one, two in pairwise(seen):
        assert one[len(one) - stride :] == two[:stride]
        assert len(two) > stride, "every window brings something new"
    whole = seen[0] + [token for window in seen[1:] for token in window[stride:]]
    assert whole == inner


def test_a_text_is_tokenised_whole_for_windows_and_cut_otherwise(tokenizer: Any) -> None:
    text = " ".join(f"w{i}" for i in range(100))
    ids = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
    before, after = tokenizer.cls_token_id, tokenizer.sep_token_id
    assert windowed(tokenizer)([text]) == [[before, *ids, after]]
    cut = Encoder(tokenizer, Encoding(max_length=MaxLength(tokens=16)))
    assert cut([text]) == [[before, *ids[:14], after]]
    assert cut.windows(cut([text])[0]) == cut([text]), "a cut text is its own only window"
    assert len(windowed(tokenizer)(["a " * (LONGEST + 50)])[0]) == LONGEST + 2


def test_batches_hold_every_window_of_every_text(tokenizer: Any) -> None:
    encoder = windowed(tokenizer)
    texts = ["short", "word " * 60, "", "other " * 31, "exactly " * 14]
    sequences = encoder(texts)
    lengths = np.array([min(len(sequence), 16) for sequence in sequences])
    found: dict[int, list[list[int]]] = {}
    for rows, inputs in encoder.batches(sequences, scoring_batches(lengths, tokens=40)):
        for row, ids, mask in zip(rows, inputs["input_ids"], inputs["attention_mask"], strict=True):
            found.setdefault(int(row), []).append(ids[mask.bool()].tolist())
    assert found == {
        row: [list(window) for window in encoder.windows(sequence)] for row, sequence in enumerate(sequences)
    }


def test_many_windows_need_no_more_memory_than_many_texts(tokenizer: Any) -> None:
    encoder = windowed(tokenizer, tokens=128, stride=0)
    sequences = encoder(["word " * 20_000] * 3 + ["short"] * 300)
    lengths = np.array([min(len(sequence), 128) for sequence in sequences])
    shapes = [inputs["input_ids"].shape for _, inputs in encoder.batches(sequences, scoring_batches(lengths))]
    assert max(rows * width for rows, width in shapes) <= TOKENS_AT_ONCE
    assert sum(rows for rows, _ in shapes) == 3 * -(-20_000 // 126) + 300
    assert max(rows for rows, width in shapes if width == 128) == TOKENS_AT_ONCE // 128, "nor one at a time"
    small = encoder.batches(sequences, scoring_batches(lengths, CPU_TOKENS_AT_ONCE), CPU_TOKENS_AT_ONCE)
    assert max(inputs["input_ids"].numel() for _, inputs in small) == CPU_TOKENS_AT_ONCE


@pytest.mark.parametrize("wrong", [{"stride": 9}, {"tokens": 7}, {"stride": -1}, {"reduce": "median"}])
def test_windows_that_cannot_be_meant(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        MaxLength(**({"tokens": 16, "overflow": "window", "stride": 4} | wrong))
    assert MaxLength(tokens=16, stride=30).overflow == "truncate", "the stride of nobody's windows"


# --- training -----------------------------------------------------------------------------------------------


@pytest.fixture
def long_texts(tmp_path: Path) -> dict[str, Any]:
    rows = [{"t": " ".join(f"w{i}x{n}" for n in range(30)), "h": i % 2} for i in range(60)]
    return {"path": jsonl(tmp_path / "a.jsonl", rows), "text": "t", "labels": {"hate": "h"}, "licence": "MIT"}


def drawn(found: Any, rows: np.ndarray, *draw: int) -> list[list[int]]:
    batch = found.batch(rows, *draw)
    return [
        ids[mask.bool()].tolist()
        for ids, mask in zip(batch.inputs["input_ids"], batch.inputs["attention_mask"], strict=True)
    ]


def test_training_sees_one_window_drawn_anew_each_epoch(tokenizer: Any, long_texts: dict[str, Any]) -> None:
    found = corpus(windowed(tokenizer), s=long_texts)
    rows = np.arange(60)
    windows = [[list(w) for w in found.encoder.windows(sequence)] for sequence in found.sequences(rows)]
    assert min(map(len, windows)) > 5
    epochs = [drawn(found, rows, 17, epoch) for epoch in range(40)]
    for epoch in epochs:
        assert all(one in of for one, of in zip(epoch, windows, strict=True))
    assert epochs[0] != epochs[1]
    assert drawn(found, rows, 17, 3) == epochs[3], "a pure function of seed, epoch and id"
    assert drawn(found, rows, 18, 3) != epochs[3]
    assert drawn(found, rows[::-1][:7], 17, 3) == epochs[3][::-1][:7], "whatever else is in the batch"
    seen = Counter(windows[0].index(epoch[0]) for epoch in epochs)
    assert set(seen) == set(range(len(windows[0]))), "over the epochs every part is seen"
    places = Counter(
        of.index(one) / len(of) < 0.5 for epoch in epochs for one, of in zip(epoch, windows, strict=True)
    )
    assert 0.4 < places[True] / places.total() < 0.65


def test_an_update_draws_by_its_seed_and_epoch(tokenizer: Any, long_texts: dict[str, Any]) -> None:
    found = corpus(windowed(tokenizer), s=long_texts)
    rows = np.arange(8)
    one, two = (found.window(0, rows, [rows[:5], rows[5:]], 17, epoch) for epoch in (0, 1))
    assert not np.array_equal(one.batches[0].inputs["input_ids"], two.batches[0].inputs["input_ids"])
    ids = [row for batch in one.batches for row in batch.inputs["input_ids"].tolist()]
    assert [[i for i in row if i] for row in ids] == drawn(found, rows, 17, 0)
    assert found.lengths.max() == 16, "batches are planned by what the model sees"


def test_the_size_of_windows_is_no_part_of_tokens_but_of_the_model(
    tokenizer: Any, long_texts: dict[str, Any]
) -> None:
    sizes = [corpus(windowed(tokenizer, stride=stride), s=long_texts) for stride in (2, 6)]
    assert np.array_equal(sizes[0].tokens, sizes[1].tokens)
    assert sizes[0].encoder.digest == sizes[1].encoder.digest
    assert windowed(tokenizer).digest != Encoder(tokenizer, Encoding(max_length=MaxLength(tokens=16))).digest
