"""Word lists: what counts as a hit, and what a list must be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.conftest import REPOSITORY
from train.baselines.keywords import SHIPPED, Keywords, load, logits
from train.errors import InputError
from train.recipe import load as load_recipe

POLICY = load_recipe(REPOSITORY / "recipes" / "quickstart.yaml").policy


def hits(text: str, *entries: str) -> int:
    listed = Keywords.model_validate({"schema": 1, "name": "x", "labels": {"hate": {"en": entries}}})
    return round(2 ** logits(listed, ["hate"], [text]).item() - 0.5)


@pytest.mark.parametrize(
    ("text", "entries", "count"),
    [
        ("a loser, a LOSER", ("loser",), 2),
        ("closers and losers", ("loser",), 0),
        ("losers", ("loser*",), 1),
        ("go  \n away now", ("go away",), 1),
        ("ｌｏｓｅｒ", ("loser",), 1),  # NFKC: full-width letters
        ("Straße STRASSE", ("straße",), 2),
        ("don’t", ("don't",), 1),
        ("go away", ("go", "go away"), 1),  # the longest alone
        ("are you 18+?", ("18+",), 1),
        ("a.b", ("a*b",), 0),
        ("", ("x",), 0),
    ],
)
def test_hits(text: str, entries: tuple[str, ...], count: int) -> None:
    assert hits(text, *entries) == count


def test_a_hit_is_more_likely_than_not_and_a_label_without_words_never() -> None:
    listed = Keywords.model_validate({"schema": 1, "name": "x", "labels": {"hate": {"en": ["bad"]}}})
    found = logits(listed, ["hate", "other"], ["good", "bad", "bad bad"])
    assert np.sign(found).tolist() == [[-1, -1], [1, -1], [1, -1]]


def test_the_shipped_list_is_of_the_shipped_policy() -> None:
    listed = load(SHIPPED, list(POLICY.labels))
    assert set(listed.labels) == set(POLICY.labels) - {"minor_sexual_exploitation"}


def test_every_mistake_in_a_list_is_named_at_once(tmp_path: Path) -> None:
    file = tmp_path / "words.yaml"
    file.write_text("schema: 1\nname: mine\nlabels:\n  hatred: {en: [x]}\n  hate: {en: ['']}\n")
    with pytest.raises(InputError) as caught:
        load(file, list(POLICY.labels))
    said = str(caught.value)
    assert "words.yaml:4" in said
    assert "no label 'hatred'" in said
    assert "words.yaml:5" in said
