"""A recipe being trained, as one process sees it, and how the processes keep together."""

from __future__ import annotations

import math
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
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
        prefix = self._prefix(classifier, start) if recipe.train.cache_prefix else None
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

    def _prefix(self, classifier: Classifier, start: int) -> Prefix | None:
        """The frozen layers, with what they make of every text that is to come kept on disk; None where the
        recipe leaves it to what is found.

        Raises InputError where none is frozen, the disk has no room, or the layers above read more, and
        Interrupted.
        """
        corpus, encoder = self.resolved.corpus, self.resolved.corpus.encoder
        sequences = corpus.sequences(self._drawn(start))
        texts = [np.asarray(window) for whole in sequences for window in encoder.windows(whole)]
        try:
            prefix, missing = self._beginning(classifier, texts)
        except InputError as unsuited:
            if self.resolved.recipe.train.cache_prefix != "auto":
                raise
            self.terminal.say(f"frozen layers are computed at every update: {unsuited.problems[0].what}")
            return None
        self._fill(classifier, prefix, texts, missing, start)
        off = prefix.prove()
        size = prefix.bytes_of(texts) / 1e9
        self.terminal.say(
            f"{prefix.depth} frozen layer(s): computed for {missing:,} texts, read for the rest; "
            f"{size:.2g} GB in {prefix.states.folder}, {off:.2%} off by rounding"
        )
        return prefix

    def _drawn(self, start: int) -> np.ndarray:
        """Rows that the updates from `start` on learn from, ascending: a short run does not see them all."""
        rows, order = self.resolved.corpus.rows("train"), self.order
        drawn = np.zeros(len(rows), dtype=bool)
        for step in range(start, self.steps):
            drawn[order.window(step)] = True
            if drawn.all():
                break
        return rows[drawn]

    def _beginning(self, classifier: Classifier, texts: Sequence[np.ndarray]) -> tuple[Prefix, int]:
        """The frozen layers, and of how many texts nothing is kept yet: the same, or the same InputError, on
        all processes, before any of them writes."""
        depth = frozen(classifier)
        if not depth:
            what = f"every update computes all {len(layers(classifier.plain))} layers anew"
            raise InputError(Problem("train.cache_prefix", what, "a frozen layer without dropout, or false"))
        probe = texts[:: max(1, len(texts) // PROBED)][:PROBED]
        prefix = Prefix(classifier, depth, self.resolved.corpus.encoder.pad(probe))
        missing = prefix.states.missing(texts)
        size, free, count = told(
            self.accelerator, [prefix.bytes_of(missing), shutil.disk_usage(cache_folder()).free, len(missing)]
        )
        self.accelerator.wait_for_everyone()  # what all have looked at, nobody has added to
        require_room(size, free)
        return prefix, count

    def _fill(
        self, classifier: Classifier, prefix: Prefix, texts: Sequence[np.ndarray], missing: int, start: int
    ) -> None:
        """Compute and keep what is missing, each process its part. Raises Interrupted on all of them where a
        signal reached one; what was finished stays."""
        import torch

        accelerator, encoder = self.accelerator, self.resolved.corpus.encoder
        most = tokens_at_once(classifier.device.type)
        # parts of the texts, not of those missing: another run may add some before all have looked
        mine = prefix.states.missing(texts[accelerator.process_index :: accelerator.num_processes])
        classifier.attend(SCORING_ATTENTION)
        with self.terminal.bar("frozen layers", missing) as advance, suppress(Interrupted):

            def done(count: int) -> None:
                advance(count * accelerator.num_processes)
                if self.stop:
                    raise self.interrupted(start)

            prefix.fill(
                mine,
                lambda part: encoder.batches(
                    part, scoring_batches(np.fromiter(map(len, part), dtype=np.int64), most), most
                ),
                done,
            )
        classifier.attend(self.training_attention)
        cut = accelerator.reduce(torch.tensor(float(bool(self.stop)), device=accelerator.device), "sum")
        if cut.item() > 0:
            raise self.interrupted(start)
        prefix.states.look_again()

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


def require_room(size: int, free: int) -> None:
    """Raise InputError where the cache's disk, with so many bytes free, has no room for those to be kept."""
    if size > free:
        what = f"{size / 1e9:.1f} GB are to be kept in {cache_folder()}, where {free / 1e9:.1f} GB are free"
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
    return str(told(accelerator, [value])[0])


def told(accelerator: Accelerator, values: list[T]) -> list[T]:
    """The main process's values, on every process."""
    from accelerate.utils import broadcast_object_list

    found: list[T] = broadcast_object_list(values)
    return found


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
