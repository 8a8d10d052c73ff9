"""What vLLM and text-embeddings-inference ask of a model's folder, and whether the clients see what is wrong.

Neither runs here. The rules are those of their sources (train/server/guides/README.md names them), and the
servers below compute with the bundle's real model and answer as those sources say.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI, Request

import train.server
from tests.conftest import Exported
from tests.server.servers import PATIENCE

GUIDES = Path(train.server.__file__).parent / "guides"
Route = Callable[[Any, Any, dict[str, Any]], Any]


@contextmanager
def _imitation(folder: Path, path: str, answer: Route) -> Iterator[str]:
    """A server at `path` that answers with answer(tokenizer, model, what was asked)."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    app = FastAPI()

    @app.post(path)
    async def route(request: Request) -> Any:
        with torch.inference_mode():
            return answer(tokenizer, model, await request.json())

    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None))
    running = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    running.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        running.join(PATIENCE)


def _vllm(tokenizer: Any, model: Any, asked: dict[str, Any]) -> Any:
    """problem_type decides on sigmoid or softmax; a text is cut at truncate_prompt_tokens alone."""
    data = []
    for index, text in enumerate(asked["input"]):
        cut = asked.get("truncate_prompt_tokens")
        inputs = tokenizer(text, return_tensors="pt", truncation=cut is not None, max_length=cut)
        logits = model(**inputs).logits[0]
        many = model.config.problem_type == "multi_label_classification"
        probs = (logits.sigmoid() if many else logits.softmax(-1)).tolist()
        data.append({"index": index, "label": None, "probs": probs, "num_classes": len(probs)})
    return {"data": data[::-1]}


def _tei(tokenizer: Any, model: Any, asked: dict[str, Any]) -> Any:
    """max_seq_length of sentence_bert_config.json is the limit; a softmax unless raw scores are asked for."""
    said = json.loads((Path(tokenizer.name_or_path) / "sentence_bert_config.json").read_text())
    found = []
    for (text,) in asked["inputs"]:
        assert asked["truncate"] is True
        inputs = tokenizer(text, return_tensors="pt", truncation=True, max_length=said["max_seq_length"])
        logits = model(**inputs).logits[0]
        scores = (logits if asked["raw_scores"] else logits.softmax(-1)).tolist()
        named = zip(model.config.id2label.values(), scores, strict=True)
        of_text = [{"label": label, "score": score} for label, score in named]
        found.append(sorted(of_text, key=lambda one: -one["score"]))
    return found


def _softmax_anyway(tokenizer: Any, model: Any, asked: dict[str, Any]) -> Any:
    return _tei(tokenizer, model, asked | {"raw_scores": False})


def _client(name: str, bundle: Path, url: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, str(GUIDES / f"{name}_client.py"), str(bundle), url],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "path", "answer"), [("vllm", "/classify", _vllm), ("tei", "/predict", _tei)]
)
def test_a_client_reproduces_golden(exported: Exported, name: str, path: str, answer: Route) -> None:
    with _imitation(exported.bundle / "model", path, answer) as url:
        code, said = _client(name, exported.bundle, url)
    assert code == 0, said
    assert "2 of 64 rows left out" in said and "62 of 62 golden rows agree" in said


def test_the_sigmoid_trap_is_seen(exported: Exported, tmp_path: Path) -> None:
    with _imitation(exported.bundle / "model", "/predict", _softmax_anyway) as url:
        code, said = _client("tei", exported.bundle, url)
    assert code == 1 and "took a softmax" in said
    bundle = Path(shutil.copytree(exported.bundle, tmp_path / "bundle"))
    config = bundle / "model/config.json"
    config.write_text(config.read_text().replace("multi_label_classification", "single_label_classification"))
    with _imitation(bundle / "model", "/classify", _vllm) as url:
        code, said = _client("vllm", bundle, url)
    assert code == 1 and "off by" in said


def test_a_normaliser_that_another_server_lacks_is_said(exported: Exported, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(exported.bundle, tmp_path / "bundle"))
    manifest = bundle / "manifest.json"
    said = json.loads(manifest.read_text())
    said["encoding"]["normalise"] = ["leet"]
    manifest.write_text(json.dumps(said))
    code, told = _client("vllm", bundle, "http://127.0.0.1:9")
    assert code == 1 and "after leet" in told


def test_a_bundle_is_what_both_servers_load(exported: Exported) -> None:
    model = exported.bundle / "model"
    config = json.loads((model / "config.json").read_text())
    assert config["problem_type"] == "multi_label_classification"  # vLLM: sigmoid
    assert config["architectures"][0].endswith("ForSequenceClassification")  # both: a classifier
    ids = {label: int(index) for index, label in config["id2label"].items()}
    assert config["label2id"] == ids and sorted(ids.values()) == [*range(len(ids))]
    assert isinstance(config["pad_token_id"], int) and isinstance(config["max_position_embeddings"], int)
    assert json.loads((model / "sentence_bert_config.json").read_text())["max_seq_length"] == 32
    assert (model / "tokenizer.json").is_file()
    assert [file.suffix for file in model.iterdir() if file.stat().st_size > 1 << 20] == [".safetensors"]


def test_the_graph_has_the_inputs_that_servers_give(exported: Exported) -> None:
    import onnxruntime

    for name in ("model.onnx", "model_int8.onnx"):
        graph = onnxruntime.InferenceSession(str(exported.bundle / "onnx" / name))
        assert [one.name for one in graph.get_inputs()] == ["input_ids", "attention_mask"]
        assert [one.name for one in graph.get_outputs()] == ["logits"]
        assert all(isinstance(size, str) for one in graph.get_inputs() for size in one.shape)
