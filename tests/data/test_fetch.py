"""Public files from a real HTTP server that cuts, refuses, ignores and lies: what is asked, what is left."""

from __future__ import annotations

import fcntl
import gzip
import hashlib
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from train.cli import main
from train.data import fetch as fetching
from train.data.fetch import PIECE, TRIES, fetch
from train.data.public import PublicFile, PublicSource, catalogue
from train.errors import Failure, InputError
from train.terminal import Terminal

BODY = random.Random(0).randbytes(10 * PIECE + 321)
OTHER = random.Random(1).randbytes(len(BODY))
HALF = 5 * PIECE
WHOLE = ("/toy/rows.csv", None)


def toy(**files: bytes) -> dict[str, PublicSource]:
    """The catalogue of a source `toy` with these files."""
    known = {
        f"{stem}.csv": PublicFile(
            at=f"data/{stem}.csv", rows=1, bytes=len(body), sha256=hashlib.sha256(body).hexdigest()
        )
        for stem, body in files.items()
    }
    source = PublicSource(
        labels="nothing",
        rows="bytes",
        language="en",
        use="evaluate",
        licence="CC BY 4.0",
        licence_link="https://example.com/licence",
        cite="Nobody, N. (2020). Nothing.",
        paper="https://example.com/paper",
        repository="nobody/nothing",
        commit="0" * 40,
        files=known,
    )
    return {"toy": source}


TOY = toy(rows=BODY)


# ---- a server ------------------------------------------------------------------------------------------


@dataclass
class Answer:
    """How one request is answered; by default as it was asked, in full."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = BODY
    ranges: bool = True
    cut: int | None = None  # bytes of the body after which the connection ends
    hold: float = 0  # seconds that it stays open after them
    length: bool = True


class Server(ThreadingHTTPServer):
    """Answers as `answers` says, one a request, then as asked; remembers what was asked and sent."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: list[Answer] = []
        self.asked: list[tuple[str, str | None]] = []  # path, Range
        self.sent: list[int] = []
        self.address = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_: object) -> None:
        """A killed client hangs up: no news."""


class _Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        asked = self.headers.get("Range")
        self.server.asked.append((self.path, asked))
        answer = self.server.answers.pop(0) if self.server.answers else Answer()
        status, headers, body = answer.status or 200, dict(answer.headers), answer.body
        if asked and answer.ranges and not answer.status:
            begin, whole = int(re.fullmatch(r"bytes=(\d+)-", asked)[1]), len(body)  # type: ignore[index]
            body = body[begin:]
            status = 206 if body else 416
            headers["Content-Range"] = f"bytes {begin}-{whole - 1}/{whole}" if body else f"bytes */{whole}"
        if answer.length:
            headers["Content-Length"] = str(len(body))
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        body = body if answer.cut is None else body[: answer.cut]
        self.server.sent.append(len(body))
        self.wfile.write(body)
        if answer.hold:
            time.sleep(answer.hold)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def running(server: ThreadingHTTPServer) -> Iterator[str]:
    """Serve from a thread; yields the server's address."""
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.socket.close()


