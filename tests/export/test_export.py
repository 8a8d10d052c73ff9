"""A run becomes a bundle: it says what the run says, in every form, and loads where ours is not installed."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import Exported
from train.bundle.manifest import Manifest
from train.bundle.runtime import load, open_bundle
from train.cli import main
from train.errors import Failure
from train.export import merged
from train.export.export import golden_inputs
from train.serving.predictor import Predictor

RUNTIMES = ("torch", "onnx", "onnx-int8")


def _texts(exported: Exported, n: int = 1000) -> list[str]:
    with (exported.run.parent.parent / "rows.csv").open(newline="", encoding="utf-8") as stream:
        rows = [row["text"] for row in csv.DictReader(stream)]
    return (rows * (1 + n // len(rows)))[:n]


@pytest.mark.parametrize("runtime", ["torch", "onnx"])
def test_a_bundle_flags_as_its_run_does(exported: Exported, runtime: str) -> None:
    texts = _texts(exported, 400)
    run, bundle = Predictor.load(str(exported.run)), open_bundle(exported.bundle, runtime)  # type: ignore[arg-type]
    (p, flags), (q, said) = (one.judge(one.logits(texts)) for one in (run, bundle))  # type: ignore[arg-type]
    assert 0 < flags.mean() < 1
    assert np.abs(p - q).max() < 1e-5
    np.testing.assert_array_equal(flags, said)


def test_plain_transformers_give_the_same_probabilities(exported: Exported) -> None:
    """In a process that has never heard of this package."""
    program = (
        "import json, sys; from transformers import pipeline\n"
        "classify = pipeline('text-classification', sys.argv[1], top_k=None, truncation=True, device='cpu')\n"
        "found = classify(json.load(sys.stdin))\n"
        "print(json.dumps([{one['label']: one['score'] for one in of_text} for of_text in found]))"
    )
    rows = [json.loads(line) for line in (exported.bundle / "golden.jsonl").read_text().splitlines()]
    plain = [row for row in rows if row["text"] and "turns" not in row]
    done = subprocess.run(
        [sys.executable, "-c", program, str(exported.bundle / "model")],
        input=json.dumps([row["text"] for row in plain]),
        capture_output=True,
        text=True,
        check=True,
        cwd="/",
    )
    names = Manifest.read(exported.bundle).names
    found = [[said[name] for name in names] for said in json.loads(done.stdout.splitlines()[-1])]
    np.testing.assert_allclose(found, [row["probabilities"] for row in plain], atol=1e-5)


def test_int8_has_thresholds_of_its_own_and_says_what_it_costs(exported: Exported) -> None:
    variants = Manifest.read(exported.bundle).variants
    assert variants.keys() == {*RUNTIMES}
    assert variants["torch"].fitted == variants["onnx"].fitted == "run"
    assert variants["torch"].thresholds == variants["onnx"].thresholds
    int8 = variants["onnx-int8"]
    assert int8.fitted == "again" and int8.thresholds != variants["onnx"].thresholds
    own = json.loads((exported.run / "summary.json").read_text())["metrics"]
    for key, cost in int8.measured["cost"].items():
        assert cost == int8.measured["metrics"][key] - own[key]
    assert {"test/macro/auprc", "test/hate/recall", "test/hate/fpr"} <= int8.measured["cost"].keys()
    assert {"test/hate/recall"} <= int8.measured["intervals"].keys()


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_neighbours_in_a_batch_do_not_move_a_text(exported: Exported, runtime: str) -> None:
    predictor = open_bundle(exported.bundle, runtime)  # type: ignore[arg-type]
    texts = ["the team", "a", "thanks " * 40, "you idiot loser"]
    together = predictor.logits(texts)
    alone = np.concatenate([predictor.logits([text]) for text in texts])  # type: ignore[misc]
    np.testing.assert_allclose(together, alone, atol=1e-5)  # type: ignore[arg-type]


def test_it_says_where_it_comes_from(exported: Exported) -> None:
    manifest = Manifest.read(exported.bundle)
    lock = json.loads((exported.run / "recipe.lock").read_text())
    assert manifest.run.identity == lock["sha256"] and manifest.run.precision == "fp32"
    assert manifest.names == ("harassment", "hate") and manifest.policy == "toy 1.0.0"
    assert [(one.name, one.licence, one.synthetic) for one in manifest.data] == [("toy", "MIT", False)]
    assert manifest.data[0].sha256 == lock["sources"]["toy"]
    own = json.loads((exported.run / "summary.json").read_text())
    for key, value in manifest.evaluation["metrics"].items():
        assert value == own["metrics"][key] and not key.startswith("dev")
    assert "test/hate/recall" in manifest.evaluation["intervals"]
    text = (exported.bundle / "manifest.json").read_text()
    assert str(exported.run.parent.parent) not in text and "rows.csv" not in text  # no places of this machine


def test_config_and_tokenizer_are_what_servers_need(exported: Exported) -> None:
    config = json.loads((exported.bundle / "model/config.json").read_text())
    assert config["problem_type"] == "multi_label_classification"
    assert config["id2label"] == {"0": "harassment", "1": "hate"} and config["pad_token_id"] is not None
    assert (
        json.loads((exported.bundle / "model/tokenizer.json").read_text())["truncation"]["max_length"] == 32
    )
    assert json.loads((exported.bundle / "model/tokenizer_config.json").read_text())["model_max_length"] == 32


def test_the_same_run_makes_the_same_bundle(exported: Exported, tmp_path: Path) -> None:
    assert main(["export", str(exported.run), "--to", str(tmp_path / "again")]) == 0
    first, second = Manifest.read(exported.bundle), Manifest.read(tmp_path / "again")
    for name in ("model/config.json", "model/model.safetensors", "model/tokenizer.json"):
        assert first.files[name] == second.files[name]
    assert "onnx-int8" not in second.variants and not (tmp_path / "again/model.sig").exists()


def test_the_same_command_again_changes_nothing(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = Path(shutil.copytree(exported.bundle, tmp_path / "bundle"))
    before = {path: path.stat().st_mtime_ns for path in bundle.rglob("*")}
    asked = ["export", str(exported.run), "--to", str(bundle)]
    monkeypatch.setenv("WANDB_MODE", "offline")
    run = Path(shutil.copytree(exported.run, tmp_path / "run", symlinks=True))
    recipe = run / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("wandb: disabled", "wandb: auto"))
    assert main(asked) == 0 and "W&B is disabled" in capsys.readouterr().err
    assert main(["export", str(run), *asked[2:]]) == 0
    assert "the same command sends it once W&B is online" in capsys.readouterr().err
    assert before == {path: path.stat().st_mtime_ns for path in bundle.rglob("*")}
    lineage = Manifest.read(bundle).lineage
    assert lineage.uses == ("toy-classifier:best", "toy-data:latest")
    assert lineage.aliases == ("policy-1.0.0", "candidate")
    (bundle / "model.sig").unlink()
    assert main([*asked, "--sign", str(exported.private)]) == 2  # it has no signature, and never gets one
    assert "exists already" in capsys.readouterr().err


def test_score_takes_a_bundle(exported: Exported, tmp_path: Path) -> None:
    source, target = tmp_path / "in.csv", tmp_path / "out.jsonl"
    texts = _texts(exported, 50)
    source.write_text("text\n" + "".join(f"{text}\n" for text in texts))
    expected = [one.flags for one in Predictor.load(str(exported.run)).predict([""] * 50, texts)]
    asked = ["--input", str(source), "--output", str(target)]
    for more in ([], ["--runtime", "torch"], ["--runtime", "onnx"]):
        assert main(["score", str(exported.bundle), *asked, *more]) == 0
        assert [json.loads(line)["flags"] for line in target.read_text().splitlines()] == expected
    assert main(["score", str(exported.run), *asked, "--runtime", "onnx"]) == 2


def test_what_a_user_gets_wrong_is_said(
    exported: Exported, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "no.pem").write_text("no key")
    for arguments, said in (
        (["--to", str(tmp_path / "there")], "exists already"),
        (["--to", str(tmp_path / "new"), "--sign", str(tmp_path / "gone.pem")], "gone.pem is no file"),
        (["--to", str(tmp_path / "new"), "--sign", str(tmp_path / "no.pem")], "is no key to sign with"),
    ):
        assert main(["export", str(exported.run), *arguments]) == 2
        assert said in capsys.readouterr().err
        assert not (tmp_path / "new").exists() and not list(tmp_path.glob(".new*"))


def test_without_its_data_a_run_has_no_int8(
    exported: Exported, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = Path(shutil.copytree(exported.run, tmp_path / "run", symlinks=True))
    recipe = run / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("rows.csv", "gone.csv"))
    assert main(["export", str(run), "--to", str(tmp_path / "new"), "--int8"]) == 2
    told = capsys.readouterr().err
    assert "thresholds have to be fitted on the run's calibration texts" in told and "gone.csv" in told
    assert main(["export", str(run), "--to", str(tmp_path / "new")]) == 0  # which needs none


def test_a_model_that_does_not_merge_is_not_handed_over(
    exported: Exported, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A head in which the calibration was not folded stands for all that may be lost on the way."""
    monkeypatch.setattr(merged, "_fold", lambda *_: None)
    with pytest.raises(Failure, match="merged, its logits differ"):
        merged.merge(exported.run / "checkpoints/best", ["you idiot loser", "thanks"])


