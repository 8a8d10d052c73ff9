"""The front door: one recipe through the rooms, in order.

    teensafe train RECIPE [key=value ...]
    accelerate launch -m train RECIPE [key=value ...]

Start reading at `train`. Every process runs it; only the main one owns the run folder and writes.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from train.errors import Failure, Interrupted, Problem, Pruned, guarded
from train.job import Job, Watch, end_process, main_first, shared, steps_of, take_leave
from train.terminal import Terminal

if TYPE_CHECKING:
    from train.loop.checkpoints import Progress
    from train.model.classifier import Classifier
    from train.recipe import Recipe


def train(recipe: Recipe, watch: Watch | None = None) -> dict[str, Any]:
    """Train a recipe, or resume it, or find that it is done. Returns the run's summary.

    watch: is told of every evaluation, past ones too, and may end the training before its last step. What a
    killed process judged after its last checkpoint is trained and judged again, and told then. Raises
    InputError (nothing was written), Failure, or Interrupted and Pruned (the same call resumes).
    """
    import torch
    from accelerate import Accelerator, DistributedDataParallelKwargs

    from train import publishing
    from train.data.hazards import untrained
    from train.lock import code_version, resolve
    from train.loop.checkpoints import judged_up_to
    from train.model.adapter import require_gpu
    from train.model.precision import resolve as resolve_precision
    from train.signals import StopSignals
    from train.tracking.run import Run, evaluations, runs_folder, status, summary

    # number formats are the recipe's (train/model/precision.py), whatever `accelerate config` says
    # where there is no accelerator it must be told so, or several processes would each believe to be alone
    accelerator = Accelerator(
        cpu=not torch.accelerator.is_available(),
        mixed_precision="no",
        kwargs_handlers=[DistributedDataParallelKwargs(gradient_as_bucket_view=True)],
    )
    terminal = Terminal(accelerator.is_main_process)
    with StopSignals() as stop:
        main_first(accelerator, lambda: require_gpu(recipe.adapter))
        resolved = main_first(accelerator, lambda: resolve(recipe))
        folder = runs_folder() / resolved.run_name
        code = code_version()
        before = status(folder)
        done, steps = before.get("status") == "done", steps_of(resolved)
        known = steps if done else judged_up_to(folder / "checkpoints")
        past = [each for each in evaluations(folder) if each[0] <= known] if watch else []
        unwanted = [step for step, figures in past if watch and not watch(step, figures)]
        if done:
            if before.get("code") != code:
                terminal.say(f"warning: this run was made by code {before.get('code')}; this is {code}")
            terminal.say(f"{folder}: done already (step {before['step']})")
            return {"run": str(folder), **summary(folder)}
        if unwanted and unwanted[0] < steps:
            raise _pruned(unwanted[0])
        for line in untrained(resolved.corpus):
            terminal.say(f"warning: {line}")
        run = main_first(accelerator, lambda: Run(folder, code) if accelerator.is_main_process else None)
        wandb = None
        try:
            precision = resolve_precision(recipe.train.precision, accelerator.device)
            if run:
                run.describe(recipe.to_yaml(), resolved.lock())
                resolved.corpus.write_split(folder / "split.parquet")
            wandb = main_first(
                accelerator,
                lambda: (
                    publishing.begin(
                        resolved, folder, precision, accelerator.num_processes, before.get("step")
                    )
                    if run
                    else None
                ),
            )
            if wandb and wandb.offline:
                terminal.say(
                    f"W&B is offline; to send this run later: wandb sync {folder}/wandb/offline-run-*"
                )
            return _run(Job(resolved, accelerator, precision, stop, terminal, run, wandb, watch))
        except BaseException as error:
            stopped = isinstance(error, Interrupted | Pruned | KeyboardInterrupt)
            if run:
                with suppress(OSError):  # a full disk must not hide the error that says so
                    step = status(folder).get("step", 0)
                    what = f"{type(error).__name__}: {error}"
                    run.status("interrupted" if stopped else "failed", step, error=what)
            if wandb:
                wandb.finish(0 if stopped else 1)
            raise
        finally:
            if run:
                run.close()


def _run(job: Job) -> dict[str, Any]:
    """Train, then judge the best checkpoint, in the memory that training gave back."""
    from train.loop.memory import give_back

    root, progress = _trained(job)
    job.accelerator.wait_for_everyone()
    give_back(job.accelerator)
    return _finish(job, root, progress)


def _trained(job: Job) -> tuple[Path, Progress]:
    """Build or resume the classifier, update it, keep the best checkpoint: (their folder, the end)."""
    from train.candidate import evaluate
    from train.loop import checkpoints, optimizer
    from train.loop.checkpoints import Progress
    from train.model.classifier import create, load

    recipe, corpus = job.resolved.recipe, job.resolved.corpus
    root = Path(shared(job.accelerator, str(job.run.checkpoints) if job.run else ""))
    found = main_first(job.accelerator, lambda: checkpoints.newest(root, job.terminal.say))
    if found:
        folder, progress = found
        classifier = load(folder)
        job.terminal.say(f"resuming at step {progress.step} of {job.steps}: {folder}")
    else:
        folder, progress = None, Progress()
        classifier = create(
            recipe.model,
            recipe.adapter,
            recipe.model.encoding(),
            corpus.labels,
            job.resolved.tokenizer,
            job.precision,
            recipe.train.seed,
        )
    if classifier.card.labels != corpus.labels or classifier.card.precision != job.precision:
        raise _not_this_run(folder, classifier, job)
    if recipe.train.gradient_checkpointing:
        classifier.recompute_activations()
    classifier.model.to(job.accelerator.device)
    body, head = classifier.parts()
    adam = optimizer.build(recipe.train, body, head)
    if folder:
        optimizer.restore(adam, [*body, *head], checkpoints.trainer_state(folder))
        if job.run:
            _mend_links(root, folder, progress, job.terminal)
    if job.run:
        processes = job.accelerator.num_processes
        job.run.status("running", progress.step, steps=job.steps, processes=processes)

    def keep() -> None:
        if job.run:
            saved = checkpoints.save(root, progress, classifier.save, optimizer.state(adam, [*body, *head]))
            if progress.best_step == progress.step:
                checkpoints.select(root, saved)
            checkpoints.prune(root)
            job.run.status("running", progress.step, steps=job.steps)

    if job.due(progress.step) and not progress.evaluated:
        evaluate(job, classifier, progress)
        keep()
        if job.unwanted(progress.step, progress.figures) and progress.step < job.steps:
            raise _pruned(progress.step)
    if progress.step < job.steps and not _patience_over(recipe, progress):
        _update(job, classifier, adam, progress, keep)
    return root, progress


def _mend_links(root: Path, folder: Path, progress: Progress, terminal: Terminal) -> None:
    """After a kill between a save and its links, or damage to `best`: point both at whole checkpoints."""
    from train.files import point_link
    from train.loop import checkpoints

    point_link(root / "last", folder.name)
    if progress.best_step in (progress.step, None):
        checkpoints.select(root, folder)
        return
    try:
        checkpoints.open_checkpoint((root / "best").resolve())
    except Failure as damage:
        terminal.say(f"the best checkpoint is damaged; the newest takes its place\n{damage}")
        checkpoints.select(root, folder)


def _update(
    job: Job, classifier: Classifier, adam: Any, progress: Progress, keep: Callable[[], None]
) -> None:
    """Updates from `progress` to the end of training, each logged; checkpoints evaluated and kept."""
    from train.candidate import evaluate
    from train.model.precision import SCORING_ATTENTION

    recipe = job.resolved.recipe
    updates = job.updates(classifier, adam, progress.step)
    per_epoch = job.order.steps_per_epoch
    with job.terminal.bar("train", job.steps, progress.step) as advance:
        for update in updates:
            progress.step, progress.evaluated = update.step, False
            progress.seconds += update.seconds
            progress.tokens += update.tokens
            record = {
                "step": update.step,
                "train/epoch": update.step / per_epoch,
                "train/loss": update.loss,
                "train/grad_norm": update.grad_norm,
                "train/lr": update.lr,
                "train/examples_per_second": update.examples / update.seconds,
                "train/tokens_per_second": update.tokens / update.seconds,
            }
            if job.run and job.wandb:
                job.run.log(record)
                job.wandb.log(record)
            advance(1, f"loss {update.loss:.3f}")
            if update.stop:
                keep()
                raise job.interrupted(progress.step)
            if job.due(update.step):
                classifier.attend(SCORING_ATTENTION)
                try:
                    evaluate(job, classifier, progress)
                except Interrupted:
                    keep()  # not evaluated yet: the resume begins with that
                    raise
                keep()
                if job.unwanted(progress.step, progress.figures) and progress.step < job.steps:
                    raise _pruned(progress.step)
                classifier.attend(job.training_attention)
                if _patience_over(recipe, progress):
                    job.terminal.say(
                        f"no better checkpoint in {recipe.evaluate.patience} evaluations: stopping early"
                    )
                    return


def _pruned(step: int) -> Pruned:
    return Pruned(f"ended at step {step}: the rest is not wanted; `teensafe train` goes on from there")


def _patience_over(recipe: Recipe, progress: Progress) -> bool:
    patience = recipe.evaluate.patience
    return patience is not None and progress.evaluations_since_best >= patience


def _finish(job: Job, root: Path, progress: Progress) -> dict[str, Any]:
    """Fit operating points on calibration, open test split and suites once, prove the reload, sum up."""
    import numpy as np

    from train import publishing
    from train.assessment import predictions
    from train.candidate import PROBE, examiner, fit_points, score
    from train.evaluation import operating_points
    from train.judgement import judgement
    from train.loop.checkpoints import add, open_checkpoint
    from train.loop.memory import device_name, give_back, peak_bytes
    from train.model.classifier import load
    from train.report.page import write as write_report
    from train.serving.predictor import POINTS
    from train.serving.reload import largest_difference

    recipe, corpus, step = job.resolved.recipe, job.resolved.corpus, progress.step
    best = (root / "best").resolve()
    chosen = main_first(job.accelerator, lambda: open_checkpoint(best))
    classifier = load(best, job.precision)
    classifier.model.to(job.accelerator.device)
    logits = {split: score(job, classifier, split, step) for split in ("calibration", "dev", "test")}
    points = fit_points(job, classifier, logits["calibration"])
    splits = {split: predictions(corpus, split, logits[split], points) for split in logits}
    texts = corpus.texts(corpus.rows("test"))
    found = splits | examiner(job, classifier, points, step).everything(recipe, splits["test"], texts)
    if not (job.run and job.wandb):
        return {}
    del classifier
    give_back(job.accelerator)  # the reload is another process, and wants the same GPU
    probe = corpus.rows("dev")[:PROBE]
    expected = np.array(chosen.probe["logits"])
    difference = largest_difference(best, corpus.texts(probe), expected, job.precision)
    operating_points.write(best / POINTS, points)
    add(best, POINTS)
    for name, part in found.items():
        part.write(job.run.folder / "predictions" / f"{name}.parquet")
    judged = judgement(job.resolved, found)
    # dev as every checkpoint was judged (plain sigmoid, flags at .5); the rest at the operating points.
    # Figures of calibration would flatter: the points were fitted on it
    judged.figures.update(chosen.figures)
    summary = {
        "status": "done",
        "name": recipe.name,
        "steps": step,
        "selected_step": chosen.step,
        "selected_by": {recipe.evaluate.select.metric: chosen.best_value},
        "labels": list(corpus.labels),
        "precision": job.precision,
        "processes": job.accelerator.num_processes,
        "reload_max_logit_difference": difference,
        "cost": {
            "train_seconds": progress.seconds,
            "tokens": progress.tokens,
            "peak_memory_bytes": peak_bytes(job.accelerator.device),
            "device": device_name(job.accelerator.device),
        },
        "operating_points": {label: asdict(point) for label, point in points.items()},
        **judged.summary(),
    }
    job.run.summary(summary)
    write_report(job.run.folder)
    publishing.end(job.wandb, job.run.folder, summary)
    job.run.status("done", step, steps=job.steps)
    job.wandb.finish()
    return {"run": str(job.run.folder), **summary}


def _not_this_run(folder: Path | None, classifier: Classifier, job: Job) -> Failure:
    was = f"labels {', '.join(classifier.card.labels)} in {classifier.card.precision}"
    now = f"labels {', '.join(job.resolved.corpus.labels)} in {job.precision}"
    return Failure(
        Problem(
            str(folder),
            f"was trained for {was}; this process would train {now}",
            "the labels and the number format the run began with",
            "resume on a like machine, or set train.precision (a new run)",
        )
    )


def main(arguments: Sequence[str] | None = None, program: str = "python -m train") -> int:
    """The command `train`; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog=program,
        description="Train a recipe, judge every checkpoint, keep the best. The same command again resumes.",
        epilog="example: %(prog)s recipes/quickstart.yaml train.epochs=2 track.wandb=disabled",
    )
    parser.add_argument("recipe", help="recipe file (YAML)")
    parser.add_argument(
        "override", nargs="*", help="key=value, as in train.lr=1e-4; `~` or null removes a value"
    )
    parser.add_argument(
        "--json", action="store_true", help="print the summary as one JSON document on stdout"
    )
    given = parser.parse_intermixed_args(arguments)

    def work() -> int:
        from train.recipe import load

        summary = train(load(given.recipe, given.override))
        take_leave()
        return _show(summary, given.json) if summary else 0

    return guarded(program, work)


def _show(summary: dict[str, Any], as_json: bool) -> int:
    """The summary for a person or a program; the exit code."""
    from train.judgement import exit_code, show

    if as_json:
        sys.stdout.write(json.dumps(summary, allow_nan=False) + "\n")
        return exit_code(summary)
    terminal = Terminal()
    show(summary, terminal)
    terminal.say(f"run: {summary['run']} (checkpoint of step {summary['selected_step']})")
    return exit_code(summary)


if __name__ == "__main__":
    end_process(main())