@pytest.fixture(autouse=True)
def _direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """This machine's own proxy is no part of the tests."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def server() -> Iterator[Server]:
    with running(made := Server()):
        yield made


def bring(server: Server, to: Path, sources: dict[str, PublicSource] = TOY, force: bool = False) -> int:
    return fetch(sources, to, Terminal(), mirror=server.address, force=force, pause=0)


def failure(server: Server, to: Path, sources: dict[str, PublicSource] = TOY, force: bool = False) -> str:
    with pytest.raises(Failure) as raised:
        bring(server, to, sources, force)
    assert raised.value.exit_code == 1
    return str(raised.value)


def part(to: Path, body: bytes) -> Path:
    """What an earlier call left of toy/rows.csv."""
    left = to / "toy" / ".rows.csv.part"
    left.parent.mkdir(parents=True)
    left.write_bytes(body)
    return left


def files(to: Path) -> list[str]:
    return sorted(p.relative_to(to).as_posix() for p in to.rglob("*") if p.is_file())


# ---- what arrives --------------------------------------------------------------------------------------


def test_a_file_arrives_whole_with_a_note_of_whose_it_is(server: Server, tmp_path: Path) -> None:
    assert bring(server, tmp_path / "data") == 1
    assert (tmp_path / "data/toy/rows.csv").read_bytes() == BODY
    assert files(tmp_path) == ["data/toy/SOURCE.md", "data/toy/rows.csv"]
    assert server.asked == [WHOLE]
    note = (tmp_path / "data/toy/SOURCE.md").read_text()
    for said in (
        "CC BY 4.0",
        "https://example.com/licence",
        "Nobody, N. (2020). Nothing.",
        "https://github.com/nobody/nothing/tree/" + "0" * 40,
        hashlib.sha256(BODY).hexdigest(),
        "only to evaluate",
        "data/rows.csv",
    ):
        assert said in note


def test_what_is_there_and_whole_is_not_asked_for_again(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bring(server, tmp_path)
    before = (tmp_path / "toy/rows.csv").stat()
    assert bring(server, tmp_path) == 0
    assert (tmp_path / "toy/rows.csv").stat() == before
    assert len(server.asked) == 1
    captured = capsys.readouterr()
    assert "toy/rows.csv: there already, whole" in captured.err
    assert captured.out == ""


def test_a_cut_connection_is_continued_in_the_same_call(server: Server, tmp_path: Path) -> None:
    server.answers = [Answer(cut=HALF), Answer(cut=2 * PIECE)]
    bring(server, tmp_path)
    assert (tmp_path / "toy/rows.csv").read_bytes() == BODY
    assert server.asked == [WHOLE, (WHOLE[0], f"bytes={HALF}-"), (WHOLE[0], f"bytes={HALF + 2 * PIECE}-")]
    assert sum(server.sent) == len(BODY)


def test_a_cut_loses_less_than_a_piece(server: Server, tmp_path: Path) -> None:
    server.answers = [Answer(cut=HALF + 1000)]
    bring(server, tmp_path)
    assert (tmp_path / "toy/rows.csv").read_bytes() == BODY
    assert len(BODY) <= sum(server.sent) < len(BODY) + PIECE


def test_an_end_without_an_announced_length_is_a_cut_too(server: Server, tmp_path: Path) -> None:
    server.answers = [Answer(cut=HALF, length=False)]
    bring(server, tmp_path)
    assert (tmp_path / "toy/rows.csv").read_bytes() == BODY
    assert sum(server.sent) == len(BODY)


def test_a_server_that_falls_silent_is_asked_again(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "TIMEOUTS", (5, 0.2))
    server.answers = [Answer(cut=HALF, hold=2)]
    bring(server, tmp_path)
    assert (tmp_path / "toy/rows.csv").read_bytes() == BODY
    assert server.asked[1] == (WHOLE[0], f"bytes={HALF}-")


CALL = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background has it ignored
from pathlib import Path
from train.data.fetch import fetch
from train.data.public import PublicSource
from train.errors import guarded
from train.terminal import Terminal
sources = {"toy": PublicSource.model_validate_json(sys.argv[1])}
sys.exit(guarded("fetch", lambda: fetch(sources, Path(sys.argv[2]), Terminal(), mirror=sys.argv[3])))
"""


@pytest.mark.parametrize(
    ("signum", "code"), [(signal.SIGKILL, -9), (signal.SIGINT, 130)], ids=["kill", "ctrl-c"]
)
def test_a_process_that_ended_is_continued_by_the_next_call(
    signum: int, code: int, server: Server, tmp_path: Path
) -> None:
    server.answers = [Answer(cut=HALF, hold=10)]
    command = [sys.executable, "-c", CALL, TOY["toy"].model_dump_json(), str(tmp_path), server.address]
    process = subprocess.Popen(command, cwd=REPOSITORY, stderr=subprocess.PIPE, text=True)
    left = tmp_path / "toy" / ".rows.csv.part"
    deadline = time.monotonic() + 30
    while not (left.exists() and left.stat().st_size == HALF):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signum)
    said = process.communicate(timeout=20)[1]
    assert process.returncode == code, said
    assert "Traceback" not in said
    assert ("goes on where this one stopped" in said) == (signum == signal.SIGINT)
    assert left.read_bytes() == BODY[:HALF]

    bring(server, tmp_path)
    assert (tmp_path / "toy/rows.csv").read_bytes() == BODY
    assert not left.exists()
    assert server.asked == [WHOLE, (WHOLE[0], f"bytes={HALF}-")]
    assert server.sent == [HALF, len(BODY) - HALF]


