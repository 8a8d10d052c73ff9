"""What may come back from a server, over real HTTP: tried again, given up, never followed, never shown."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPOSITORY, SENTINEL
from tests.llm.servers import completion, told, wise
from tests.llm.test_prompt import prompt
from train.errors import InputError
from train.llm import endpoint
from train.llm.endpoint import TRIES, Endpoint, is_loopback
from train.llm.ledger import Budget, Ledger, Spent


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "PAUSE", 0.01)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def failing(*failures: tuple[int, Any]) -> Any:
    """A server that fails so at first, then knows."""

    def answer(text: str, before: int) -> tuple[int, Any, dict[str, str]]:
        return (*failures[before], {}) if before < len(failures) else wise(text)

    return answer


NONSENSE = [
    ("not json", "no chat completion"),
    ({"choices": []}, "no chat completion"),
    ({"choices": [{"message": None}]}, "no chat completion"),
    (completion("I cannot help with that."), "no JSON"),
    (completion('{"hate": true, "harassment": true}'), "no log-probabilities"),
    (completion('{"hate": "yes", "harassment": true}'), "other values"),
]


@pytest.mark.parametrize(("body", "why"), NONSENSE)
def test_what_is_no_verdict_is_counted_and_asked_again(body: Any, why: str) -> None:
    with told(failing((200, body))) as server:
        reply = Endpoint(server.url, "m", "OPENAI_API_KEY").ask(prompt(), "loser")
    assert reply.answer and reply.answer.prompt_tokens == 100
    (failure,) = reply.failures
    assert why in failure


@pytest.mark.parametrize("status", [408, 409, 429, 500, 503])
def test_a_server_that_recovers_is_asked_again(status: int) -> None:
    with told(failing((status, {}), (status, {}))) as server:
        reply = Endpoint(server.url, "m", "OPENAI_API_KEY").ask(prompt(), "loser")
    assert reply.answer
    assert reply.failures == (f"status {status}",) * 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_a_request_that_is_refused_is_not_repeated(status: int) -> None:
    with told(failing(*[(status, {"error": {"message": SENTINEL}})] * 9)) as server:
        reply = Endpoint(server.url, "m", "OPENAI_API_KEY").ask(prompt(), SENTINEL)
        assert server.asked[SENTINEL] == 1
    assert reply.answer is None
    assert reply.failures == (f"status {status}",)


def test_it_is_given_up_after_some_tries_and_at_once_when_stopping() -> None:
    with told(failing(*[(500, {})] * 9)) as server:
        client = Endpoint(server.url, "m", "OPENAI_API_KEY")
        assert len(client.ask(prompt(), "a").failures) == TRIES
        assert len(client.ask(prompt(), "b", stopping=lambda: True).failures) == 1
    assert {*client.ask(prompt(), "c").failures} == {"no connection"}  # there is no server any more
    with told(failing((200, None))) as server:  # hangs up once
        reply = Endpoint(server.url, "m", "OPENAI_API_KEY").ask(prompt(), "loser")
    assert reply.answer
    assert reply.failures == ("no connection",)


def test_a_server_that_asks_for_patience_gets_it() -> None:
    with told(lambda text, before: wise(text) if before else (429, {}, {"retry-after": "1"})) as server:
        start = time.monotonic()
        assert Endpoint(server.url, "m", "OPENAI_API_KEY").ask(prompt(), "loser").answer
    assert time.monotonic() - start >= 1


@pytest.mark.parametrize(
    ("answer", "counts"),
    [
        ((429, {}, {}), False),
        ((503, {}, {}), False),
        ((404, {}, {}), False),
        ((500, {}, {}), True),  # it may have worked on it until it broke
        ((408, {}, {}), True),
        ((200, None, {}), True),  # hung up
        ((200, "not json", {}), True),
    ],
)
def test_what_was_refused_costs_nothing_and_what_broke_the_most_it_can(
    tmp_path: Path, answer: tuple[int, Any, dict[str, str]], counts: bool
) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl", Budget(tokens=10**6))
    with told(lambda text, before: answer) as server:
        reply = Endpoint(server.url, "m", "OPENAI_API_KEY").ask(prompt(), "loser", ledger=ledger)
    most = Spent(*prompt().most("loser"))
    assert ledger.spent == (sum([most] * len(reply.failures), Spent()) if counts else Spent())
    assert reply.unheard == (answer[1] != "not json")


def test_a_server_that_is_not_there_costs_nothing(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.jsonl", Budget(tokens=10**6))
    with told(wise) as server:
        gone = server.url
    reply = Endpoint(gone, "m", "OPENAI_API_KEY").ask(prompt(), "loser", ledger=ledger)
    assert reply.unheard
    assert {*reply.failures} == {"no connection"}
    assert ledger.spent == Spent()


def test_an_answer_is_kept_before_the_ledger_is_told(tmp_path: Path) -> None:
    """Whoever is killed in between has counted too much, and does not pay again."""
    ledger, seen = Ledger(tmp_path / "ledger.jsonl", Budget(tokens=10**6)), list[Spent]()
    with told(wise) as server:
        Endpoint(server.url, "m", "OPENAI_API_KEY").ask(
            prompt(), "loser", ledger=ledger, keep=lambda answer: seen.append(ledger.spent)
        )
    assert seen == [Spent(*prompt().most("loser"))]
    assert ledger.spent == Spent(100, 10)


def test_a_text_goes_where_it_was_sent_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    with told(wise) as elsewhere:
        monkeypatch.setenv("HTTP_PROXY", elsewhere.url)
        with told(
            lambda text, before: (307, {}, {"location": f"{elsewhere.url}/chat/completions"})
        ) as server:
            reply = Endpoint(server.url, "m", "OPENAI_API_KEY").ask(prompt(), "loser")
        assert reply.answer is None
        assert reply.failures == ("status 307",)
        assert not elsewhere.bodies


@pytest.mark.parametrize(
    ("host", "here"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("LOCALHOST", True),
        ("0.0.0.0", False),
        ("localhost.example.org", False),
        ("127.0.0.1.example.org", False),
        ("10.0.0.1", False),
    ],
)
def test_what_counts_as_this_machine(host: str, here: bool) -> None:
    assert is_loopback(host) is here


@pytest.mark.parametrize("url", ["", "127.0.0.1:8080", "ftp://127.0.0.1/v1", "https:///v1"])
def test_an_address_that_is_none_is_wrong_input(url: str) -> None:
    with pytest.raises(InputError, match="no address"):
        Endpoint(url, "m", "OPENAI_API_KEY")


def test_another_machine_wants_a_key() -> None:
    with pytest.raises(InputError, match="OPENAI_API_KEY is not set"):
        Endpoint("https://192.0.2.1/v1", "m", "OPENAI_API_KEY")


@pytest.mark.slow
def test_no_text_is_logged_even_where_the_client_is_told_to_log_all() -> None:
    code = (
        "import sys\n"
        "from train.llm.endpoint import Endpoint\n"
        "from tests.llm.test_prompt import prompt\n"
        "print(Endpoint(sys.argv[1], 'm', 'K').ask(prompt(), sys.argv[2]))\n"
    )
    with told(failing((500, {"error": SENTINEL}), (200, completion(SENTINEL)))) as server:
        done = subprocess.run(
            [sys.executable, "-c", code, server.url, SENTINEL],
            env={**os.environ, "OPENAI_LOG": "debug"},
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            check=True,
        )
        assert len(server.bodies) == 3
    assert "Answer(" in done.stdout
    assert SENTINEL not in done.stdout + done.stderr


def own_address() -> str:
    """An address of this machine that is not its loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            pytest.skip("this machine has no address but its loopback")
        return str(probe.getsockname()[0])
