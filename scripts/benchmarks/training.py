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
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from benchmarks.measure import Goal, alternated, goal, timed
from train.assessment import judge, predictions, split_logits
from train.job import Job
from train.lock import Resolved, resolve
from train.loop import optimizer
from train.model.classifier import Classifier, create
from train.model.precision import SCORING_ATTENTION
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


def job_of(resolved: Resolved, accelerator: Accelerator, seed: int = 1) -> tuple[Job, Classifier]:
    """A training of a recipe, its order and its weights from `seed`."""
    recipe = resolved.recipe.model_copy(
        update={"data": resolved.recipe.data.model_copy(update={"seed": seed})}
    )
    resolved = replace(resolved, recipe=recipe)
    precision = precision_of(recipe.train.precision, accelerator.device)
    job = Job(resolved, accelerator, precision, StopSignals(), Terminal(speaks=False), None, None)
    return job, fresh(resolved, precision, seed)


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
    from transformers import DataCollatorWithPadding, PrinterCallback, Trainer, TrainingArguments

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
        bf16=tuned and classifier.card.precision == "bf16",
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
    made = _on_known_cells(Trainer)(
        model=classifier.model,
        args=arguments,
        train_dataset=rows_of,
        data_collator=collator,
        optimizers=(adam, None),
    )
    made.remove_callback(PrinterCallback)
    return made


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


STEPS = 400
"""Updates after which quality is compared."""


def quality(
    resolved: Resolved, accelerator: Accelerator, tuned: bool, seeds: Sequence[int]
) -> dict[str, Any]:
    """Macro AUPRC on the test split after STEPS updates on real tweets, by seed: ours, theirs, and their
    difference."""
    precision = precision_of("auto", accelerator.device)
    rows = resolved.corpus.rows("train")
    found: dict[str, list[float]] = {"ours": [], "theirs": []}
    for seed in seeds:
        job, classifier = job_of(resolved, accelerator, seed)
        body, head = classifier.parts()
        for _ in job.updates(classifier, optimizer.build(resolved.recipe.train, body, head), 0):
            pass
        found["ours"].append(macro(resolved, classifier, accelerator))
        classifier = fresh(resolved, precision, seed)
        chosen = np.random.default_rng(seed).permutation(rows)[: STEPS * BATCH]
        trainer(resolved, classifier, chosen, tuned, 1, seed).train()
        found["theirs"].append(macro(resolved, classifier, accelerator))
    return {**found, **apart(found["ours"], found["theirs"])}


def apart(ours: Sequence[float], theirs: Sequence[float]) -> dict[str, float]:
    """The mean difference of pairs and its 95% interval (Student's t)."""
    from scipy.stats import t

    each = np.subtract(ours, theirs)
    half = float(t.ppf(0.975, len(each) - 1) * each.std(ddof=1) / np.sqrt(len(each)))
    mean = float(each.mean())
    return {"difference": mean, "low": mean - half, "high": mean + half}


def macro(resolved: Resolved, classifier: Classifier, accelerator: Accelerator) -> float:
    classifier.attend(SCORING_ATTENTION)
    logits = split_logits(
        classifier, resolved.corpus, "test", accelerator=accelerator, stopping=lambda: False
    )
    assert logits is not None
    return float(judge(predictions(resolved.corpus, "test", logits)).figures["test/macro/auprc"])


def goals(rounds: int, texts: int, seeds: Sequence[int] = ()) -> list[Goal]:
    """texts: real examples a round, at least; seeds: of the comparison of quality, none where it is not
    made."""
    logging.getLogger("transformers").setLevel(logging.ERROR)
    accelerator = Accelerator(cpu=not torch.cuda.is_available(), mixed_precision="no")
    batch = f"train.global_batch={BATCH}"
    resolved = resolve(load(RECIPE, ["train.steps=100000", batch]))
    compared = resolve(load(RECIPE, [f"train.steps={STEPS}", batch]))
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
        equal = quality(compared, accelerator, tuned, seeds) if seeds else None
        work = "train, same model and adapter"
        found.append(goal(work, name, speeds["ours"], speeds[name], asked, texts, equal))
        gc.collect()
    return found
