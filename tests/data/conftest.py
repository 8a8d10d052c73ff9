"""A real tokenizer, and an encoder of 16 tokens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from train.data.encoding import Encoder, Encoding, MaxLength


@pytest.fixture(scope="session")
def tokenizer(tiny_base: Path) -> Any:
    """MiniLM's."""
    return AutoTokenizer.from_pretrained(tiny_base, model_max_length=16)


@pytest.fixture(scope="session")
def encoder(tokenizer: Any) -> Encoder:
    return Encoder(tokenizer, Encoding(max_length=MaxLength(tokens=16)))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty $TEENSAFE_CACHE beside an empty working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TEENSAFE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