@pytest.mark.slow
def test_windows_the_normaliser_and_a_run_in_bf16(
    tmp_path: Path, runs: Path, make_recipe: Callable[..., Path]
) -> None:
    """Texts are read as in training, and thresholds are fitted on the bundle's own numbers."""
    from train.__main__ import train
    from train.recipe import load as load_recipe

    length = "model.max_length={tokens: 12, overflow: window, stride: 4}"
    said = [length, "model.normalise=[leet, zero-width]", "train.precision=bf16"]
    summary = train(load_recipe(make_recipe(), said))
    assert main(["export", summary["run"], "--to", str(tmp_path / "bundle")]) == 0
    manifest = Manifest.read(tmp_path / "bundle")
    assert "windows of 12 tokens that share 4" in manifest.rules.long_texts
    assert manifest.rules.normalise.startswith("leet, zero-width")
    assert {variant.fitted for variant in manifest.variants.values()} == {"again"}
    around = "the team so very " * 9
    texts = [f"{around} {word} {around}" for word in ("1d1ot", "id\u200biot", "fun")]
    run, onnx, torch = (
        Predictor.load(summary["run"]),
        load(tmp_path / "bundle", manifest, "onnx"),
        load(tmp_path / "bundle", manifest, "torch"),
    )
    (p, _), (q, _), (r, _) = (one.judge(one.logits(texts)) for one in (run, onnx, torch))  # type: ignore[arg-type]
    assert np.abs(q - r).max() < 1e-5 and np.abs(p - q).max() < 0.05
    np.testing.assert_allclose(q[0], q[1], atol=1e-6)  # read alike
    assert len(onnx.encoder.windows(onnx.encoder(texts)[0])) > 3


def test_golden_inputs_hold_what_breaks_servers() -> None:
    rows = golden_inputs()
    assert len(rows) == 64 == len({row["id"] for row in rows})
    kinds = {row["kind"] for row in rows}
    assert kinds >= {"empty", "very long", "emoji sequence", "zero-width", "decomposed", "instruction"}
    assert kinds >= {"spanish", "german", "french", "portuguese", "korean", "arabic", "long conversation"}
    assert sum("turns" in row for row in rows) >= 4
    assert max(len(row.get("text", "")) for row in rows) > 10_000
    shipped = Path(__file__).parents[2] / "recipes"
    known = {
        json.loads(line).get("text")
        for folder in ("suites", "seed")
        for file in (shipped / folder).rglob("*.jsonl")
        for line in file.read_text(encoding="utf-8").splitlines()
    }
    assert not known & {row["text"] for row in rows if row.get("text")}
