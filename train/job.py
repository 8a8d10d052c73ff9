"""A recipe being trained, as one process sees it, and how the processes keep together."""

from __future__ import annotations

import math
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from train.data.order import Order, micro_batches
from train.errors import Interrupted, TeensafeError
from train.example import Window
from train.terminal import Terminal

if TYPE_CHECKING:
    from accelerate import Accelerator

    from train.lock import Resolved
    from train.loop.signals import StopSignals
    from train.model.precision import Precision
    from train.tracking.run import Run
    from train.tracking.wandb_log import WandbLog

T = TypeVar("T")

LARGEST_MICRO_BATCH = 64
"""What `micro_batch: auto` does not exceed."""


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

    def windows(self, start: int) -> Iterator[Window]:
        """This process's part of every update from `start` on."""
        corpus, recipe, accelerator = self.resolved.corpus, self.resolved.recipe, self.accelerator
        rows, order, processes = corpus.rows("train"), self.order, accelerator.num_processes
        share = math.ceil(recipe.train.global_batch / processes)
        size = (
            min(share, LARGEST_MICRO_BATCH)
            if recipe.train.micro_batch == "auto"
            else recipe.train.micro_batch
        )
        for step in range(start, self.steps):
            chosen = rows[order.window(step)]
            pieces = micro_batches(chosen, corpus.lengths, accelerator.process_index, processes, size)
            yield corpus.window(step, chosen, pieces, recipe.data.seed, step // order.steps_per_epoch)

    def interrupted(self, step: int) -> Interrupted:
        number = self.stop.received or signal.SIGTERM  # None: another process was told
        return Interrupted(
            number, f"stopped by {signal.Signals(number).name} at step {step}; the same command resumes"
        )


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
