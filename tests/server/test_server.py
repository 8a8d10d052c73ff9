"""A bundle over HTTP: it answers as the bundle does, refuses what it should, and loses nothing."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from tests.conftest import SENTINEL, Exported
from tests.server.servers import PATIENCE, Running, command, thread, thresholds
from train.bundle.manifest import Manifest
from train.bundle.runtime import open_bundle
from train.cli import main
from train.cli.handover import LIMITS
from train.server.app import Service
from train.server.batching import Scores
from train.server.keys import Keys
from train.server.limits import Limits
from train.server.serve import scoring

KEY = "a-key-that-nobody-guesses-0123456789"


@pytest.fixture(scope="module")
def running(exported: Exported) -> Iterator[Running]:
    with command(exported.bundle) as server:
        yield server


@pytest.fixture(scope="module")
def model(exported: Exported) -> Callable[[Sequence[str]], Scores]:
    return scoring(open_bundle(exported.bundle, "onnx"))


def _service(
    exported: Exported, score: Callable[[Sequence[str]], Scores], keys: Keys | None = None, **limits: Any
) -> Service:
    manifest = Manifest.read(exported.bundle)
    return Service(manifest, thresholds(manifest), score, Limits(**limits), keys)


def _golden(exported: Exported) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (exported.bundle / "golden.jsonl").read_text().splitlines()]


def _agree(exported: Exported, row: dict[str, Any], scores: list[float], flags: list[bool]) -> None:
    """As golden.jsonl says; nearer to a threshold than the tolerance, a flag may turn."""
    manifest = Manifest.read(exported.bundle)
    tolerance = manifest.variants["onnx"].tolerance
    np.testing.assert_allclose(scores, row["probabilities"], atol=tolerance, rtol=0)
    sure = np.abs(np.array(row["probabilities"]) - thresholds(manifest)) > tolerance
    assert np.array(flags)[sure].tolist() == np.array(row["flags"])[sure].tolist()


def _place(url: str) -> tuple[str, int]:
    host, _, port = url.removeprefix("http://").partition(":")
    return host, int(port)


def _ask(url: str, *texts: str, **more: Any) -> httpx.Response:
    inputs = [{"text": text} for text in texts]
    return httpx.post(f"{url}/predict", json={"inputs": inputs}, timeout=PATIENCE, **more)


def test_golden_rows_come_through_the_openai_client(running: Running, exported: Exported) -> None:
    import openai

    client = openai.OpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0)
    names = Manifest.read(exported.bundle).names
    rows = [row for row in _golden(exported) if "turns" not in row and len(row["text"]) <= 20_000]
    for start in range(0, len(rows), 16):
        part = rows[start : start + 16]
        said = client.moderations.create(input=[row["text"] for row in part], model="teensafe")
        assert len(said.results) == len(part)
        for row, result in zip(part, said.results, strict=True):
            found: Any = result.to_dict()
            flags = [found["categories"][name] for name in names]
            _agree(exported, row, [found["category_scores"][name] for name in names], flags)
            assert found["flagged"] == any(flags) and found["tier"] == 2 * any(flags)
    single = client.moderations.create(input="thanks team")
    assert len(single.results) == 1 and single.model == Manifest.read(exported.bundle).name


def test_golden_rows_come_through_predict_conversations_included(
    running: Running, exported: Exported
) -> None:
    rows = [row for row in _golden(exported) if len(row["text"]) <= 20_000]
    asked = [{"id": row["id"], **{k: row[k] for k in ("turns", "text") if k in row}} for row in rows]
    for row in asked:
        if "turns" in row:
            del row["text"]
    answer = httpx.post(f"{running.url}/predict", json={"inputs": asked}, timeout=PATIENCE).json()
    manifest = Manifest.read(exported.bundle)
    assert answer["manifest_sha256"] == manifest.self_sha256
    assert [result["id"] for result in answer["results"]] == [row["id"] for row in rows]
    for row, result in zip(rows, answer["results"], strict=True):
        assert [*result["flags"]] == [*result["scores"]] == [*manifest.names]
        _agree(exported, row, list(result["scores"].values()), list(result["flags"].values()))


@pytest.mark.parametrize(
    ("path", "body", "status", "says"),
    [
        ("/predict", b"\xff", 400, "not JSON"),
        ("/predict", b"[]", 400, "must be a JSON object"),
        ("/predict", b"[" * 100_000, 400, "not JSON"),
        ("/predict", b"{}", 400, "inputs is missing"),
        ("/predict", b'{"inputs": []}', 400, "inputs must be a list"),
        ("/predict", b'{"inputs": [{"text": 7}]}', 400, "text is int, not a string"),
        ("/predict", b'{"inputs": [{"text": "a", "turns": [1]}]}', 400, "both `text` and `turns`"),
        ("/predict", b'{"inputs": [{"turns": []}]}', 400, "without a last turn"),
        ("/predict", b'{"inputs": [{"text": "a"}, {"id": [7], "text": "a"}]}', 400, "inputs[1]: id must be"),
        ("/v1/moderations", b"{}", 400, "input is missing"),
        ("/v1/moderations", b'{"input": 7}', 400, "input must be a text"),
        ("/v1/moderations", b'{"input": [{"type": "image_url"}]}', 400, "judges no images"),
        ("/v1/moderations", b'{"input": ["a", 7]}', 400, "input must be a text"),
        ("/v1/moderations", json.dumps({"input": ["a"] * 65}).encode(), 413, "at most 64 a request"),
        ("/v1/moderations", json.dumps({"input": "a" * 20_001}).encode(), 413, "20,001 characters"),
        ("/v1/moderations", json.dumps({"input": "a" * (1 << 20)}).encode(), 413, "longer than 1,048,576"),
        ("/v1/completions", b"{}", 404, "POST /v1/moderations or /predict"),
        ("/health", b"{}", 405, "Method Not Allowed"),
    ],
)
def test_what_is_wrong_with_a_request_is_said(
    running: Running, path: str, body: bytes, status: int, says: str
) -> None:
    answer = httpx.post(running.url + path, content=body, timeout=PATIENCE)
    error = answer.json()["error"]
    assert answer.status_code == status and says in error["message"]
    assert error.keys() == {"message", "type", "param", "code"} and error["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/predict", f"{{{SENTINEL}"),
        ("/predict", json.dumps({"inputs": [SENTINEL]})),
        ("/predict", json.dumps({"inputs": [{"text": [SENTINEL]}]})),
        ("/predict", json.dumps({"inputs": [{"id": [SENTINEL], "text": SENTINEL}]})),
        ("/predict", json.dumps({"inputs": [{"turns": [{"speaker": SENTINEL}]}]})),
        ("/predict", json.dumps({"inputs": [{"text": SENTINEL * 2000}]})),
        ("/v1/moderations", json.dumps({"input": [{"type": SENTINEL, "text": SENTINEL}]})),
        (f"/{SENTINEL}?{SENTINEL}", SENTINEL),
    ],
)
def test_a_refusal_and_the_measures_repeat_nothing(running: Running, path: str, body: str) -> None:
    answer = httpx.post(running.url + path, content=body, timeout=PATIENCE)
    assert answer.status_code in (400, 404, 413)
    assert SENTINEL not in answer.text + httpx.get(f"{running.url}/metrics").text


def test_a_body_is_cut_off_while_it_arrives(running: Running) -> None:
    """It says no length and has no end."""
    part = b"%x\r\n%b\r\n" % (1 << 16, b"x" * (1 << 16))
    with socket.create_connection(_place(running.url), timeout=5) as client:
        client.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + part * 17)
        assert client.recv(1 << 16).startswith(b"HTTP/1.1 413 ")


def test_ids_come_back_as_they_were_given(running: Running) -> None:
    body = json.dumps({"inputs": [{"id": id, "text": "a"} for id in ("a", 7, None, "\ud83d", "é")]})
    results = httpx.post(f"{running.url}/predict", content=body, timeout=PATIENCE).json()["results"]
    assert [result["id"] for result in results] == ["a", 7, None, "?", "é"]


def test_parts_of_one_input_and_half_an_emoji(running: Running) -> None:
    parts = [{"type": "text", "text": "thanks"}, {"type": "text", "text": "team"}]
    answers = [
        httpx.post(f"{running.url}/v1/moderations", content=content, timeout=PATIENCE).json()["results"]
        for content in (
            json.dumps({"input": parts}),
            json.dumps({"input": "thanks\nteam"}),
            '{"input": "cut off \\ud83d"}',
        )
    ]
    assert [len(results) for results in answers] == [1, 1, 1]
    assert answers[0] == answers[1]


def test_health_readiness_and_measures(running: Running) -> None:
    assert httpx.get(f"{running.url}/health").json() == {"status": "ok"}
    assert httpx.get(f"{running.url}/ready").status_code == 200

    def counted() -> dict[str, float]:
        lines = httpx.get(f"{running.url}/metrics").text.splitlines()
        return {name: float(n) for name, n in (li.rsplit(" ", 1) for li in lines if not li.startswith("#"))}

    before = counted()
    assert _ask(running.url, "a", "b", "c").status_code == 200
    after = counted()
    assert after["teensafe_texts_total"] - before["teensafe_texts_total"] == 3
    asked = 'teensafe_requests_total{route="/predict",status="200"}'
    assert after[asked] - before.get(asked, 0) == 1
    assert after["teensafe_queue_texts"] == 0
    for path in ("/docs", "/openapi.json", "/redoc"):  # they would load scripts from elsewhere
        assert httpx.get(running.url + path).status_code == 404


def test_keys(exported: Exported, tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(f"another-key-of-some-length\n\n{KEY}\n")
    with command(exported.bundle, "--api-keys", str(tmp_path / "keys")) as server:
        for header, status in ((f"Bearer {KEY}", 200), (f"bearer {KEY}", 200), (f"Bearer {KEY}x", 401),
                               (KEY, 401), ("Basic abc", 401), (None, 401)):  # fmt: skip
            headers = {"Authorization": header} if header else {}
            answer = _ask(server.url, "hello", headers=headers)
            assert answer.status_code == status
        assert "Bearer" in answer.headers["www-authenticate"]
        assert httpx.get(f"{server.url}/health").status_code == 200
        code, said = server.end()
    assert code == 0 and KEY not in said


def test_above_the_queue_requests_are_told_to_come_again_and_none_is_lost(
    exported: Exported, model: Callable[[Sequence[str]], Scores]
) -> None:
    """40 requests of 4 texts at a model that waits: 4 in the model and 16 in the queue fit, not all."""
    go = threading.Event()

    def held(texts: Sequence[str]) -> Scores:
        go.wait(PATIENCE)
        return model(texts)

    with thread(_service(exported, held, texts=4, queue=16, batch=4)) as url, ThreadPoolExecutor(40) as many:
        asked = [many.submit(_ask, url, *(f"text {n} {k}" for k in range(4))) for n in range(40)]
        deadline = time.monotonic() + PATIENCE
        while sum(one.done() for one in asked) < 35 and time.monotonic() < deadline:
            time.sleep(0.02)
        go.set()
        answers = [one.result(PATIENCE) for one in asked]
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {200, 429} and 4 <= statuses.count(200) <= 5
    assert all(answer.headers["retry-after"] == "1" for answer in answers if answer.status_code == 429)
    for n, answer in enumerate(answers):
        if answer.status_code == 200:  # each its own answer
            expected, _ = model([f"text {n} {k}" for k in range(4)])
            found = [list(result["scores"].values()) for result in answer.json()["results"]]
            np.testing.assert_allclose(found, expected, atol=1e-6)


def test_what_nobody_waits_for_any_more_is_not_scored(
    exported: Exported, model: Callable[[Sequence[str]], Scores]
) -> None:
    go, seen = threading.Event(), []

    def held(texts: Sequence[str]) -> Scores:
        seen.extend(texts)
        go.wait(PATIENCE)
        return model(texts)

    with thread(_service(exported, held, batch=1, timeout=1.5)) as url, ThreadPoolExecutor(4) as many:
        answers = list(many.map(lambda n: _ask(url, f"text {n}"), range(4)))
        assert [answer.status_code for answer in answers] == [504] * 4
        go.set()
        assert _ask(url, "after").status_code == 200
    assert len(seen) == 2 and seen[-1] == "after"


def test_who_hangs_up_is_not_scored(exported: Exported, model: Callable[[Sequence[str]], Scores]) -> None:
    go, seen = threading.Event(), []

    def held(texts: Sequence[str]) -> Scores:
        seen.extend(texts)
        go.wait(PATIENCE)
        return model(texts)

    def shows(line: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while line not in httpx.get(f"{url}/metrics").text:
            assert time.monotonic() < deadline, line
            time.sleep(0.01)

    with thread(_service(exported, held, batch=1)) as url, ThreadPoolExecutor(2) as many:
        first = many.submit(_ask, url, "first")
        while seen != ["first"]:
            time.sleep(0.01)
        body = json.dumps({"inputs": [{"text": "left"}] * 3}).encode()
        head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
        with socket.create_connection(_place(url)) as leaving:
            leaving.sendall(head + body)
            shows("teensafe_queue_texts 3.0")
        try:
            shows('status="499"')
            last = many.submit(_ask, url, "last")
        finally:
            go.set()
        assert first.result().status_code == last.result().status_code == 200
        assert seen == ["first", "last"]


def test_a_failing_model_fails_its_batch_and_says_nothing_of_the_text(
    exported: Exported, model: Callable[[Sequence[str]], Scores], capfd: pytest.CaptureFixture[str]
) -> None:
    def fails(texts: Sequence[str]) -> Scores:
        if "sentinel-42" in texts:
            raise ValueError(f"cannot score {texts}")
        return model(texts)

    with thread(_service(exported, fails)) as url:
        answer = _ask(url, "sentinel-42")
        assert answer.status_code == 500 and "sentinel" not in answer.text
        assert _ask(url, "hello").status_code == 200
    assert "sentinel" not in "".join(capfd.readouterr())


@pytest.mark.slow
def test_what_was_taken_in_is_answered_after_sigterm_and_no_text_is_logged(exported: Exported) -> None:
    with command(exported.bundle, "--max-batch", "1") as server, ExitStack() as clients:
        open_ = [
            clients.enter_context(httpx.Client(base_url=server.url, timeout=PATIENCE)) for _ in range(24)
        ]
        for client in open_:
            assert client.get("/health").status_code == 200  # it keeps its connection

        def ask(n: int) -> httpx.Response:
            return open_[n].post("/predict", json={"inputs": [{"text": f"sentinel-{n} " * 50}] * 32})

        with ThreadPoolExecutor(24) as many:
            asked = [many.submit(ask, n) for n in range(24)]
            while not any(one.done() for one in asked):
                time.sleep(0.001)
            answered = sum(one.done() for one in asked)
            code, said = server.end()
            answers = [one.result(PATIENCE) for one in asked]
    assert answered < 24, "all were answered before the signal: nothing was tested"
    assert code == 0 and "sentinel" not in said
    assert {answer.status_code for answer in answers} == {200}
    assert all(len(answer.json()["results"]) == 32 for answer in answers)


def test_help_says_the_limits_that_hold() -> None:
    assert {name: default for name, default, _ in LIMITS} == Limits().model_dump()


def test_what_a_user_gets_wrong(
    exported: Exported, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "short").write_text("abc\n")
    (tmp_path / "empty").write_text("\n")
    for options, said in (
        ([str(tmp_path)], "is no bundle"),
        ([str(exported.bundle), "--api-keys", str(tmp_path / "gone")], "cannot be read"),
        ([str(exported.bundle), "--api-keys", str(tmp_path / "short")], "a key of under 16 characters"),
        ([str(exported.bundle), "--api-keys", str(tmp_path / "empty")], "holds no key"),
        ([str(exported.bundle), "--max-batch", "0"], "--max-batch"),
        ([str(exported.bundle), "--max-queue", "5"], "which would never fit"),
        ([str(exported.bundle), "--port", "70000"], "--port 70000"),
        ([str(exported.bundle), "--host", "192.0.2.1"], "nobody can listen at 192.0.2.1"),
        ([str(exported.bundle), "--key", str(tmp_path / "short")], "is no public key"),
    ):
        assert main(["serve", *options]) == 2
        assert said in capsys.readouterr().err
