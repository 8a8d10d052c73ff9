"""`teensafe export`: a finished run goes in, a bundle comes out, proven before it has its name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from train.bundle import golden
from train.bundle.manifest import (
    CARD,
    GOLDEN,
    GRAPHS,
    MANIFEST,
    MODEL,
    SIGNATURE,
    TOLERANCE,
    Manifest,
    Runtime,
    Variant,
)
from train.bundle.runtime import load as load_variant
from train.bundle.signature import sign
from train.bundle.verify import listed, prove
from train.errors import InputError, Problem
from train.export.card import card
from train.export.describe import RunSaid, described, evaluation
from train.export.graph import to_int8, to_onnx
from train.export.merged import Merged, merge
from train.export.variants import Fitted, fit_again
from train.files import whole_folder
from train.lock import Resolved, resolve_again
from train.loop.checkpoints import open_checkpoint
from train.recipe import load as load_recipe
from train.serving.predictor import Predictor, checkpoint_of
from train.terminal import Terminal
from train.tracking.run import find, lock, summary

_PROBE = ("one two three four five six", "one")


def export(name: str, target: Path, int8: bool = False, key: Path | None = None) -> Manifest:
    """Write the bundle of a run's selected checkpoint to `target`, whole or not at all; or find it there.

    int8: also a graph with weights in 8 bits. It, and everything of a run that was judged in bf16, gets
    thresholds of its own, for which the run's data have to be where they were. key: a private key in PEM that
    signs it.
    Raises InputError where `target` exists, the run is not finished or cannot be handed over, or its data are
    gone; Failure where a form of the model does not answer as the trained one does.
    """
    made = _made_already(name, target)
    if made and int8 <= ("onnx-int8" in made.variants) and bool(key) <= (target / SIGNATURE).exists():
        return made
    if target.exists():
        what = "exists already, and a bundle is never changed"
        raise InputError(Problem(str(target), what, "a new folder", "--to another name, or remove it"))
    folder, checkpoint = find(name), checkpoint_of(name)
    open_checkpoint(checkpoint)
    run = RunSaid(folder, load_recipe(folder / "recipe.yaml"), lock(folder), summary(folder))
    terminal = Terminal()
    inputs = golden_inputs()
    exact = run.final["precision"] == "fp32"
    resolved = None if exact and not int8 else _resolved(run, int8)
    terminal.say("merging the adapter and the calibration")
    merged = merge(checkpoint, [golden.given(row) for row in inputs])
    with whole_folder(target) as part:
        merged.save(part / MODEL)
        terminal.say("writing the graph")
        encoder = Predictor(merged.trained, {}).encoder
        to_onnx(merged.model, encoder.pad(encoder(_PROBE)), part / GRAPHS["onnx"])
        if int8:
            to_int8(part / GRAPHS["onnx"], part / GRAPHS["onnx-int8"])
        manifest = described(run, merged)
        manifest = manifest.model_copy(update={"variants": _variants(part, manifest, run, merged, resolved)})
        rows = _golden(part, manifest, inputs)
        (part / GOLDEN).write_text("".join(golden.lines(rows)), encoding="utf-8")
        (part / CARD).write_text(card(folder, manifest), encoding="utf-8")
        manifest = manifest.model_copy(update={"files": listed(part)})
        manifest.write(part)
        if key is not None:
            sign(part, key)
        terminal.say("proving it")
        prove(part)
    return manifest


def _made_already(name: str, target: Path) -> Manifest | None:
    """The manifest of a bundle that is there, if it is of this very checkpoint as it was judged last."""
    if not (target / MANIFEST).is_file():
        return None
    there, run = Manifest.read(target), find(name)
    final = summary(run)
    of_bundle = (there.run.identity, there.run.step, there.evaluation, list(there.gates))
    of_run = (lock(run)["sha256"], final["selected_step"], evaluation(final), list(final.get("gates", ())))
    return there if of_bundle == of_run else None


def golden_inputs() -> list[dict[str, Any]]:
    """The inputs of golden.jsonl, shipped with the package."""
    path = Path(__file__).parent / "golden_inputs.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _resolved(run: RunSaid, int8: bool) -> Resolved:
    """The run with its data. Raises InputError that says why they are needed."""
    try:
        return resolve_again(run.recipe, run.locked)
    except InputError as error:
        what = "weights in 8 bits" if int8 else "a run that was judged in bf16"
        need = Problem("export", f"{what}: thresholds have to be fitted on the run's calibration texts")
        raise InputError([need, *error.problems]) from None


def _variants(
    part: Path, manifest: Manifest, run: RunSaid, merged: Merged, resolved: Resolved | None
) -> dict[Runtime, Variant]:
    """Those whose files are there, each with its thresholds."""
    own = Fitted({label: point.threshold for label, point in merged.points.items()}, {})
    exact = run.final["precision"] == "fp32"
    found: dict[Runtime, Variant] = {}
    fitted = own
    files: dict[Runtime, str] = {"torch": f"{MODEL}/model.safetensors", **GRAPHS}
    for runtime, file in files.items():
        if not (part / file).exists():
            continue
        again = runtime == "onnx-int8" or (runtime == "torch" and not exact)
        if again and resolved is not None:
            # the graph in float32 says what torch says, and faster
            drawn: Runtime = "onnx" if runtime == "torch" else runtime
            bare = Variant(file=file, thresholds=own.thresholds, fitted="run", tolerance=1)
            asked = manifest.model_copy(update={"variants": {drawn: bare}})
            scorer = load_variant(part, asked, drawn).classifier
            fitted = fit_again(scorer, resolved, run.final["metrics"], runtime)
        found[runtime] = Variant(
            file=file,
            thresholds=fitted.thresholds,
            fitted="again" if fitted is not own else "run",
            tolerance=TOLERANCE[runtime],
            measured=fitted.measured,
        )
    return found


def _golden(part: Path, manifest: Manifest, inputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    torch = load_variant(part, manifest, "torch")
    int8 = load_variant(part, manifest, "onnx-int8") if "onnx-int8" in manifest.variants else None
    return golden.rows(inputs, torch, int8)
