"""Where a source's file is: a local path, a file in an installed package, or an address that fsspec opens."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote

from train.errors import InputError, Problem
from train.files import cache_folder, canonical_json, in_package, sha256_bytes, whole_file

_HERE = "file://"
_STAMPS = (
    *("size", "ETag", "etag", "LastModified", "last_modified", "Last-Modified", "mtime"),
    *("md5Hash", "Content-MD5", "generation"),
)
"""What file systems say of a file that changes when its content does."""
_PIECE = 1 << 20  # bytes


def is_remote(path: str) -> bool:
    return "://" in path and not path.startswith(_HERE)


def has_password(path: str) -> bool:
    return re.search(r"//[^/@]*:[^/@]*@", path) is not None


def local(path: str) -> Path:
    """The file or folder of `path` on this machine; what is remote is fetched and kept in the cache, and is
    fetched again when its file system says that it changed, or cannot tell.

    Raises InputError where a package is not installed, or an address cannot be opened or read to its end.
    """
    if path.startswith("package:"):
        return _packed(path)
    if is_remote(path):
        return _fetched(path)
    return Path(unquote(path.removeprefix(_HERE)) if path.startswith(_HERE) else path)


def name_of(path: str) -> str:
    """The last part of a path or an address, without what a signed address may hold (`?token=...`); of a
    chain such as `zip://in.csv::https://...`, of the file within."""
    if is_remote(path):
        path = next((link for link in path.split("::") if "://" in link), path).partition("?")[0]
    return PurePosixPath(path).name


def _packed(path: str) -> Path:
    package, _, inner = path.removeprefix("package:").partition("/")
    if not package.isidentifier() or not inner:
        raise InputError(Problem(path, "is no file of a package", "package:NAME/PATH, NAME as imported"))
    if importlib.util.find_spec(package) is None:
        what = f"the package {package} is not installed"
        raise InputError(
            Problem(path, what, "an installed package", f"pip install {package.replace('_', '-')}")
        )
    return in_package(path)


def _fetched(address: str) -> Path:
    """A copy of what is at `address`, named by that and by what its file system says of its version."""
    from fsspec.core import url_to_fs

    shown = re.sub(r"//[^/@]*@", "//", address.partition("?")[0])  # without passwords and signatures
    try:
        system, inner = url_to_fs(address)
    except (ImportError, ValueError) as error:  # fsspec says which package brings the protocol
        raise InputError(Problem(shown, str(error), "an address that fsspec opens")) from None
    except Exception as error:
        raise _unreachable(shown, error) from None
    try:
        info = system.info(inner)
    except Exception as error:  # drivers raise what they like: OSError, aiohttp's and botocore's own
        raise _unreachable(shown, error) from None
    stamp = {key: str(info[key]) for key in _STAMPS if info.get(key) is not None}
    key = sha256_bytes(canonical_json([address, stamp]).encode())[:32]
    copy = cache_folder() / "files" / key / (name_of(address) or "file")
    if not copy.exists() or not stamp.keys() - {"size"}:  # nothing tells whether it changed
        with whole_file(copy) as part, part.open("wb") as target:
            for piece in _pieces(system, inner, shown):
                target.write(piece)
    return copy


def _pieces(system: Any, inner: str, shown: str) -> Iterator[bytes]:
    """The file's bytes. What the driver raises is the address's fault; a full disk of ours is not."""
    try:
        with system.open(inner, "rb") as stream:
            while piece := stream.read(_PIECE):
                yield piece
    except Exception as error:
        raise _unreachable(shown, error) from None


def _unreachable(shown: str, error: Exception) -> InputError:
    what = f"cannot be read ({type(error).__name__})"
    remedy = "look at the address, at the network, and at the rights of the account in use"
    return InputError(Problem(shown, what, "a file that can be read", remedy))
