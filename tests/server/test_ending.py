"""How `teensafe serve` ends: what was taken in is answered, within the drain time."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.conftest import Exported
from tests.server.servers import PATIENCE, Running, command
from train.cli import main
from train.server.serve import bound

pytestmark = pytest.mark.slow
WAITING = ("--threads", "1", "--max-timeout", "50", "--max-wait")
"""Texts wait that many seconds for others: a request is surely under way when the signal comes."""


@pytest.fixture
def clients() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(20) as made:
        yield made


def taken_in(server: Running, clients: ThreadPoolExecutor, count: int) -> list[Future[httpx.Response]]:
    """Requests that wait in the server's queue."""

    def ask(n: int) -> httpx.Response:
        body = {"inputs": [{"text": f"the team {n}"}]}
        return httpx.post(f"{server.url}/predict", json=body, timeout=PATIENCE)

    asked = [clients.submit(ask, n) for n in range(count)]
    deadline = time.monotonic() + PATIENCE
    while f"teensafe_queue_texts {count}.0" not in httpx.get(f"{server.url}/metrics").text:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return asked


def test_sigterm_ends_what_is_new_and_answers_what_is_not(
    exported: Exported, clients: ThreadPoolExecutor
) -> None:
    with command(exported.bundle, *WAITING, "8") as server, httpx.Client() as kept:
        assert kept.get(f"{server.url}/ready").status_code == 200
        asked = taken_in(server, clients, 20)
        server.process.terminate()
        time.sleep(0.5)
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{server.url}/ready")
        last = kept.get(f"{server.url}/ready")  # its connection is open still, for one more answer
        assert (last.status_code, last.headers["Connection"]) == (503, "close")
        assert not any(one.done() for one in asked)
        answers = [one.result() for one in asked]
        assert [answer.status_code for answer in answers] == [200] * 20
        assert {answer.headers["Connection"] for answer in answers} == {"close"}
        assert server.process.wait(PATIENCE) == 0


def test_a_second_signal_ends_it_at_once(exported: Exported, clients: ThreadPoolExecutor) -> None:
    with command(exported.bundle, *WAITING, "40") as server:
        (asked,) = taken_in(server, clients, 1)
        server.process.terminate()
        time.sleep(0.5)
        assert server.process.poll() is None
        server.process.terminate()
        assert server.process.wait(20) == -signal.SIGTERM
        with pytest.raises(httpx.TransportError):
            asked.result()


def test_the_drain_time_has_an_end(exported: Exported, clients: ThreadPoolExecutor) -> None:
    with command(exported.bundle, *WAITING, "40", "--max-drain", "1") as server:
        (asked,) = taken_in(server, clients, 1)
        begun = time.monotonic()
        code, said = server.end()
        assert code == 1 and time.monotonic() - begun < 20
        with pytest.raises(httpx.TransportError):
            asked.result()
    told = json.loads(said)
    assert told["level"] == "error" and "drain time is over" in told["event"]


def test_a_port_that_is_taken_is_said_before_the_bundle_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with bound("127.0.0.1", 0) as taken:
        taken.listen()
        place = "{}:{}".format(*taken.getsockname())
        assert main(["serve", str(tmp_path), "--port", place.rpartition(":")[2]]) == 2
    assert f"nobody can listen at {place} (Address already in use)" in capsys.readouterr().err
