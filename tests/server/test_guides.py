"""What vLLM and text-embeddings-inference ask of a model's folder, and whether the clients see what is wrong.

Neither runs here. The rules are those of their sources (train/server/guides/vllm.md and tei.md name them).
The servers below compute with the bundle's real model, and answer and refuse as those sources say.
"""

from __future__ import annotations

import json
import re
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
from fastapi import FastAPI, HTTPException, Request, Response

import train.server
from tests.conftest import Exported
from tests.server.servers import PATIENCE

GUIDES = Path(train.server.__file__).parent / "guides"
SENTENCE = "sentence_bert_config.json"
TIGHT = 1e-6
VLLM = ("Bert", "Ernie", "Gemma", "GPT2", "GteNew", "ModernBert", "Qwen2", "Qwen3", "Roberta", "XLMRoberta")
TEI = ("bert", "camembert", "deberta-v2", "modernbert", "roberta", "xlm-roberta")
"""Families that the sources name; vLLM's by architecture, TEI's by model_type."""
Route = Callable[[Any, Any, dict[str, Any]], Any]


@contextmanager
def _imitation(folder: Path, path: str, answer: Route) -> Iterator[str]:
    """A server at `path` that answers with answer(tokenizer, model, what was asked), and tells /info."""
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    app = FastAPI()

    @app.get("/info")
    async def info() -> Any:
        return {"max_input_length": _longest(tokenizer, model)}

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


def _longest(tokenizer: Any, model: Any) -> int:
    """Where both servers find the length of the longest input."""
    said = Path(tokenizer.name_or_path) / SENTENCE
    if said.is_file():
        return int(json.loads(said.read_text())["max_seq_length"])
    return int(model.config.max_position_embeddings)


def _logits(tokenizer: Any, model: Any, text: str, cut: int | None) -> Any:
    """Refuses a text that is too long and not cut."""
    inputs = tokenizer(text, return_tensors="pt", truncation=cut is not None, max_length=cut)
    if inputs["input_ids"].shape[1] > _longest(tokenizer, model):
        raise HTTPException(400)
    return model(**inputs).logits[0]


def _vllm(tokenizer: Any, model: Any, asked: dict[str, Any]) -> Any:
    """problem_type decides on sigmoid or softmax; a text is cut at truncate_prompt_tokens alone."""
    cut = asked.get("truncate_prompt_tokens")
    if cut is not None and cut > _longest(tokenizer, model):
        raise HTTPException(400)
    data = []
    for index, text in enumerate(asked["input"]):
        logits = _logits(tokenizer, model, text, cut)
        many = model.config.problem_type == "multi_label_classification"
        probs = (logits.sigmoid() if many else logits.softmax(-1)).tolist()
        label = model.config.id2label[int(logits.argmax())]
        data.append({"index": index, "label": label, "probs": probs, "num_classes": len(probs)})
    return {"data": data[::-1]}


def _tei(tokenizer: Any, model: Any, asked: dict[str, Any]) -> Any:
    """Its own limit, where it may cut; a softmax unless raw scores are asked for; no empty text."""
    if len(asked["inputs"]) > 32 or [""] in asked["inputs"]:
        raise HTTPException(413)
    cut = _longest(tokenizer, model) if asked.get("truncate") else None
    found = []
    for (text,) in asked["inputs"]:
        logits = _logits(tokenizer, model, text, cut)
        scores = (logits if asked.get("raw_scores") else logits.softmax(-1)).tolist()
        named = zip(model.config.id2label.values(), scores, strict=True)
        of_text = [{"label": label, "score": score} for label, score in named]
        found.append(sorted(of_text, key=lambda one: -one["score"]))
    return found


def _softmax_anyway(tokenizer: Any, model: Any, asked: dict[str, Any]) -> Any:
    return _tei(tokenizer, model, asked | {"raw_scores": False})


def _last_is_no_number(tokenizer: Any, model: Any, asked: dict[str, Any]) -> Any:
    said = _vllm(tokenizer, model, asked)
    for one in said["data"]:
        one["probs"][-1] = float("nan")
    return Response(json.dumps(said), media_type="application/json")


