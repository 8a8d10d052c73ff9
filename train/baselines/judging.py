"""A baseline judged as its run was: an attempt goes in, a folder like a run's comes out.

RUN/baselines/<kind>/ holds recipe.yaml, recipe.lock (the run's, its recipe with a key `baseline`: what that
was made with), summary, predictions and status, so that what compares and reports runs reads it like a run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from train.assessment import judge, predictions
from train.baselines.attempt import Attempt, Baseline
from train.data.corpus import Corpus
from train.data.encoding import Encoder
from train.errors import InputError, Problem
from train.evaluation import operating_points
from train.evaluation.gates import Answer
from train.evaluation.predictions import Predictions
from train.evaluation.records import shown
from train.evaluation.table import table
from train.examination import Examiner
from train.files import canonical_json, sha256_bytes
from train.judgement import judgement
from train.lock import Resolved, code_version, resolve_again
from train.recipe import load
from train.report.page import write as write_report
from train.terminal import Terminal
from train.tracking.run import Run, find, lock, status, summary

FOLDER = "baselines"
SAME_ROWS = "same-rows"
"""Ends the name of the folder with what the run itself says of the rows that a baseline has verdicts of."""


def baseline(name: str, kind: str, attempt: Baseline) -> dict[str, Any]:
    """The baseline's summary, as summary.json holds it, with `run`: its folder. Nothing is written before
    the attempt is made.

    Raises InputError where the run is not finished, or its data are no longer what it was trained on.
    """
    folder = find(name)
    if status(folder).get("status") != "done":
        remedy = "run its `teensafe train` command again: it resumes"
        raise InputError(Problem(name, "is not finished", "a finished run", remedy))
    resolved = resolve_again(load(folder / "recipe.yaml"), lock(folder))
    start = time.perf_counter()
    made = attempt(folder, resolved)
    told = {"seconds": time.perf_counter() - start, **made.told}
    about = {"kind": kind, **made.settings}
    parts, final = _judged(resolved, made, Terminal())
    target = folder / FOLDER / kind
    if len(parts["test"]) < len(resolved.corpus.rows("test")):
        told["same_rows"] = f"{kind}-{SAME_ROWS}"
        of_run, its = _on_same_rows(folder, parts["test"])
        _write(target.with_name(told["same_rows"]), folder, resolved, {"same_rows_as": about}, of_run, its)
    final = {"baseline": about | told, **final}
    _write(target, folder, resolved, about, parts, final)
    write_report(target)
    return {"run": str(target), **final}


@dataclass(frozen=True)
class Scorer:
    """A baseline, asked as a Predictor is."""

    corpus: Corpus
    score: Callable[[Sequence[str]], np.ndarray]
    points: Mapping[str, operating_points.OperatingPoint]

    @property
    def labels(self) -> tuple[str, ...]:
        return self.corpus.labels

    @property
    def encoder(self) -> Encoder:
        return self.corpus.encoder

    def logits(self, texts: Sequence[str], **way: Any) -> np.ndarray:
        """Float [n, L]; nothing stops it, and no other process takes part."""
        return self.score(texts)

    def judge(self, found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return operating_points.apply(self.points, found, self.labels)


def _judged(
    resolved: Resolved, made: Attempt, terminal: Terminal
) -> tuple[dict[str, Predictions], dict[str, Any]]:
    """Predictions by name, of the rows that have a verdict, and the summary."""
    corpus, policy = resolved.corpus, resolved.recipe.policy
    kept = {split: ~np.isnan(found).any(axis=1) for split, found in made.logits.items()}
    fitted = corpus.rows("calibration")[kept["calibration"]]
    points = operating_points.fit(
        {label: policy.labels[label].constraint for label in corpus.labels},
        corpus.targets[fitted],
        made.logits["calibration"][kept["calibration"]],
        corpus.labels,
        corpus.column("group", fitted),
    )

    def seen(split: str, *at: Mapping[str, operating_points.OperatingPoint]) -> Predictions:
        logits = np.where(kept[split][:, None], made.logits[split], 0.0)
        return predictions(corpus, split, logits, *at).select(kept[split])

    parts = {split: seen(split, points) for split in made.logits}
    if made.score and kept["test"].all():
        examiner = Examiner(Scorer(corpus, made.score, points), terminal)
        parts |= examiner.everything(resolved.recipe, parts["test"], corpus.texts(corpus.rows("test")))
    # dev as every checkpoint is judged: the plain sigmoid, flags at .5
    dev = judge(seen("dev")).figures if "dev" in made.logits else {}
    metric = resolved.recipe.evaluate.select.metric
    judged = judgement(resolved, parts)
    judged.figures.update(dev)
    return parts, {
        "status": "done",
        "name": resolved.recipe.name,
        "steps": 0,
        "selected_step": 0,
        "selected_by": {metric: dev.get(metric)},
        "labels": list(corpus.labels),
        **judged.summary(),
        "operating_points": {label: asdict(point) for label, point in points.items()},
    }


def _on_same_rows(folder: Path, rows: Predictions) -> tuple[dict[str, Predictions], dict[str, Any]]:
    """The run's own test predictions of `rows`, and its summary with the figures of them alone.

    What it says of all its rows, duties and gates, does not stand beside these.
    """
    whole = Predictions.read(folder / "predictions" / "test.parquet")
    part = whole.select(np.isin(whole.ids, rows.ids))
    found = judge(part, with_intervals=True)
    bounds = {key: list(pair) for key, pair in found.intervals.items()}
    final = summary(folder)
    said = "not asked of these rows alone"
    gates = [
        asdict(Answer(gate["gate"], "not shown", None, None, None, None, said))
        for gate in final.get("gates", ())
    ]
    final |= {"metrics": found.figures, "intervals": bounds, "suites": {}, "duties": [], "gates": gates}
    return {"test": part}, final


def _write(
    target: Path,
    folder: Path,
    resolved: Resolved,
    about: Mapping[str, Any],
    parts: Mapping[str, Predictions],
    final: Mapping[str, Any],
) -> None:
    """All but the status at first says `running`, so that no half of two attempts passes for one."""
    run = Run(target, code_version())
    try:
        run.status("running", 0)
        locked = lock(folder)
        locked["recipe"] |= {"baseline": about}  # so that no one takes it for a run of the recipe
        locked["sha256"] = sha256_bytes(canonical_json([locked["sha256"], about]).encode())
        run.describe(resolved.recipe.to_yaml(), locked)
        resolved.corpus.write_split(target / "split.parquet")
        for split, part in parts.items():
            part.write(target / "predictions" / f"{split}.parquet")
        run.summary(final)
        run.status("done", final["steps"])
    finally:
        run.close()


def show(final: Mapping[str, Any], terminal: Terminal) -> None:
    """The run's table for the test rows, and what it took."""
    for name in shown(key.split("/")[0] for key in final["metrics"] if not key.startswith("dev")):
        terminal.show(table(final["metrics"], final["intervals"], name))
    about = final["baseline"]
    terminal.say(f"{about['kind']}: {about['seconds']:.1f} s; {final['run']}")
    for split, counts in about.get("texts", {}).items():
        said = ", ".join(f"{key.replace('_', ' ')} {count:,}" for key, count in counts.items())
        terminal.say(f"{split}: {said}")
    if cost := about.get("cost"):
        prompts, answers = cost["prompt_tokens"], cost["completion_tokens"]
        terminal.say(f"tokens: {prompts:,} of prompts, {answers:,} of answers")
    if "same_rows" in about:
        where = Path(final["run"]).with_name(about["same_rows"])
        terminal.say(f"compare with the run on these rows alone: {where}")
