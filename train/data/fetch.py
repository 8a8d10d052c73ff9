"""Public sources brought to disk: addresses in; files with the published sha256, and whose they are, out.

Bytes go to a hidden `.part` beside the file's place, which is continued after a cut connection, by this call
or by a later one. What proves a file is its sha256: only then does it get its name.
"""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import requests
from rich.filesize import decimal
from urllib3.exceptions import InvalidHeader
from urllib3.util.retry import Retry

from train.alone import alone
from train.data.public import PublicFile, PublicSource, notice
from train.document import COMMAND_LINE
from train.errors import Failure, InputError, Interrupted, Problem
from train.files import make_folder, put_in_place, sha256_file, write_text
from train.terminal import Terminal

TRIES = 5
"""Attempts in a row that bring nothing new before a file is given up."""
LONGEST_PAUSE = 60  # seconds; a server that asks for more is left alone
TIMEOUTS = (10, 30)  # seconds to connect, and between two pieces of a file
PIECE = 1 << 14  # bytes; the most that a cut connection loses
BUSY = (408, 425, 429, 500, 502, 503, 504)
AGAIN = "the same command goes on where this one stopped"

Advance = Callable[..., None]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Item:
    """A file to bring: what it must be, where it is, where it goes."""

    source: str
    known: PublicFile
    address: str
    place: Path

    @property
    def name(self) -> str:
        return f"{self.source}/{self.place.name}"

    @property
    def part(self) -> Path:
        return self.place.with_name(f".{self.place.name}.part")

    @property
    def have(self) -> int:
        """Bytes in the part so far."""
        return self.part.stat().st_size if self.part.exists() else 0

    @property
    def published(self) -> str:
        return f"sha256 {self.known.sha256} ({self.known.bytes:,} bytes)"


def fetch(
    sources: Mapping[str, PublicSource],
    to: Path,
    terminal: Terminal,
    *,
    mirror: str | None = None,
    force: bool = False,
    pause: float = 1.0,
) -> int:
    """Bring the sources' files to `to`/<source>/<file>; returns how many were fetched.

    mirror: address of a folder laid out like `to`, asked instead of the upstream repositories.
    force: replace files that are there and differ. pause: seconds before a second attempt; doubles with each.

    Raises InputError before anything is fetched: a file is there and differs, or `mirror` is no address.
    Failure: a server is out of reach, or serves something else (other files are fetched all the same).
    Interrupted: Ctrl-C.
    """
    if mirror is not None:
        _must_be_address(mirror)
    items = [item for name, source in sources.items() for item in _items(name, source, to, mirror)]
    missing = _missing(items, to, force, terminal)
    if missing:
        make_folder(to)
        try:
            with alone(to, "another call is fetching into this folder"):
                _fetch_all(missing, sources, terminal, pause)
        except KeyboardInterrupt:
            raise Interrupted(signal.SIGINT, f"stopped; {AGAIN}") from None
    terminal.say(f"{to}: {len(items)} published file(s), {len(missing)} of them fetched now")
    return len(missing)


def _must_be_address(mirror: str) -> None:
    """Messages show a mirror: it may not hold a password."""
    try:
        parts = urlsplit(mirror)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound:
        raise InputError(
            Problem(COMMAND_LINE, "--from is no address", "such as https://data.example.com/public")
        )
    if parts.username is not None:
        raise InputError(Problem(COMMAND_LINE, "--from holds a user name", "none", "put it in ~/.netrc"))


def _items(name: str, source: PublicSource, to: Path, mirror: str | None) -> Iterator[Item]:
    for file, known in source.files.items():
        address = f"{mirror.rstrip('/')}/{name}/{file}" if mirror else source.address(file)
        yield Item(name, known, address, to / name / file)


def _missing(items: list[Item], to: Path, force: bool, terminal: Terminal) -> list[Item]:
    """What has to be fetched; says what is there. Raises InputError for what may not be replaced."""
    problems, missing = [], []

    def refuse(item: Item, what: str, expected: str, remedy: str = "--to another folder") -> None:
        problems.append(Problem(str(item.place), what, expected, remedy))

    for item in items:
        if not item.place.parent.resolve().is_relative_to(to.resolve()):
            refuse(item, f"a link leads out of {to}", "a folder in it")
        elif any(folder.exists() and not folder.is_dir() for folder in (to, item.place.parent)):
            refuse(item, "there is a file in place of its folder", "a folder")
        elif item.place.is_dir():
            refuse(item, "is a folder", "a file")
        elif not item.place.exists():
            missing.append(item)
        elif (found := sha256_file(item.place)) == item.known.sha256:
            terminal.say(f"{item.name}: there already, whole")
        elif force:
            missing.append(item)
        else:
            what = f"differs from what is published: sha256 {found} ({item.place.stat().st_size:,} bytes)"
            refuse(item, what, item.published, "--force replaces it; --to DIR leaves it alone")
    if problems:
        raise InputError(problems)
    return missing


# ---- the files -----------------------------------------------------------------------------------------


class _Wrong(Exception):
    """A server answered, but not with the file."""

    def __init__(self, item: Item, what: str, remedy: str = "") -> None:
        remedy = remedy or "open the address: does a proxy answer in its place? --from URL asks elsewhere"
        self.problem = Problem(item.address, what, f"{item.name}, {item.published}", remedy)


class _Cut(Exception):
    """An attempt ended early and may be made again.

    after: in so many seconds, says the server. discard: from the beginning, not from where this one ended.
    """

    def __init__(self, why: str, after: float | None = None, discard: bool = False) -> None:
        super().__init__(why)
        self.after, self.discard = after, discard