def _client(name: str, bundle: Path, url: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, str(GUIDES / f"{name}_client.py"), str(bundle), url],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    return done.returncode, done.stdout + done.stderr


def _golden(bundle: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (bundle / "golden.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def bundle(exported: Exported, tmp_path: Path) -> Path:
    """A copy, to be changed. What a tiny model says of two texts differs by less than a real tolerance, so
    that here it is TIGHT: the answer to another text is no agreement."""
    bundle = Path(shutil.copytree(exported.bundle, tmp_path / "bundle"))
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["variants"]["torch"]["tolerance"] = TIGHT
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    return bundle


@pytest.mark.parametrize(
    ("name", "path", "answer"), [("vllm", "/classify", _vllm), ("tei", "/predict", _tei)]
)
def test_a_client_reproduces_golden(bundle: Path, name: str, path: str, answer: Route) -> None:
    with _imitation(bundle / "model", path, answer) as url:
        code, said = _client(name, bundle, url)
    assert code == 0, said
    assert said.splitlines() == [
        "2 of 64 rows left out: empty, which some servers refuse",
        "62 of 62 golden rows agree",
    ]


def test_labels_are_told_by_name(bundle: Path) -> None:
    """The likelier of two labels may be the first in every text: in this manifest it is the last."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["labels"].reverse()
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    rows = _golden(bundle)
    for row in rows:
        row["probabilities"].reverse()
        row["flags"].reverse()
    (bundle / "golden.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with _imitation(bundle / "model", "/predict", _tei) as url:
        code, said = _client("tei", bundle, url)
    assert code == 0 and "62 of 62 golden rows agree" in said


def test_the_sigmoid_trap_is_seen(bundle: Path) -> None:
    with _imitation(bundle / "model", "/predict", _softmax_anyway) as url:
        code, said = _client("tei", bundle, url)
    assert code == 1 and "took a softmax" in said and "agree" not in said
    config = bundle / "model/config.json"
    config.write_text(config.read_text().replace("multi_label_classification", "single_label_classification"))
    with _imitation(bundle / "model", "/classify", _vllm) as url:
        code, said = _client("vllm", bundle, url)
    assert code == 1 and "took a softmax" in said and "agree" not in said


def test_answers_to_other_texts_do_not_agree(bundle: Path) -> None:
    def shifted(tokenizer: Any, model: Any, asked: dict[str, Any]) -> Any:
        said = _vllm(tokenizer, model, asked)
        for one in said["data"]:
            one["index"] = (one["index"] + 1) % len(said["data"])
        return said

    with _imitation(bundle / "model", "/classify", shifted) as url:
        code, said = _client("vllm", bundle, url)
    agree = re.search(r"(\d+) of 62 golden rows agree", said)
    assert code == 1 and agree and int(agree[1]) <= 3  # two spellings of a text have the same tokens


def test_what_differs_is_named_and_no_number_is_no_agreement(bundle: Path) -> None:
    rows = _golden(bundle)
    rows[20]["probabilities"][0] += 0.01
    rows[21]["flags"][1] = not rows[21]["flags"][1]
    (bundle / "golden.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with _imitation(bundle / "model", "/classify", _vllm) as url:
        code, said = _client("vllm", bundle, url)
    assert code == 1 and "60 of 62 golden rows agree" in said
    assert f"{rows[20]['id']} ({rows[20]['kind']}): off by 0.01" in said
    assert f"{rows[21]['id']} ({rows[21]['kind']}): other flags" in said
    with _imitation(bundle / "model", "/classify", _last_is_no_number) as url:
        code, said = _client("vllm", bundle, url)
    assert code == 1 and "0 of 62 golden rows agree" in said and "not a number" in said


def test_rows_that_another_length_cuts_elsewhere_are_left_out(bundle: Path) -> None:
    (bundle / "model" / SENTENCE).unlink()
    cut = sum(len(row["input_ids"][0]) >= 32 for row in _golden(bundle))
    assert cut  # golden.jsonl has long texts
    with _imitation(bundle / "model", "/predict", _tei) as url:
        code, said = _client("tei", bundle, url)
    assert code == 0, said
    assert f"{cut} of 64 rows left out: cut after 32 tokens here and after 512 there" in said
    assert f"{62 - cut} of {62 - cut} golden rows agree" in said


def test_rows_of_several_windows_are_left_out(bundle: Path) -> None:
    rows = _golden(bundle)
    for row in rows[:3]:
        row["input_ids"] *= 2
    (bundle / "golden.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows[:3]))
    code, said = _client("vllm", bundle, "http://127.0.0.1:9")
    assert code == 1 and "rows left out: read in several windows here" in said and "no row is left" in said


def test_another_model_or_none_is_said_without_a_text(bundle: Path) -> None:
    config = bundle / "model/config.json"
    config.write_text(config.read_text().replace('"hate"', '"spam"'))
    with _imitation(bundle / "model", "/predict", _tei) as url:
        code, said = _client("tei", bundle, url)
    assert code == 1 and "another model" in said
    for name in ("tei", "vllm"):
        code, said = _client(name, bundle, "http://127.0.0.1:9")
        assert code == 1 and "Traceback" not in said
        assert not any(row["text"] in said for row in _golden(bundle) if len(row["text"]) > 8)


def test_a_normaliser_that_another_server_lacks_is_said(bundle: Path) -> None:
    manifest = bundle / "manifest.json"
    said = json.loads(manifest.read_text())
    said["encoding"]["normalise"] = ["leet"]
    manifest.write_text(json.dumps(said))
    code, told = _client("vllm", bundle, "http://127.0.0.1:9")
    assert code == 1 and "train.data.normalise.normaliser(['leet'])(text)" in told


def test_a_bundle_is_what_both_servers_load(exported: Exported) -> None:
    model = exported.bundle / "model"
    manifest = json.loads((exported.bundle / "manifest.json").read_text())
    config = json.loads((model / "config.json").read_text())
    tokens = manifest["encoding"]["max_length"]["tokens"]
    assert config["problem_type"] == "multi_label_classification"  # vLLM: sigmoid
    (architecture,) = config["architectures"]
    assert architecture.removesuffix("ForSequenceClassification") in VLLM
    assert config["model_type"] in TEI
    names = [label["name"] for label in manifest["labels"]]
    assert config["id2label"] == {str(index): name for index, name in enumerate(names)}
    assert config["label2id"] == {name: index for index, name in enumerate(names)}
    assert isinstance(config["pad_token_id"], int) and config["max_position_embeddings"] >= tokens
    # vLLM takes the length from it only where both keys are there
    assert json.loads((model / SENTENCE).read_text()) == {"max_seq_length": tokens, "do_lower_case": False}
    assert [file.suffix for file in model.iterdir() if file.stat().st_size > 1 << 20] == [".safetensors"]


def test_the_tokenizer_that_servers_read_makes_the_golden_tokens(exported: Exported) -> None:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(exported.bundle / "model/tokenizer.json"))
    cut = tokenizer.truncation
    assert cut and cut["max_length"] == 32 and cut["direction"] == "right"
    said = json.loads((exported.bundle / "model/tokenizer_config.json").read_text())
    assert said["model_max_length"] == 32 and said["truncation_side"] == "right"
    for row in _golden(exported.bundle):
        assert [tokenizer.encode(row["text"]).ids] == row["input_ids"], row["id"]


def test_the_graph_has_the_inputs_that_servers_give(exported: Exported) -> None:
    import onnxruntime

    for name in ("model.onnx", "model_int8.onnx"):
        graph = onnxruntime.InferenceSession(str(exported.bundle / "onnx" / name))
        assert [one.name for one in graph.get_inputs()] == ["input_ids", "attention_mask"]
        assert [one.name for one in graph.get_outputs()] == ["logits"]
        assert all(isinstance(size, str) for one in graph.get_inputs() for size in one.shape)


def test_every_rule_has_a_source_and_every_link_an_end() -> None:
    for name in ("README.md", "vllm.md", "tei.md"):
        text = (GUIDES / name).read_text(encoding="utf-8")
        ends = set(re.findall(r"^\[(\d+)\]: https://", text, re.MULTILINE))
        assert set(re.findall(r"\]\[(\d+)\]", text)) == ends
        assert all((GUIDES / file).is_file() for file in re.findall(r"\]\(([^)]+)\)", text))
        assert ("read on 2026-" in text) == bool(ends)
