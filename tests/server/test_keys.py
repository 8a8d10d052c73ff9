"""Bearer keys: any of the file's, and nothing like them."""

from __future__ import annotations

from pathlib import Path

import pytest

from train.errors import InputError
from train.server.keys import Keys

FIRST, SECOND = "first-key-0123456789", "zweiter-schlüssel-0123456789"


def test_any_key_of_the_file_and_no_other(tmp_path: Path) -> None:
    (tmp_path / "keys.txt").write_text(f"{FIRST}\n\n  {SECOND}\n", encoding="utf-8")
    keys = Keys.read(tmp_path / "keys.txt")
    as_sent = SECOND.encode().decode("latin-1")  # as a server reads header bytes
    for sent in (f"Bearer {FIRST}", f"bearer {as_sent}", f"Bearer  {FIRST} "):
        assert keys.allow(sent)
    for sent in (
        None,
        "",
        "Bearer",
        "Bearer ",
        FIRST,
        f"Basic {FIRST}",
        f"Bearer {FIRST}x",
        f"Bearer {FIRST[:-1]}",
    ):
        assert not keys.allow(sent)
    assert FIRST not in repr(vars(keys))


@pytest.mark.parametrize(
    ("content", "said"),
    [(b" \n", "holds no key"), (b"short\n", "under 16 characters"), (b"\xff", "cannot be read")],
)
def test_a_file_that_would_protect_nothing(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "keys.txt").write_bytes(content)
    with pytest.raises(InputError, match=said) as refused:
        Keys.read(tmp_path / "keys.txt")
    assert "short" not in str(refused.value)
    with pytest.raises(InputError, match="cannot be read"):
        Keys.read(tmp_path / "none.txt")