def _fetch_all(
    items: list[Item], sources: Mapping[str, PublicSource], terminal: Terminal, pause: float
) -> None:
    """One after the other. A wrong answer costs only its file; a server out of reach ends it all."""
    problems: list[Problem] = []
    size, have = sum(item.known.bytes for item in items), sum(item.have for item in items)
    with requests.Session() as session, terminal.bar("fetch", size, have, of_bytes=True) as advance:
        for item in items:
            source, before = sources[item.source], item.have
            advance(0, note=item.name)
            try:
                _fetch(session, item, advance, terminal.say, pause)
            except _Wrong as wrong:
                problems.append(wrong.problem)
                continue
            except Failure as failure:
                problems.append(failure.problem)
                break
            write_text(item.place.with_name("SOURCE.md"), notice(item.source, source))
            put_in_place(item.part, item.place)
            earlier = f", {decimal(before)} of it by an earlier call" if before else ""
            terminal.say(f"{item.name}: fetched, {decimal(item.known.bytes)}{earlier} ({source.licence})")
    for problem in problems[:-1]:
        terminal.say(str(problem))
    if problems:
        raise Failure(problems[-1])


def _fetch(session: requests.Session, item: Item, advance: Advance, say: Say, pause: float) -> None:
    """Make the part the published file. Raises _Wrong, or Failure when nothing comes any more."""
    if item.part.is_symlink():  # nothing is written elsewhere
        item.part.unlink()
    doubtful = item.have > 0  # an earlier call's part may be of another file: then once more, from the start
    while True:
        _complete(session, item, advance, say, pause)
        found = sha256_file(item.part)
        if found == item.known.sha256:
            return
        what = f"serves something else: sha256 {found} ({item.have:,} bytes)"
        _discard(item, advance)
        if not doubtful:
            raise _Wrong(item, what)
        doubtful = False


def _discard(item: Item, advance: Advance) -> None:
    advance(-item.have)
    item.part.unlink(missing_ok=True)


def _complete(session: requests.Session, item: Item, advance: Advance, say: Say, pause: float) -> None:
    """Attempt after attempt, until the part is as long as the file."""
    idle = 0
    while (before := item.have) < item.known.bytes:
        try:
            _receive(session, item, advance)
        except _Cut as cut:
            if cut.discard:
                _discard(item, advance)
            idle = 0 if item.have > before else idle + 1
            wait = pause * 2 ** max(idle - 1, 0) if cut.after is None else cut.after
            if idle == TRIES or wait > LONGEST_PAUSE:
                what = (
                    f"{cut}, {idle} times" if idle == TRIES else f"{cut}, asks to come back in {wait:.0f} s"
                )
                remedy = f"check network and proxy (HTTPS_PROXY), or --from URL of a copy; {AGAIN}"
                raise Failure(Problem(item.address, what, item.name, remedy)) from None
            say(f"{item.name}: {cut}; again in {wait:.0f} s")
            time.sleep(wait)


def _receive(session: requests.Session, item: Item, advance: Advance) -> None:
    """Ask for what the part lacks, and append it. Raises _Cut, _Wrong or Failure; else the part is full."""
    have = item.have
    headers = {"Accept-Encoding": "identity"}  # so that a place in the stream is one in the file
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        with session.get(item.address, headers=headers, stream=True, timeout=TIMEOUTS) as answer:
            at = _beginning(answer, item, have)
            advance(at - have)  # back to 0 where the server does not continue
            item.part.parent.mkdir(parents=True, exist_ok=True)
            with item.part.open("ab" if at else "wb", buffering=0) as stream:
                for piece in answer.iter_content(PIECE):
                    at += len(piece)
                    if at > item.known.bytes:
                        raise _Wrong(item, "serves a longer file")
                    stream.write(piece)
                    advance(len(piece))
    except (requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            remedy = "a company's own certificates are named by REQUESTS_CA_BUNDLE"
            raise Failure(Problem(item.address, "its certificate is not accepted", remedy=remedy)) from None
        raise _Cut(f"no connection, or cut ({_cause(error)})") from error
    except requests.RequestException as error:
        raise _Wrong(item, f"cannot be read ({type(error).__name__})") from error
    if at < item.known.bytes:
        raise _Cut(f"ended after {at:,} of {item.known.bytes:,} bytes")


def _beginning(answer: requests.Response, item: Item, have: int) -> int:
    """Where in the file the answer's body begins: `have`, or 0 from a server that does not continue."""
    status, headers = answer.status_code, answer.headers
    served = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("Content-Range", ""))
    if status in BUSY:
        raise _Cut(f"HTTP {status}", after=_seconds(headers.get("Retry-After")))
    if status == 200:
        begin, length = 0, "" if "Content-Encoding" in headers else headers.get("Content-Length", "")
    elif status == 206 and served and int(served[1]) == have:
        begin, length = have, served[2]
    elif status in (206, 416):
        raise _Cut(f"HTTP {status}, not the range that was asked for", discard=True)
    else:
        gone = "--from URL asks another server, which holds a copy" if status in (404, 410) else ""
        raise _Wrong(item, f"HTTP {status}", gone)
    if length.isdecimal() and int(length) != item.known.bytes:
        raise _Wrong(item, f"serves a file of {int(length):,} bytes")
    return begin


def _seconds(retry_after: str | None) -> float | None:
    try:
        return Retry().parse_retry_after(retry_after) if retry_after else None
    except InvalidHeader:
        return None


def _cause(error: Exception) -> str:
    """The kind of the innermost error: its words may hold a proxy's password."""
    inner = error.args[0] if error.args else error
    return type(getattr(inner, "reason", None) or inner).__name__
