"""`teensafe serve`: prove a bundle, load it, answer until told to stop, and answer what was taken in."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import threading
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

log = logging.getLogger("teensafe.server")
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
    with bound(host, port) as listening:
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
        _log_as_json()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)  # uvicorn raises again what it was sent, once it has ended
        listening.listen(BACKLOG)
        shown = f"[{host}]" if ":" in host else host
        say(f"{manifest.name} ({runtime}) at http://{shown}:{listening.getsockname()[1]}")
        Server(service).run(sockets=[listening])


def scoring(predictor: Predictor) -> Callable[[Sequence[str]], Scores]:
    def score(texts: Sequence[str]) -> Scores:
        found = predictor.logits(texts)
        assert found is not None  # nothing stops it
        return predictor.judge(found)

    return score


class Server(uvicorn.Server):
    """The first signal drains, and the process ends within the drain time; a second one ends it at once."""

    def __init__(self, service: Service) -> None:
        self._service = service
        super().__init__(
            uvicorn.Config(
                app(service), log_config=None, access_log=False, server_header=False, lifespan="on", ws="none"
            )
        )

    def handle_exit(self, sig: int, frame: Any) -> None:
        if self._service.draining:
            signal.signal(sig, signal.SIG_DFL)
            signal.raise_signal(sig)
        self._service.draining = True
        late = threading.Timer(self._service.limits.drain, _give_up)
        late.daemon = True
        late.start()
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no new connection; let each open one have an answer that says it is its last, and then close
        what is left. Closed at once, a connection would lose the request that is on its way."""
        for server in self.servers:
            server.close()
        until = time.monotonic() + min(GRACE, self._service.limits.drain)
        while self.server_state.connections and time.monotonic() < until:
            await asyncio.sleep(0.02)
        await super().shutdown(sockets)


def _give_up() -> None:
    """Whatever still runs, a model that hangs too: it had its time."""
    log.error("the drain time is over, and not every request was answered")
    os._exit(1)


def bound(host: str, port: int) -> socket.socket:
    """Not listening yet: nobody is let in before the model is ready. Raises InputError."""
    if not 0 <= port <= 65535:
        raise InputError(Problem("command line", f"--port {port}", "0 to 65535; 0 for any that is free"))
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio spares an answer a wait of 40 ms (TCP_NODELAY) where a socket says that it is TCP's
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        what = f"nobody can listen at {host}:{port} ({error.strerror})"
        raise InputError(
            Problem("command line", what, "a free port of this machine", "--port 0 for any")
        ) from error
    return listener


class _AsJson(logging.Formatter):
    """A line an event. Tracebacks stay out: they may show what was asked."""

    def format(self, record: logging.LogRecord) -> str:
        said = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "event": record.getMessage().partition("\n")[0],
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