def test_a_server_without_ranges_begins_anew(server: Server, tmp_path: Path) -> None:
    server.answers = [Answer(cut=HALF), Answer(ranges=False)]
    bring(server, tmp_path)
    assert (tmp_path / "toy/rows.csv").read_bytes() == BODY
    assert server.sent == [HALF, len(BODY)]


def test_a_range_that_was_not_asked_for_is_not_appended(server: Server, tmp_path: Path) -> None:
    part(tmp_path, BODY[:HALF])
    wrong = {"Content-Range": f"bytes 0-{len(BODY) - 1}/{len(BODY)}"}
    server.answers = [Answer(status=206, headers=wrong)]
    bring(server, tmp_path)
    assert (tmp_path / "toy/rows.csv").read_bytes() == BODY
    assert server.asked == [(WHOLE[0], f"bytes={HALF}-"), WHOLE]


@pytest.mark.parametrize(
    ("left", "asked"),
    [
        (OTHER[:HALF], [(WHOLE[0], f"bytes={HALF}-"), WHOLE]),
        (OTHER, [WHOLE]),
        (BODY + b"more", [WHOLE]),
        (BODY, []),
    ],
    ids=["begins otherwise", "as long", "longer", "complete"],
)
def test_a_part_of_another_file_costs_one_more_attempt(
    left: bytes, asked: list[tuple[str, str | None]], server: Server, tmp_path: Path
) -> None:
    part(tmp_path, left)
    bring(server, tmp_path)
    assert (tmp_path / "toy/rows.csv").read_bytes() == BODY
    assert server.asked == asked


def test_a_compressed_answer_is_the_file_it_holds(server: Server, tmp_path: Path) -> None:
    server.answers = [Answer(headers={"Content-Encoding": "gzip"}, body=gzip.compress(BODY))]
    bring(server, tmp_path)
    assert (tmp_path / "toy/rows.csv").read_bytes() == BODY


def test_the_proxy_of_the_environment_is_used(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.address)
    fetch(TOY, tmp_path, Terminal(), mirror="http://data.invalid/public/", pause=0)
    assert server.asked == [("http://data.invalid/public/toy/rows.csv", None)]
    assert (tmp_path / "toy/rows.csv").read_bytes() == BODY


# ---- what does not -------------------------------------------------------------------------------------


def test_other_bytes_are_refused_and_removed(server: Server, tmp_path: Path) -> None:
    server.answers = [Answer(body=OTHER)]
    said = failure(server, tmp_path)
    assert f"{server.address}/toy/rows.csv" in said
    assert hashlib.sha256(OTHER).hexdigest() in said
    assert hashlib.sha256(BODY).hexdigest() in said
    assert "try: " in said
    assert files(tmp_path) == []
    assert len(server.asked) == 1


def test_other_bytes_twice_are_not_asked_for_a_third_time(server: Server, tmp_path: Path) -> None:
    part(tmp_path, BODY[:HALF])
    server.answers = [Answer(body=OTHER), Answer(body=OTHER)]
    assert "serves something else" in failure(server, tmp_path)
    assert len(server.asked) == 2
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (Answer(body=b"<html>please log in</html>"), "serves a file of 26 bytes"),
        (Answer(body=BODY + b"more", length=False), "serves a longer file"),
        (Answer(status=404, body=b""), "HTTP 404"),
        (Answer(status=403, body=b""), "HTTP 403"),
        (Answer(status=302, headers={"Location": "/toy/rows.csv"}, body=b""), "TooManyRedirects"),
    ],
    ids=["login page", "longer", "gone", "forbidden", "circle"],
)
def test_a_wrong_answer_is_not_asked_for_again(
    answer: Answer, what: str, server: Server, tmp_path: Path
) -> None:
    server.answers = [answer] * (40 if answer.status == 302 else 1)
    said = failure(server, tmp_path)
    assert what in said
    assert "rows.csv" not in files(tmp_path)
    assert len(server.asked) == (31 if answer.status == 302 else 1)


def test_a_shorter_file_than_the_part_is_said(server: Server, tmp_path: Path) -> None:
    part(tmp_path, BODY[:HALF])
    server.answers = [Answer(body=BODY[:100]), Answer(body=BODY[:100])]
    assert "serves a file of 100 bytes" in failure(server, tmp_path)


