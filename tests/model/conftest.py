from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.model.families import tiny


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """base(family) -> the folder of its tiny model, made when first asked for."""
    made: dict[str, Path] = {}

    def of(family: str) -> Path:
        if family not in made:
            made[family] = tiny(family, tmp_path_factory.mktemp(family))
        return made[family]

    return of
