"""A recipe being trained, as one process sees it, and how the processes keep together."""

from __future__ import annotations

import math
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import numpy as np

from train.data.order import Order, micro_batches, scoring_batches, tokens_at_once
from train.errors import InputError, Interrupted, Problem, TeensafeError
from train.example import Batch, Window
from train.files import cache_folder
from train.loop.fit import Update, fit
from train.loop.memory import largest, rehearse
from train.loop.optimizer import factor, set_rate
from train.model.adapter import layers
from train.model.precision import SCORING_ATTENTION, autocast, training_attention
from train.model.prefix import PROBED, Prefix, frozen
from train.terminal import Terminal

if TYPE_CHECKING:
    import torch
    from accelerate import Accelerator

    from train.lock import Resolved
    from train.model.classifier import Classifier
    from train.model.precision import Precision
    from train.signals import StopSignals
    from train.tracking.run import Run
    from train.tracking.wandb_log import WandbLog

T = TypeVar("T")
Watch = Callable[[int, Mapping[str, Any]], bool]
"""(step, dev figures by metric key) of every evaluation -> is the rest of the training wanted? Every process
asks, and must get the same answer."""

MOST_ON_CPU = 64
"""Examples a process holds at once on CPUs under `micro_batch: auto`: more is no faster, and where the system
lends memory that it does not have no trial fails."""


