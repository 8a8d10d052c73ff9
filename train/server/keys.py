"""Who may ask: bearer keys, known by their hashes alone."""

from __future__ import annotations

import hmac
from hashlib import sha256
from pathlib import Path

from train.errors import InputError, Problem

SHORTEST = 16
"""Characters of a key."""


class Keys:
    """Compared in constant time: every key is compared, by hashes of one length."""

    def __init__(self, keys: list[str]) -> None:
        self._known = [sha256(key.encode()).digest() for key in keys]

    @classmethod
    def read(cls, path: Path) -> Keys:
        """A key a line. Raises InputError."""
        try:
            keys = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        except (OSError, ValueError) as error:
            raise InputError(
                Problem("--api-keys", f"{path} cannot be read ({type(error).__name__})", "a key a line")
            ) from error
        if not keys or min(map(len, keys)) < SHORTEST:
            what = "holds no key" if not keys else f"holds a key of under {SHORTEST} characters"
            raise InputError(Problem(str(path), what, "long random keys", f"openssl rand -hex 32 >> {path}"))
        return cls(keys)

    def allow(self, authorization: str | None) -> bool:
        """Of a request's Authorization header."""
        kind, _, key = (authorization or "").partition(" ")
        given = sha256(key.strip().encode("latin-1")).digest()  # the header's own bytes
        found = [hmac.compare_digest(given, known) for known in self._known]
        return kind.lower() == "bearer" and any(found)