def test_one_wrong_file_does_not_keep_the_others_away(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answers = [Answer(status=404), Answer(body=b"fine"), Answer(body=b"lie?")]
    said = failure(server, tmp_path, toy(a=b"gone", b=b"fine", c=b"true"))
    assert files(tmp_path) == ["toy/SOURCE.md", "toy/b.csv"]
    assert "toy/c.csv" in said
    assert "HTTP 404" in capsys.readouterr().err


def test_a_wrong_file_is_told_even_where_the_server_then_goes_away(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answers = [Answer(status=404), *[Answer(status=503)] * TRIES]
    assert "toy/b.csv" in failure(server, tmp_path, toy(a=b"gone", b=b"busy", c=b"never asked for"))
    assert "HTTP 404" in capsys.readouterr().err
    assert {path for path, _ in server.asked} == {"/toy/a.csv", "/toy/b.csv"}


def test_busy_then_served(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    past = "Wed, 21 Oct 2015 07:28:00 GMT"
    server.answers = [
        Answer(status=503),
        Answer(status=429, headers={"Retry-After": "0"}),
        Answer(status=502, headers={"Retry-After": past}),
        Answer(status=500, headers={"Retry-After": "soon"}),
    ]
    bring(server, tmp_path)
    assert (tmp_path / "toy/rows.csv").read_bytes() == BODY
    assert "HTTP 503; again in" in capsys.readouterr().err


def test_busy_for_ever_ends_and_keeps_what_came(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(fetching.time, "sleep", waits.append)
    server.answers = [Answer(cut=HALF), *[Answer(status=503)] * TRIES]
    with pytest.raises(Failure, match=f"HTTP 503, {TRIES} times") as raised:
        fetch(TOY, tmp_path, Terminal(), mirror=server.address)
    assert waits == [1, 1, 2, 4, 8]  # the first after the cut, which had brought something
    assert "where this one stopped" in str(raised.value)
    assert (tmp_path / "toy/.rows.csv.part").read_bytes() == BODY[:HALF]
    bring(server, tmp_path)
    assert server.sent[-1] == len(BODY) - HALF


def test_a_server_that_asks_for_an_hour_is_left_alone(server: Server, tmp_path: Path) -> None:
    server.answers = [Answer(status=429, headers={"Retry-After": "3600"})]
    assert "HTTP 429, asks to come back in 3600 s" in failure(server, tmp_path)
    assert len(server.asked) == 1


def test_a_server_without_ranges_that_always_cuts_is_given_up(server: Server, tmp_path: Path) -> None:
    server.answers = [Answer(cut=HALF, ranges=False)] * 10
    failure(server, tmp_path)
    assert len(server.asked) == TRIES + 1  # the first one brought something


def test_nobody_there(tmp_path: Path) -> None:
    with running(Server()) as address:
        pass  # its port is free again
    with pytest.raises(Failure, match=f"NewConnectionError.*, {TRIES} times"):
        fetch(TOY, tmp_path, Terminal(), mirror=address, pause=0)


# ---- what is there already -----------------------------------------------------------------------------


def test_a_file_that_differs_is_never_replaced_unasked(server: Server, tmp_path: Path) -> None:
    bring(server, tmp_path)
    mine = tmp_path / "toy/rows.csv"
    mine.write_text("mine")
    with pytest.raises(InputError) as raised:
        bring(server, tmp_path)
    said = str(raised.value)
    assert str(mine) in said
    assert hashlib.sha256(b"mine").hexdigest() in said
    assert hashlib.sha256(BODY).hexdigest() in said
    assert "--force" in said
    assert mine.read_text() == "mine"
    assert len(server.asked) == 1


def test_force_replaces_only_by_what_is_published(server: Server, tmp_path: Path) -> None:
    mine = tmp_path / "toy/rows.csv"
    mine.parent.mkdir()
    mine.write_text("mine")
    server.answers = [Answer(body=OTHER)]
    failure(server, tmp_path, force=True)
    assert mine.read_text() == "mine"
    assert bring(server, tmp_path, force=True) == 1
    assert mine.read_bytes() == BODY


def test_nothing_is_written_elsewhere(server: Server, tmp_path: Path) -> None:
    outside, to = tmp_path / "outside", tmp_path / "data"
    outside.mkdir()
    to.mkdir()
    (to / "toy").symlink_to(outside)
    with pytest.raises(InputError, match="leads out of"):
        bring(server, to)
    (to / "toy").unlink()
    (to / "toy").mkdir()
    (outside / "precious").write_text("precious")
    (to / "toy/.rows.csv.part").symlink_to(outside / "precious")
    bring(server, to)
    assert (outside / "precious").read_text() == "precious"
    assert (to / "toy/rows.csv").read_bytes() == BODY
    assert not (to / "toy/rows.csv").is_symlink()


def test_a_file_or_a_folder_in_the_way_is_named(server: Server, tmp_path: Path) -> None:
    (tmp_path / "toy").write_text("")
    with pytest.raises(InputError, match="file in place of its folder"):
        bring(server, tmp_path)
    (tmp_path / "toy").unlink()
    (tmp_path / "toy/rows.csv").mkdir(parents=True)
    with pytest.raises(InputError, match="is a folder"):
        bring(server, tmp_path, force=True)
    assert server.asked == []


def test_one_call_at_a_time(server: Server, tmp_path: Path) -> None:
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        assert "another call" in failure(server, tmp_path)
    finally:
        os.close(folder)
    assert bring(server, tmp_path) == 1


# ---- the command ---------------------------------------------------------------------------------------


@pytest.fixture
def published(real_data: Path) -> Iterator[str]:
    """A server of the real files, as Python's own http.server serves a folder."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with running(ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(real_data)))) as address:
        yield address


def test_every_real_file_arrives_byte_for_byte(
    published: str, real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEENSAFE_DATA", str(tmp_path / "data"))
    assert main(["data", "fetch", "--from", published]) == 0
    for name, source in catalogue().items():
        assert (tmp_path / "data" / name / "SOURCE.md").is_file()
        for file in source.files:
            assert (tmp_path / "data" / name / file).read_bytes() == (real_data / name / file).read_bytes()
    assert main(["check", str(REPOSITORY / "recipes/encoder/minilm-lora-davidson.yaml")]) == 0


def test_without_a_variable_files_come_to_data(
    published: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TEENSAFE_DATA", raising=False)
    assert main(["data", "fetch", "xstest", "--from", published]) == 0
    assert files(tmp_path) == ["data/xstest/SOURCE.md", "data/xstest/xstest_prompts.csv"]


def test_unknown_names_are_exit_2_all_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "fetch", "davidsn", "edos", "xtest"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("teensafe data fetch: ")
    assert "did you mean davidson?" in err
    assert "did you mean xstest?" in err


@pytest.mark.parametrize(
    "url", ["data.example.com", "ftp://example.com", "http://", "http://h:port/", "/srv/data"]
)
def test_a_mirror_that_is_no_address_is_exit_2(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "fetch", "--to", str(tmp_path), "--from", url]) == 2
    assert "is no address" in capsys.readouterr().err


def test_a_password_in_a_mirror_is_neither_used_nor_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["data", "fetch", "--to", str(tmp_path), "--from", "https://me:hush@example.com"]) == 2
    err = capsys.readouterr().err
    assert ".netrc" in err
    assert "hush" not in err


def test_exit_codes_of_a_wrong_server_and_a_changed_file(
    server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["data", "fetch", "xstest", "--to", str(tmp_path), "--from", server.address]
    assert main(command) == 1
    err = capsys.readouterr().err
    assert f"serves a file of {len(BODY):,} bytes" in err
    assert catalogue()["xstest"].files["xstest_prompts.csv"].sha256 in err
    assert files(tmp_path) == []
    (tmp_path / "xstest").mkdir()
    (tmp_path / "xstest/xstest_prompts.csv").write_text("mine")
    assert main(command) == 2
    assert "--force" in capsys.readouterr().err


def test_the_list_needs_no_network_and_nothing_heavy() -> None:
    code = (
        "import sys\nfrom train.cli import main\ncode = main(['data', 'fetch', '--list'])\n"
        "print(sorted({'requests', 'urllib3', 'torch', 'datasets'} & set(sys.modules)), file=sys.stderr)\n"
        "sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert done.stderr == "[]\n"
    for name, source in catalogue().items():
        assert name in done.stdout
        assert source.licence in done.stdout
        assert source.commit in done.stdout
    assert done.stdout.count("evaluate only") == 2