@dataclass(frozen=True)
class Job:
    """A recipe being trained, as one process sees it."""

    resolved: Resolved
    accelerator: Accelerator
    precision: Precision
    stop: StopSignals
    terminal: Terminal
    run: Run | None  # the main process's
    wandb: WandbLog | None  # the main process's
    watch: Watch | None = None

    @cached_property
    def order(self) -> Order:
        corpus, recipe = self.resolved.corpus, self.resolved.recipe
        mixture = self.resolved.mixture
        lengths = corpus.lengths[corpus.rows("train")]
        return Order(lengths, recipe.data.seed, recipe.train.global_batch, mixture.epoch, mixture.size)

    @cached_property
    def steps(self) -> int:
        return steps_of(self.resolved)

    @cached_property
    def every(self) -> int:
        """Updates between evaluations."""
        count, unit = self.resolved.recipe.evaluate.every.split()
        return int(count) * (self.order.steps_per_epoch if unit.startswith("epoch") else 1)

    def due(self, step: int) -> bool:
        """Is a checkpoint judged at this step? Never at one where only a signal stopped the run."""
        return step > 0 and (step % self.every == 0 or step == self.steps)

    @property
    def training_attention(self) -> str:
        return training_attention(self.accelerator.device, self.precision)

    def updates(self, classifier: Classifier, adam: torch.optim.Optimizer, start: int) -> Iterator[Update]:
        """Train from update `start` on; one `Update` each."""
        import torch

        recipe, corpus, accelerator = self.resolved.recipe, self.resolved.corpus, self.accelerator
        factors = recipe.loss.factors(corpus.labels, corpus.targets[corpus.rows("train")])
        classifier.attend(self.training_attention)
        way: dict[str, Any] = {
            "accelerator": accelerator,
            "autocast": partial(autocast, accelerator.device, self.precision),
            "cells": recipe.loss.cells(torch.from_numpy(factors).to(accelerator.device)),
        }
        prefix = self._prefix(classifier) if recipe.train.cache_prefix else None
        with _faster(classifier, prefix):
            size = self._micro_batch(lambda batch: rehearse(classifier.model, batch, **way))
        updates = fit(
            accelerator.prepare(classifier.model),
            self._windows(start, size),
            adam,
            **way,
            rate=lambda step: set_rate(adam, factor(recipe.train, step, self.steps)),
            clip=recipe.train.clip,
            seed=recipe.train.seed,
            stopping=lambda: bool(self.stop),
        )
        return _within(_faster(classifier, prefix), updates)

    def _prefix(self, classifier: Classifier) -> Prefix:
        """The frozen layers, with what they make of every text to train on kept on disk.

        Raises InputError where none is frozen, the disk has no room, or the layers above read more.
        """
        corpus, accelerator, encoder = self.resolved.corpus, self.accelerator, self.resolved.corpus.encoder
        depth = frozen(classifier)
        if not depth:
            what = f"true, but every update changes all {len(layers(classifier.plain))} layers"
            raise InputError(Problem("train.cache_prefix", what, "a frozen layer, or false"))
        sequences = corpus.sequences(corpus.rows("train"))
        texts = [np.asarray(window) for whole in sequences for window in encoder.windows(whole)]
        prefix = Prefix(classifier, depth, encoder.pad(texts[:PROBED]))
        missing = prefix.states.missing(texts)
        accelerator.wait_for_everyone()  # before any process adds to what all have looked at
        require_room(prefix.bytes_of(missing))
        most = tokens_at_once(classifier.device.type)
        classifier.attend(SCORING_ATTENTION)
        with self.terminal.bar("frozen layers", len(missing)) as advance:
            prefix.fill(
                missing[accelerator.process_index :: accelerator.num_processes],
                lambda part: encoder.batches(
                    part, scoring_batches(np.fromiter(map(len, part), dtype=np.int64), most), most
                ),
                lambda count: advance(count * accelerator.num_processes),
            )
        classifier.attend(self.training_attention)
        accelerator.wait_for_everyone()
        prefix.states.look_again()
        off = prefix.prove()
        size = prefix.bytes_of(texts) / 1e9
        self.terminal.say(
            f"{depth} frozen layer(s): computed for {len(missing):,} texts, read for the rest; {size:.2g} GB "
            f"in {prefix.states.folder}, {off:.2%} off by rounding"
        )
        return prefix

    def _micro_batch(self, attempt: Callable[[Batch], None]) -> int:
        """Most examples a process holds at once, the same on all: what the recipe says, or what fits."""
        corpus, recipe, accelerator = self.resolved.corpus, self.resolved.recipe, self.accelerator
        share = math.ceil(recipe.train.global_batch / accelerator.num_processes)
        if recipe.train.micro_batch != "auto":
            return min(share, recipe.train.micro_batch)
        most = min(share, MOST_ON_CPU) if accelerator.device.type == "cpu" else share
        rows = corpus.rows("train")
        longest = rows[(-corpus.lengths[rows]).argsort(kind="stable")]
        # a quarter more than will be used: memory taken in pieces of changing sizes is never used to its end
        size = largest(most, lambda n: attempt(corpus.batch(longest[: n + n // 4])), accelerator)
        if size < most:
            self.terminal.say(f"micro-batch: {size} texts a process; {most} do not fit in memory")
        return size

    def _windows(self, start: int, micro_batch: int) -> Iterator[Window]:
        """This process's part of every update from `start` on, in batches of at most `micro_batch`."""
        corpus, accelerator = self.resolved.corpus, self.accelerator
        rows, order = corpus.rows("train"), self.order
        process, processes = accelerator.process_index, accelerator.num_processes
        seed = self.resolved.recipe.data.seed
        for step in range(start, self.steps):
            chosen = rows[order.window(step)]
            pieces = micro_batches(chosen, corpus.lengths, process, processes, micro_batch)
            yield corpus.window(step, chosen, pieces, seed, step // order.steps_per_epoch)

    def unwanted(self, step: int, figures: Mapping[str, Any]) -> bool:
        return self.watch is not None and not self.watch(step, figures)

    def interrupted(self, step: int) -> Interrupted:
        number = self.stop.received or signal.SIGTERM  # None: another process was told
        return Interrupted(
            number, f"stopped by {signal.Signals(number).name} at step {step}; the same command resumes"
        )


@contextmanager
def _faster(classifier: Classifier, prefix: Prefix | None) -> Iterator[None]:
    with classifier.lean(), prefix.read() if prefix else nullcontext():
        yield


def require_room(size: int) -> None:
    """Raise InputError where the cache's disk has no room for so many bytes."""
    folder = cache_folder()
    free = shutil.disk_usage(folder).free
    if size > free:
        what = f"true, which takes {size / 1e9:.1f} GB in {folder}; {free / 1e9:.1f} GB are free"
        remedy = "TEENSAFE_CACHE on another disk, more frozen layers, or train.cache_prefix=false"
        raise InputError(Problem("train.cache_prefix", what, "room on the disk", remedy))


def _within(way: AbstractContextManager[None], updates: Iterator[Update]) -> Iterator[Update]:
    with way:
        yield from updates


def steps_of(resolved: Resolved) -> int:
    """Updates the recipe asks for."""
    plan = resolved.recipe.train
    if plan.steps is not None:
        return plan.steps
    assert plan.epochs is not None
    return math.ceil(plan.epochs * math.ceil(resolved.mixture.size / plan.global_batch))


def main_first(accelerator: Accelerator, work: Callable[[], T]) -> T:
    """Do `work` on the main process, then on the others: what it caches is there for them.

    If it fails on the main process, that one raises and says why; the others leave quietly.
    """
    from accelerate.utils import broadcast_object_list

    failure: TeensafeError | None = None
    result: list[T] = []
    if accelerator.is_main_process:
        try:
            result = [work()]
        except TeensafeError as error:
            failure = error
    code = broadcast_object_list([failure.exit_code if failure else 0])[0]
    if failure:
        raise failure
    if code:
        raise SystemExit(code)
    return result[0] if result else work()


def shared(accelerator: Accelerator, value: str) -> str:
    """The main process's value, on every process."""
    from accelerate.utils import broadcast_object_list

    return str(broadcast_object_list([value])[0])


def take_leave() -> None:
    """Close the connections to other processes."""
    import torch

    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def end_process(code: int) -> NoReturn:
    """Exit with this code; of several processes, without the interpreter's own end.

    Threads of a gloo group that DistributedDataParallel has used outlive the group (seen with torch 2.13),
    and at times abort an interpreter that ends: "terminate called without an active exception".
    """
    sys.stdout.flush()
    sys.stderr.flush()
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        os._exit(code)
    sys.exit(code)
