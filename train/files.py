"""Writing files whole or not at all, and hashing them.

Everything is written beside its final place, flushed to the disk, and renamed over it: a reader sees the
old content or the new, and a crash or a full disk never leaves half of either.
"""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    mask = os.umask(0o077)  # the only way to ask for it is to set it
    os.umask(mask)
    return mask


def make_folder(path: Path, mode: int = 0o777) -> None:
    """Make a folder and those above it. Raises OSError; PermissionError where the system makes none."""
    with _may_be_made(path):
        path.mkdir(parents=True, exist_ok=True, mode=mode)


@contextmanager
def _may_be_made(path: Path) -> Iterator[None]:
    """/proc and its like say that what is to be made does not exist: a place's fault, not the program's."""
    try:
        yield
    except FileNotFoundError:
        raise PermissionError(errno.EACCES, "nothing can be made here", str(path)) from None


@contextmanager
def whole_file(path: Path, private: bool = False) -> Iterator[Path]:
    """Yield a path to write to; on success it replaces `path` atomically, on any error it is removed.

    private: only its owner may read it, whatever the umask.
    """
    make_folder(path.parent)
    with _may_be_made(path):
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
    os.close(descriptor)
    part = Path(name)
    try:
        yield part
        part.chmod(0o600 if private else 0o666 & ~_umask())
        put_in_place(part, path)
    except BaseException:
        with suppress(FileNotFoundError):
            part.unlink()
        raise


def put_in_place(part: Path, path: Path) -> None:
    """Give a finished file its name, in one step, once all of it is on the disk."""
    _sync(part)
    part.replace(path)
    _sync(path.parent)


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """Yield a folder to fill; on success it is renamed to `path`, which must not exist; on any error removed.

    A folder cannot be replaced in one step, so none is ever replaced.
    """
    make_folder(path.parent)
    with _may_be_made(path):
        part = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part"))
    try:
        yield part
        for file in sorted(part.rglob("*")):
            if file.is_file():
                file.chmod(0o666 & ~_umask())
            _sync(file)
        _sync(part)
        part.chmod(0o777 & ~_umask())
        part.replace(path)
        _sync(path.parent)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def sweep_parts(folder: Path) -> None:
    """Remove what a killed process left half-written in `folder`."""
    for part in folder.glob(".*.part"):
        if part.is_dir() and not part.is_symlink():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)


def write_text(path: Path, text: str, private: bool = False) -> None:
    with whole_file(path, private) as part:
        part.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    write_text(path, json_text(value))


def json_text(value: Any) -> str:
    """JSON as a person reads it."""
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def point_link(link: Path, target: str) -> None:
    """Make `link` a symbolic link to `target`, replacing an earlier one atomically."""
    part = link.with_name(f".{link.name}.part")
    part.unlink(missing_ok=True)
    part.symlink_to(target)
    part.replace(link)


def cache_folder() -> Path:
    """`$TEENSAFE_CACHE`, default ~/.cache/teensafe: what can be made again. It holds texts."""
    path = Path(os.environ.get("TEENSAFE_CACHE") or Path.home() / ".cache" / "teensafe")
    make_folder(path, mode=0o700)
    return path


def in_package(address: str) -> Path:
    """The place of `package:NAME/PATH`, whether or not it is there. The package is not imported."""
    package, _, inner = address.removeprefix("package:").partition("/")
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return Path(package) / inner
    return Path(spec.submodule_search_locations[0]) / inner


def sha256_bytes(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def sha256_file(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def hashed(*key: object) -> int:
    """A 60-bit number that is a pure function of JSON values: chance that can be had again."""
    return int(sha256_bytes(canonical_json(key).encode())[:15], 16)


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal bytes, hence equal hashes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
