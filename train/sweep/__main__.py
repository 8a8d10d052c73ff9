"""teensafe sweep SWEEP, and on several processes: accelerate launch -m train.sweep SWEEP"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from train.errors import InputError, Interrupted, guarded
from train.job import end_process, take_leave
from train.terminal import Terminal

COMPARED = 5
"""Recipes whose runs are held against each other on the test sets: the best on dev."""


def main(arguments: Sequence[str] | None = None, program: str = "python -m train.sweep") -> int:
    """The command `sweep`; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog=program,
        description="Train many recipes that differ in a few values, one after another, and rank them by "
        "their dev figures. What is finished is not trained again: the same command goes on after a break, "
        "and a space may grow. Frozen layers are computed once for each text, for all runs.",
        epilog="example: %(prog)s recipes/sweeps/minilm-top2.yaml --list",
    )
    parser.add_argument("sweep", help="sweep file (YAML)")
    parser.add_argument("--list", action="store_true", help="check the file and say what would be trained")
    parser.add_argument(
        "--json", action="store_true", help="print the ranking as one JSON document on stdout"
    )
    given = parser.parse_args(arguments)

    def work() -> int:
        from train.sweep.spec import load

        plan = load(given.sweep)
        if given.list:
            _list(plan)
            return 0
        document = run(plan)
        take_leave()
        if document and given.json:
            sys.stdout.write(json.dumps(document, allow_nan=False) + "\n")
        return 0

    return guarded(program, work)


def run(plan: Any) -> dict[str, Any]:
    """The whole sweep, with its page, its comparison and its documents in $TEENSAFE_RUNS/sweeps/NAME. Returns
    its document; {} on all but the main process."""
    import torch
    from accelerate import PartialState
    from accelerate.utils import broadcast_object_list

    from train.__main__ import train
    from train.alone import alone
    from train.files import write_json, write_text
    from train.signals import StopSignals
    from train.sweep.search import require_optuna
    from train.sweep.sweep import sweep
    from train.sweep.table import table
    from train.tracking.run import runs_folder

    if plan.sweep.search.kind == "tpe":
        require_optuna()
    leads = PartialState(cpu=not torch.accelerator.is_available()).is_main_process
    terminal, folder = Terminal(leads), runs_folder() / "sweeps" / plan.sweep.name

    def told(document: Mapping[str, Any]) -> None:
        if leads:
            write_json(folder / "sweep.json", document)
            _pages(document, folder, None)

    def fit(recipe: Any, watch: Any) -> Mapping[str, Any]:
        # a run that was ending when the signal came has ended: the next one must not begin
        if number := broadcast_object_list([stop.received])[0]:
            name = signal.Signals(number).name
            raise Interrupted(number, f"stopped by {name} between two runs; the same command goes on")
        return train(recipe, watch)

    lock = alone(folder, "another process runs this sweep") if leads else nullcontext()
    with lock, StopSignals() as stop:
        if leads:
            write_text(folder / "sweep.yaml", Path(plan.file).read_text(encoding="utf-8"))
        document = sweep(plan, fit, told, terminal.say)
        if not leads:
            return {}
        compared = _compared(document, folder, terminal)
        terminal.show(table(document))
        terminal.say(f"page: {_pages(document, folder, compared)}")
    return document


def _pages(document: Mapping[str, Any], folder: Path, compared: Path | None) -> Path:
    from train.sweep.page import write

    return write(document, folder / "sweep.html", compared.name if compared else None)


def _compared(document: Mapping[str, Any], folder: Path, terminal: Terminal) -> Path | None:
    """The page that holds the best recipes against each other on the same texts; None where there are not
    two. It goes to W&B as well, into the sweep's group, unless the recipe says that nothing does."""
    from train.comparison.compare import compare
    from train.comparison.page import write
    from train.comparison.publishing import publish
    from train.comparison.sides import sides
    from train.recipe import load
    from train.sweep.sweep import groups
    from train.tracking.run import runs_folder

    best = groups(document, COMPARED)
    if len(best) < 2:
        terminal.say("there are no two recipes with finished runs to compare")
        return None
    try:
        given = sides([run for runs in best for run in runs], baseline=best[0][0])
        found = compare(given)
    except InputError as error:  # recipes whose data or labels differ judge different texts
        terminal.say(f"the best are not compared: {error}")
        return None
    if load(runs_folder() / best[0][0] / "recipe.yaml").track.wandb != "disabled":
        terminal.say(publish(found, given, document["name"]))
    return write(found, folder / "compare.html")


def _list(plan: Any) -> None:
    """Every run of a grid; of a search the space that it draws from."""
    from train.sweep.spec import Range

    terminal = Terminal()
    if plan.sweep.search.kind == "grid":
        choices = [*plan.grid()]
        for number, choice in enumerate(choices, start=1):
            values = ", ".join(f"{key} {value}" for key, value in plan.shown(choice).items())
            terminal.say(f"{number:>3}  {values}")
        terminal.say(f"{len(choices)} runs")
        return
    for key, values in plan.sweep.space.items():
        if isinstance(values, Range):
            terminal.say(
                f"{key}: {values.low:g} to {values.high:g}{', by its logarithm' if values.log else ''}"
            )
        else:
            terminal.say(f"{key}: {', '.join(plan.shown({key: n})[key] for n in range(len(values)))}")
    terminal.say(f"{plan.sweep.search.runs} runs")


if __name__ == "__main__":
    end_process(main())
