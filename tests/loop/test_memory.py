"""The micro-batch that fits: halved at the allocator's own errors, under a real limit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from tests.conftest import REPOSITORY, write_recipe
from tests.updating import begin, job_of, losses
from train.errors import Failure
from train.job import MOST_ON_CPU
from train.loop.memory import largest, rehearse

TOO_MUCH = 10**15  # float32 numbers; no machine has room


def test_it_is_halved_until_it_fits() -> None:
    tried: list[int] = []

    def attempt(size: int) -> None:
        tried.append(size)
        torch.empty(TOO_MUCH if size > 6 else 1)

    assert largest(50, attempt, Accelerator(cpu=True)) == 4
    assert tried == [50, 25, 13, 7, 4]


def test_where_one_text_is_too_much_the_run_fails_and_says_what_to_try() -> None:
    with pytest.raises(Failure, match=r"not even one text.*\n.*\n.*gradient_checkpointing"):
        largest(4, lambda size: torch.empty(TOO_MUCH), Accelerator(cpu=True))


@pytest.mark.parametrize(
    "said",
    [
        "CUDA out of memory. Tried to allocate 2.00 GiB.",
        "CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    ],
)
def test_a_gpu_and_its_libraries_have_their_own_words_for_it(said: str) -> None:
    def attempt(size: int) -> None:
        if size > 2:
            raise RuntimeError(said)

    assert largest(8, attempt, Accelerator(cpu=True)) == 2


def test_other_errors_are_not_taken_for_a_lack_of_memory() -> None:
    def attempt(size: int) -> None:
        torch.nn.functional.embedding(torch.tensor([9]), torch.ones(3, 2))

    with pytest.raises(IndexError):
        largest(4, attempt, Accelerator(cpu=True))


def test_a_rehearsal_leaves_nothing_behind(tiny_base: Path, tmp_path: Path) -> None:
    job = job_of(write_recipe(tmp_path, tiny_base), "model.dropout=0.2", "train.steps=3")
    classifier = begin(job)
    before = {name: tensor.clone() for name, tensor in classifier.model.state_dict().items()}
    cells = job.resolved.recipe.loss.cells(torch.ones(2))
    batch = job.resolved.corpus.batch(np.arange(7))
    off = torch.autocast("cpu", enabled=False)
    rehearse(classifier.model, batch, accelerator=job.accelerator, autocast=lambda: off, cells=cells)
    assert all(parameter.grad is None for parameter in classifier.model.parameters())
    for name, tensor in classifier.model.state_dict().items():
        assert torch.equal(tensor, before[name])
    assert losses(job, classifier) == losses(job)


@pytest.mark.slow
def test_under_a_memory_limit_training_takes_smaller_pieces_and_gives_the_same_losses(tmp_path: Path) -> None:
    """A new process that may map 200 MB more than it has, which 64 texts of this model exceed."""
    from transformers import BertConfig, BertModel

    from tests.conftest import byte_pairs

    tokenizer = byte_pairs(cls_token="<s>", pad_token="<pad>", sep_token="</s>", unk_token="<unk>")
    wide = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=2,  # the last computes one position alone
        num_attention_heads=2,
        intermediate_size=8192,
        pad_token_id=1,
    )
    BertModel(wide).save_pretrained(tmp_path / "base")
    tokenizer.save_pretrained(tmp_path / "base")
    plan = [str(write_recipe(tmp_path, tmp_path / "base")), "train.global_batch=64", "train.steps=2"]
    expected = losses(job_of(Path(plan[0]), *plan[1:]))
    script = Path(__file__).with_name("update_in_little_memory.py")
    done = subprocess.run(
        [sys.executable, str(script), "200", *plan],
        # the C library keeps what is freed, in pieces; with this it gives each tensor back, as a GPU's does
        env={**os.environ, "PYTHONPATH": str(REPOSITORY), "MALLOC_MMAP_THRESHOLD_": "65536"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stderr.splitlines() if line.startswith("micro-batch: ")]
    assert len(said) == 1
    assert 1 <= int(said[0].split()[1]) < MOST_ON_CPU
    assert np.abs(np.array(json.loads(done.stdout)) - np.array(expected)).max() < 1e-5
