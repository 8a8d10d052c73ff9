"""Where a source's file is: a local path, a file in an installed package, or an address that fsspec opens."""

from __future__ import annotations

import shutil
from pathlib import Path

from train.errors import InputError, Problem
from train.files import cache_folder, canonical_json, in_package, sha256_bytes, whole_file

_STAMPS = ("size", "ETag", "etag", "LastModified", "last_modified", "mtime", "md5Hash", "generation")
"""What file systems say of a file that changes when its content does."""


def is_remote(path: str) -> bool:
    return "://" in path


def local(path: str) -> Path:
    """The file or folder of `path` on this machine; what is remote is fetched once and kept in the cache.

    Raises InputError where a package is not installed, or an address cannot be opened.
    """
    if path.startswith("package:"):
        return in_package(path)
    if is_remote(path):
        return _fetched(path)
    return Path(path)


def _fetched(address: str) -> Path:
    """A copy of what is at `address`, named by that and by what its file system says of its version."""
    from fsspec.core import url_to_fs

    try:
        system, inner = url_to_fs(address)
        info = system.info(inner)
        stamp = {key: str(info[key]) for key in _STAMPS if info.get(key) is not None}
        key = sha256_bytes(canonical_json([address, stamp]).encode())[:32]
        copy = cache_folder() / "files" / key / Path(inner).name
        if not copy.exists() or not stamp.keys() - {"size"}:  # nothing tells whether it changed: fetch again
            copy.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with whole_file(copy) as part, system.open(inner, "rb") as stream, part.open("wb") as target:
                shutil.copyfileobj(stream, target, 1 << 20)
    except (ImportError, ValueError) as error:  # fsspec says which package brings the protocol
        raise InputError(Problem(address, str(error), "an address that fsspec opens")) from None
    except (OSError, RuntimeError) as error:
        what = f"cannot be opened ({type(error).__name__})"
        remedy = "look at the address, at the network, and at the rights of the account in use"
        raise InputError(Problem(address, what, "a file that can be read", remedy)) from None
    return copy
