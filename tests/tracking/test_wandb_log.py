"""A real offline W&B run, read back with W&B's own reader."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import GRAVE, RARE, SENTINEL, write_hostile_rows
from train.cli import main as teensafe
from train.evaluation.curves import precision_recall
from train.evaluation.predictions import Predictions, sets
from train.loop.checkpoints import open_checkpoint
from train.model.classifier import load as load_classifier
from train.tracking.run import history, summary
from train.tracking.wandb_log import Tracking, mode


def test_the_mode_is_what_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert mode(Tracking()) == "offline"
    assert mode(Tracking(wandb="disabled")) == "disabled"
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", "/nonexistent")
    assert mode(Tracking()) == "offline"


class Told:
    """What W&B's reader says an offline run holds."""

    def __init__(self, run: Path) -> None:
        (self.folder,) = (run / "wandb").glob("offline-run-*")
        reader = Path(sys.executable).with_name("wandb")
        told = subprocess.run(
            [str(reader), "leet", "inspect", "--json", str(self.folder)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        self._records = [json.loads(line) for line in told.splitlines()]
        (self.run,) = self.all("run")
        self.history = [record["item"] for record in self.all("history")]
        self.summary: dict[str, Any] = {}
        for record in self.all("summary"):
            self.summary |= record["update"]

    def all(self, kind: str) -> list[dict[str, Any]]:
        return [record[kind] for record in self._records if record["type"] == kind]

    def artifact(self, kind: str) -> dict[str, Any]:
        (found,) = [artifact for artifact in self.all("artifact") if artifact["type"] == kind]
        return found

    def table(self, name: str) -> list[dict[str, Any]]:
        """The records of a logged table, from the file that history names."""
        (path,) = [item[f"{name}.path"] for item in self.history if f"{name}.path" in item]
        content = json.loads((self.folder / "files" / path).read_text())
        return [dict(zip(content["columns"], row, strict=True)) for row in content["data"]]


@pytest.fixture(scope="module")
def told(told_once: Path) -> Told:
    return Told(told_once)


@pytest.mark.slow
def test_every_record_and_the_final_figures_are_there(told_once: Path, told: Told) -> None:
    by_step = {item["step"]: item for item in told.history if "train/loss" in item}
    for record in history(told_once):
        for key in ("train/loss", "train/lr"):
            assert by_step[record["step"]][key] == pytest.approx(record[key], rel=1e-12)
    final = summary(told_once)
    for key, value in final["metrics"].items():
        if key.count("/") == 2 and value is not None:
            assert told.summary[key] == pytest.approx(value, rel=1e-12)
        else:
            assert key not in told.summary  # slices are in their table
    config = told.run["config"]["update"]
    assert (config["name"], config["train"]["steps"], config["processes"]) == ("toy", 30, 1)
    assert told.run["run_group"] == "toy"
    assert told.run["job_type"] == "train"
    assert told.run["tags"] == ["grooming", "harassment", "hate"]


@pytest.mark.slow
def test_tables_by_label_and_slice_are_the_summarys(told_once: Path, told: Told) -> None:
    final = summary(told_once)
    figures, sure = final["metrics"], final["intervals"]
    labels = told.table("table/labels")
    assert {(r["set"], r["label"]) for r in labels} == {
        (name, label)
        for name in ("test", "test.synthetic")  # of one source each
        for label in final["labels"]
    }
    slices = told.table("table/slices")
    assert {(r["slice"], r["value"]) for r in slices if r["set"] == "test"} == {
        *(("lang", value) for value in ("en", "ko", "a/b=<i>c</i>")),
        *(("place", "forum"), ("surface", "comment")),
    }
    for record in labels + slices:
        of = f"/{record['slice']}={record['value']}" if "slice" in record else ""
        key = f"{record['set']}/{record['label']}"
        assert record["n"] == figures[f"{key}/n{of}"]
        enough = {"recall": record["positives"] >= 30, "fpr": record["negatives"] >= 30}
        if not of:
            enough |= dict.fromkeys(("auprc", "auroc", "brier", "ece"), all(enough.values()))
            assert record["threshold"] == final["operating_points"][record["label"]]["threshold"]
            assert record["outcome"] in ("holds", "broken", "open")
        for metric, some in enough.items():
            assert record[metric] == (figures[f"{key}/{metric}{of}"] if some else None)
            if metric in ("recall", "fpr", "auprc", "auroc"):
                ends = sure.get(f"{key}/{metric}{of}", (None, None)) if some else (None, None)
                assert (record[f"{metric}_low"], record[f"{metric}_high"]) == tuple(ends)
    assert any(record["auprc"] is None for record in labels)
    assert any(record["auprc_low"] is not None for record in labels)


@pytest.mark.slow
def test_curves_are_points_and_no_scores(told_once: Path, told: Told) -> None:
    points = told.table("table/precision_recall_table")
    parts = sets(Predictions.read(told_once / "predictions" / "test.parquet"))
    for name, part in (("test", parts["test"]), ("test.synthetic", parts["test.synthetic"])):
        for label in ("harassment", "hate"):
            recall, precision = precision_recall(part, label)
            found = [(p["recall"], p["precision"]) for p in points if p["curve"] == f"{label} ({name})"]
            assert found == list(zip(recall.tolist(), precision.tolist(), strict=True))
    assert set(points[0]) == {"curve", "n", "recall", "precision"}


@pytest.mark.slow
def test_artifacts_are_the_recipe_the_checkpoints_and_references_to_the_data(
    told_once: Path, told: Told
) -> None:
    recipe = told.artifact("recipe")
    assert [entry["path"] for entry in recipe["manifest"]["contents"]] == ["recipe.lock", "recipe.yaml"]
    for entry in recipe["manifest"]["contents"]:  # where the data lie is not said: an address may be signed
        sent = Path(entry["local_path"]).read_text()
        assert "hate" in sent and "toy.csv" not in sent
    assert "toy.csv" in (told_once / "recipe.yaml").read_text()
    models = [artifact for artifact in told.all("artifact") if artifact["type"] == "model"]
    assert sorted(alias for model in models for alias in model["aliases"] if alias != "latest") == [
        "best",
        "last",
    ]
    assert not [e for m in models for e in m["manifest"]["contents"] if "trainer" in e["path"]]
    data = told.artifact("dataset")
    digests = json.loads((told_once / "recipe.lock").read_text())["sources"]
    entries = {entry["path"]: entry for entry in data["manifest"]["contents"]}
    assert {name: entry["ref"] for name, entry in entries.items()} == {
        name: f"sha256:{digest}" for name, digest in digests.items()
    }
    assert not [entry for entry in entries.values() if entry.get("local_path")]
    about = json.loads(data["metadata"])
    assert about["toy"] == {"sha256": digests["toy"], "file": "toy.csv", "licence": "MIT", "synthetic": False}
    assert str(told_once.parent) not in json.dumps(data)  # names, not places


@pytest.mark.slow
def test_no_text_is_anywhere_in_what_wandb_was_given(told_once: Path, told: Told) -> None:
    files = [path for path in (told_once / "wandb").rglob("*") if path.is_file()]
    stored = b"".join(path.read_bytes() for path in files)
    for word in (SENTINEL, GRAVE, RARE):  # of the texts, and of slice values few texts share
        assert word.encode() not in stored
    assert summary(told_once)["name"].encode() in stored
    assert b"forum" in stored
    assert not [path for path in files if path.suffix == ".html"]
    assert SENTINEL in (told_once / "report.html").read_text(encoding="utf-8")


SUITE = """
schema: 1
name: asked-later
about: rows like those of training
sources:
  rows: {path: rows.csv, text: text, labels: {hate: hate, harassment: harassment}, licence: MIT}
"""


@pytest.mark.slow
def test_a_run_judged_again_is_a_job_of_its_own_in_the_same_group(
    told_once: Path, told: Told, tmp_path: Path, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, place = runs / told_once.name, tmp_path / "SECRETDIR"
    shutil.copytree(told_once, run, ignore=shutil.ignore_patterns("wandb"))
    place.mkdir()
    write_hostile_rows(place / "rows.csv", 300, seed=9)
    (place / "suite.yaml").write_text(SUITE)
    monkeypatch.delenv("WANDB_DATA_DIR", raising=False)
    monkeypatch.setenv("WANDB_MODE", "offline")
    base = place / "base"
    shutil.copytree(told_once, base, ignore=shutil.ignore_patterns("wandb"))
    gate = f"test/macro/auprc >= {base} - 0.01"
    assert teensafe(["evaluate", str(run), "--suite", str(place / "suite.yaml"), "--gate", gate]) == 3
    assert summary(run)["gates"][0]["gate"] == "test/macro/auprc >= base - 0.01"
    monkeypatch.setenv("WANDB_DATA_DIR", "")  # so that what the verb sets is taken back
    again = Told(run)
    assert (again.run["job_type"], told.run["job_type"]) == ("evaluate", "train")
    assert again.run["run_group"] == told.run["run_group"]
    assert again.run["config"]["update"]["identity"] == told.run["config"]["update"]["identity"]
    figures = summary(run)["metrics"]
    for key in ("suite.asked-later/any/recall", "test/macro/auprc"):
        assert again.summary[key] == pytest.approx(figures[key])
    assert [row["set"] for row in again.table("table/suites")] == ["suite.asked-later"]
    assert {artifact["type"] for artifact in again.all("artifact")} == {"run_table"}
    stored = b"".join(path.read_bytes() for path in (run / "wandb").rglob("*") if path.is_file())
    for word in ("SECRETDIR", SENTINEL, GRAVE, RARE):
        assert word.encode() not in stored


@pytest.mark.slow
def test_wandb_is_never_told_where_anything_lies(
    make_recipe: Callable[..., Path],
    tiny_base: Path,
    tmp_path: Path,
    runs: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither by the command line's overrides nor by the base model's folder, nor which machine it is."""
    recipe, data, base = make_recipe(rows=200), tmp_path / "SECRETDIR_alpha", tmp_path / "SECRETDIR_beta"
    data.mkdir()
    (tmp_path / "rows.csv").rename(data / "rows.csv")
    shutil.copytree(tiny_base, base / "named-base")
    said = [f"data.sources.toy.path={data}/rows.csv", f"model.base={base}/named-base"]
    said += ["track.wandb=offline", "train.steps=2", "evaluate.every=1 steps"]
    asked = {key: value for key, value in os.environ.items() if not key.startswith("WANDB_")}
    subprocess.run([sys.executable, "-m", "train", str(recipe), *said], env=asked, check=True)
    (run,) = runs.iterdir()
    assert "SECRETDIR_alpha" in (run / "recipe.yaml").read_text()
    files = [path for path in (run / "wandb").rglob("*") if path.is_file()]
    stored = b"".join(path.read_bytes() for path in files)
    for word in ("SECRETDIR", str(tiny_base), "data.sources.toy.path", str(Path(sys.executable).parent)):
        assert word.encode() not in stored
    told = Told(run)
    assert not told.all("environment")
    assert not told.run.keys() & {"host", "git", "program"}
    assert told.run["config"]["update"]["model"]["base"] == "./named-base"
    assert told.all("stats")  # what the machine's processors do is still told

    for model in (artifact for artifact in told.all("artifact") if artifact["type"] == "model"):
        folder = tmp_path / "fetched" / model["manifest"]["contents"][0]["digest"][:4].replace("/", "_")
        folder.mkdir(parents=True)
        for entry in model["manifest"]["contents"]:
            shutil.copy(entry["local_path"], folder / entry["path"])
        sent = b"".join(path.read_bytes() for path in folder.iterdir())
        assert b"SECRETDIR" not in sent
        open_checkpoint(folder)
        monkeypatch.chdir(base)  # where a folder of the base's name lies
        assert load_classifier(folder).card.backbone.base == "./named-base"
