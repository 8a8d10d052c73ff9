"""`teensafe serve`: prove a bundle, load it, answer until told to stop, and answer what was taken in."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import uvicorn

from train.bundle.manifest import Manifest, Runtime
from train.bundle.runtime import load
from train.bundle.verify import prove
from train.errors import InputError, Problem
from train.server.app import Service, app
from train.server.batching import Scores
from train.server.keys import Keys
from train.server.limits import Limits
from train.serving.predictor import Predictor

BACKLOG = 2048
GRACE = 2.0
"""Seconds in which a client that keeps a connection is told to ask elsewhere, if it asks."""


def serve(
    folder: Path,
    runtime: Runtime,
    host: str,
    port: int,
    limits: Limits,
    keys: Keys | None,
    public: Path | None,
    say: Callable[[str], None],
    threads: int | None = None,
) -> None:
    """Returns once a signal asked it to stop and what was taken in is answered. public: the key of who should
    have signed the bundle; threads: of ONNX Runtime. Raises InputError, Failure."""
    for line in prove(folder, public, only=runtime):
        say(line)
    manifest = Manifest.read(folder)
    predictor = load(folder, manifest, runtime, threads)
    service = Service(
        manifest,
        [manifest.variants[runtime].thresholds[name] for name in manifest.names],
        scoring(predictor),
        limits,
        keys,
    )
    service.score(["a first text, so that nobody waits for it"])
    if not 0 <= port <= 65535:
        raise InputError(Problem("command line", f"--port {port}", "0 to 65535; 0 for any that is free"))
    try:
        listening = socket.create_server((host, port), backlog=BACKLOG, family=_family(host))
        # asyncio sets it on sockets that say TCP, which these do not; without it an answer waits 40 ms
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError as error:
        what = f"nobody can listen at {host}:{port} ({type(error).__name__})"
        raise InputError(
            Problem("command line", what, "a free port of this machine", "--port 0 for any")
        ) from error
    _log_as_json()
    server = _Server(service)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)  # uvicorn raises again what it was sent, once it has ended
    shown = f"[{host}]" if ":" in host else host
    say(f"{manifest.name} ({runtime}) at http://{shown}:{listening.getsockname()[1]}")
    server.run(sockets=[listening])


def scoring(predictor: Predictor) -> Callable[[Sequence[str]], Scores]:
    def score(texts: Sequence[str]) -> Scores:
        found = predictor.logits(texts)
        assert found is not None  # nothing stops it
        return predictor.judge(found)

    return score


class _Server(uvicorn.Server):
    def __init__(self, service: Service) -> None:
        self._service = service
        super().__init__(
            uvicorn.Config(
                app(service),
                log_config=None,
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=int(service.limits.drain),
                lifespan="on",
            )
        )

    def handle_exit(self, sig: int, frame: Any) -> None:
        self._service.draining = True
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no new connection; let each open one have an answer that says it is its last, and then close
        what is left. Closed at once, a connection would lose the request that is on its way."""
        for server in self.servers:
            server.close()
        until = time.monotonic() + min(GRACE, self._service.limits.drain)
        while self.server_state.connections and time.monotonic() < until and not self.force_exit:
            await asyncio.sleep(0.02)
        await super().shutdown(sockets)


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


class _AsJson(logging.Formatter):
    """A line an event. Tracebacks stay out: they may show what was asked."""

    def format(self, record: logging.LogRecord) -> str:
        said = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "event": record.getMessage().splitlines()[0],
        }
        kind = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else None
        return json.dumps(said | {"error": getattr(record, "error", kind)})


def _log_as_json() -> None:
    """Warnings and errors alone."""
    handler = logging.StreamHandler()
    handler.setFormatter(_AsJson())
    for name in ("uvicorn", "uvicorn.error", "teensafe.server", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.WARNING)
