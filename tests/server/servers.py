"""Servers for tests: the real command in a process of its own, or the same server in a thread."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from train.bundle.manifest import Manifest
from train.server.app import Service
from train.server.serve import Server, bound

PATIENCE = 60  # seconds


class Running(NamedTuple):
    process: subprocess.Popen[str]
    url: str

    def end(self) -> tuple[int, str]:
        """SIGTERM; (exit code, what it wrote since it was ready)."""
        self.process.terminate()
        _, said = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, said


@contextmanager
def command(bundle: Path, *options: str) -> Iterator[Running]:
    """`teensafe serve`, ready."""
    process = subprocess.Popen(
        [sys.executable, "-m", "train.cli", "serve", str(bundle), "--port", "0", *options],
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        begun = []
        for line in process.stderr:
            begun.append(line)
            if " at http://" in line:
                yield Running(process, line.split(" at ")[1].strip())
                return
        raise AssertionError("".join(begun))
    finally:
        process.kill()
        process.wait()


@contextmanager
def thread(service: Service) -> Iterator[str]:
    """The same server around a service of this process; its address."""
    listening = bound("127.0.0.1", 0)
    listening.listen()
    server = Server(service)
    running = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    running.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        running.join(PATIENCE)


def thresholds(manifest: Manifest) -> Sequence[float]:
    return [manifest.variants["onnx"].thresholds[name] for name in manifest.names]
