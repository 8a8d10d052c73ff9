"""Examples trained a second: the program's own loop beside transformers' Trainer, on the same model and
adapter, the same real tweets, the same batch of 32.

`example defaults` pads to 128 tokens in float32, as transformers' text-classification example does. `tuned`
is the best Trainer we know of: padded to the longest, grouped by length, bf16, eager attention (SDPA's
backward is slow in bf16 on CPUs), the same dropout, fused AdamW.
"""

from __future__ import annotations

import gc
import logging
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from benchmarks.measure import Goal, alternated, goal, timed
from train.job import Job
from train.lock import Resolved, resolve
from train.loop import optimizer
from train.model.classifier import Classifier, create
from train.model.precision import resolve as precision_of
from train.recipe import load
from train.signals import StopSignals
from train.terminal import Terminal

RECIPE = Path(__file__).parents[2] / "recipes/encoder/minilm-lora-davidson.yaml"
BATCH = 32
DEFAULT, TUNED = "Trainer, example defaults", "Trainer tuned as well as can be"
ASKED = {DEFAULT: (5.0, 8.0), TUNED: (1.1, 1.4)}


class Ours:
    """The program's loop, kept going: each call trains on the next examples."""

    def __init__(self, resolved: Resolved, accelerator: Accelerator, texts: int) -> None:
        self._texts = texts
        job, classifier = job_of(resolved, accelerator)
        body, head = classifier.parts()
        adam = optimizer.build(resolved.recipe.train, body, head)
        self._updates: Iterator[Any] = iter(job.updates(classifier, adam, 0))

    def __call__(self) -> int:
        seen = 0
        while seen < self._texts:
            seen += next(self._updates).examples
        return seen


def job_of(resolved: Resolved, accelerator: Accelerator) -> tuple[Job, Classifier]:
    recipe = resolved.recipe
    precision = precision_of(recipe.train.precision, accelerator.device)
    job = Job(resolved, accelerator, precision, StopSignals(), Terminal(speaks=False), None, None)
    return job, fresh(resolved, precision)


def fresh(resolved: Resolved, precision: Any, seed: int = 1) -> Classifier:
    recipe = resolved.recipe
    return create(
        recipe.model,
        recipe.adapter,
        recipe.model.encoding(),
        resolved.corpus.labels,
        resolved.tokenizer,
        precision,
        seed,
    )


def trainer(
    resolved: Resolved, classifier: Classifier, rows: np.ndarray, tuned: bool, epochs: float, seed: int
) -> Any:
    """transformers' Trainer over these rows; loss over known cells only, as ours."""
    from transformers import DataCollatorWithPadding, Trainer, TrainingArguments

    recipe, corpus = resolved.recipe, resolved.corpus
    most = recipe.model.max_length.tokens
    padded = {} if tuned else {"padding": "max_length", "max_length": most}
    rows_of = [
        {"input_ids": ids.tolist(), "labels": target.tolist()}
        for ids, target in zip(corpus.sequences(rows), corpus.targets[rows], strict=True)
    ]
    if tuned:
        classifier.attend("eager")
    plan = recipe.train
    arguments = TrainingArguments(
        output_dir=tempfile.mkdtemp(prefix="bench."),
        per_device_train_batch_size=BATCH,
        num_train_epochs=epochs,
        learning_rate=plan.lr,
        weight_decay=plan.weight_decay,
        warmup_steps=plan.warmup,
        lr_scheduler_type=plan.schedule,
        max_grad_norm=plan.clip or 0.0,
        seed=seed,
        bf16=tuned,
        train_sampling_strategy="group_by_length" if tuned else "random",
        use_cpu=not torch.cuda.is_available(),
        report_to=[],
        save_strategy="no",
        logging_strategy="no",
        disable_tqdm=True,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
    )
    collator = DataCollatorWithPadding(resolved.tokenizer, **padded)  # type: ignore[arg-type]
    body, head = classifier.parts()
    adam = optimizer.build(plan, body, head)  # two rates, as the recipe has them
    return _on_known_cells(Trainer)(
        model=classifier.model,
        args=arguments,
        train_dataset=rows_of,
        data_collator=collator,
        optimizers=(adam, None),
    )


def _on_known_cells(base: type) -> type:
    """A Trainer whose loss is over known cells: the one thing that these data need of any trainer."""

    class KnownCells(base):  # type: ignore[misc]
        def compute_loss(self, model: Any, inputs: Any, return_outputs: bool = False, **more: Any) -> Any:
            targets = inputs.pop("labels").float()
            out = model(**inputs)
            known = ~torch.isnan(targets)
            cells = torch.nn.functional.binary_cross_entropy_with_logits(
                out.logits.float(), torch.nan_to_num(targets), reduction="none"
            )
            loss = (cells * known).sum() / known.sum().clamp(min=1)
            return (loss, out) if return_outputs else loss

    return KnownCells


def goals(rounds: int, texts: int) -> list[Goal]:
    """texts: real examples a round, at least."""
    logging.getLogger("transformers").setLevel(logging.ERROR)
    accelerator = Accelerator(cpu=not torch.cuda.is_available(), mixed_precision="no")
    resolved = resolve(load(RECIPE, ["train.steps=100000", f"train.global_batch={BATCH}"]))
    precision = precision_of("auto", accelerator.device)
    rows = resolved.corpus.rows("train")
    rng = np.random.default_rng(0)
    found = []
    for name, asked in ASKED.items():
        tuned = name == TUNED

        def theirs(tuned: bool = tuned) -> tuple[int, float]:
            chosen = rng.choice(rows, texts, replace=False)
            its = trainer(resolved, fresh(resolved, precision), chosen, tuned, 1, 1)
            return texts, its.train().metrics["train_runtime"]

        ours = timed(Ours(resolved, accelerator, texts))
        speeds = alternated({"ours": ours, name: theirs}, rounds)
        found.append(goal("train, same model and adapter", name, speeds["ours"], speeds[name], asked, texts))
        gc.collect()
    return found
