"""TF-IDF says what it cannot be fitted on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from train.baselines.tfidf import tfidf
from train.errors import InputError
from train.lock import resolve
from train.recipe import load


def test_a_label_of_positives_alone_is_wrong_input(make_recipe: Callable[..., Path], tmp_path: Path) -> None:
    recipe = make_recipe(rows=200)
    rows = tmp_path / "rows.csv"
    head, *lines = rows.read_text().splitlines()
    at = head.split(",").index("hate")
    cells = [line.split(",") for line in lines]
    rows.write_text("\n".join([head, *(",".join([*c[:at], "1", *c[at + 1 :]]) for c in cells)]) + "\n")
    with pytest.raises(InputError, match="hate: train rows know no text without it"):
        tfidf(tmp_path, resolve(load(recipe)))
