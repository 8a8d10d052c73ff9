"""The recipe's own model and adapter, trained by transformers.Trainer instead of our loop."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from train.assessment import split_logits
from train.baselines.attempt import SPLITS, Attempt
from train.errors import InputError, Interrupted, Problem
from train.lock import Resolved
from train.serving.predictor import Predictor
from train.signals import StopSignals


def trainer(folder: Path, resolved: Resolved) -> Attempt:
    """Dynamic padding, batches grouped by length; of a longer text, its first window. `folder` is not
    looked at.

    Same base, adapter, seed, batch, epochs, rate and schedule; Trainer knows one rate for all parameters, and
    what is judged are its last weights. Its loss cannot leave unknown cells out: raises InputError where the
    train rows have some. The scoring is ours: under `group_by_length` Trainer.predict returns the rows in
    another order.
    """
    import torch
    from datasets import Dataset
    from transformers import DataCollatorWithPadding, Trainer, TrainingArguments

    from train.model.classifier import create

    corpus, recipe = resolved.corpus, resolved.recipe
    chosen = corpus.rows("train")
    if np.isnan(corpus.targets[chosen]).any():
        problem = Problem(
            recipe.name, "has unknown label cells", "none, for Trainer's loss", "another baseline"
        )
        raise InputError(problem)
    made = create(
        recipe.model,
        recipe.adapter,
        recipe.model.encoding(),
        corpus.labels,
        resolved.tokenizer,
        "fp32",
        recipe.train.seed,
    )
    tokens = [corpus.encoder.windows(sequence)[0] for sequence in corpus.sequences(chosen)]
    rows = Dataset.from_dict({"input_ids": tokens, "labels": corpus.targets[chosen]})
    with tempfile.TemporaryDirectory() as place:
        plan = TrainingArguments(
            output_dir=place,
            per_device_train_batch_size=recipe.train.global_batch,
            num_train_epochs=recipe.train.epochs or 1.0,
            max_steps=recipe.train.steps or -1,
            learning_rate=recipe.train.lr,
            weight_decay=recipe.train.weight_decay,
            warmup_steps=recipe.train.warmup,
            lr_scheduler_type="linear",
            train_sampling_strategy="group_by_length",
            seed=recipe.train.seed,
            use_cpu=not torch.cuda.is_available(),
            report_to=[],
            save_strategy="no",
            logging_steps=50,
        )
        runner = Trainer(
            made.model, plan, train_dataset=rows, data_collator=DataCollatorWithPadding(made.tokenizer)
        )
        runner.train()
    found: dict[str, np.ndarray] = {}
    with StopSignals() as stop:
        for split in SPLITS:
            logits = split_logits(
                made, corpus, split, accelerator=runner.accelerator, stopping=lambda: bool(stop)
            )
            if logits is None:
                raise Interrupted(stop.received or 2, "stopped; nothing was kept")
            found[split] = logits
    predictor = Predictor(made, {})
    return Attempt(
        found, lambda texts: np.asarray(predictor.logits(texts)), {"lr": recipe.train.lr, "precision": "fp32"}
    )
