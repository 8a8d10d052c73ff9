"""Rows that name their contrasts: which of them belong together, directly or through others."""

from __future__ import annotations

from collections.abc import Iterable


def joined(pairs: Iterable[tuple[str, ...]]) -> dict[str, str]:
    """Key -> the name of its group: its first two keys. The keys of one tuple are of one group."""
    first: dict[str, str] = {}

    def leader(key: str) -> str:
        path = []
        while (above := first.setdefault(key, key)) != key:
            path.append(key)
            key = above
        first.update(dict.fromkeys(path, key))
        return key

    for keys in pairs:
        if leaders := sorted({leader(key) for key in keys}):
            first.update(dict.fromkeys(leaders, leaders[0]))
    members: dict[str, list[str]] = {}
    for key in sorted(first):
        members.setdefault(leader(key), []).append(key)
    return {key: "|".join(keys[:2]) for keys in members.values() for key in keys}
