"""Datasets of the Hugging Face hub: here folders of the same layout, for there is no network."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from tests.sources import examples, refusal, source
from train.checks import check
from train.data.hub import Address
from train.data.source import content_digest
from train.errors import InputError
from train.recipe import load

COMMIT = "0123456789abcdef0123456789abcdef01234567"


pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A dataset with a train and a test split, of CSV files."""
    found = tmp_path / "set"
    found.mkdir()
    (found / "train.csv").write_text("t,h,k\none,1,a\ntwo,0,b\n,1,c\n")
    (found / "test.csv").write_text("t,h,k\nthree,1,d\n")
    return found


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    """A dataset of one Parquet file whose label is a class, as most on the hub are; -1 where nobody said."""
    found = tmp_path / "classes"
    found.mkdir()
    features = datasets.Features(
        {"t": datasets.Value("string"), "h": datasets.ClassLabel(names=["fine", "toxic"])}
    )
    table = pa.table({"t": ["a", "b", "c", "d"], "h": pa.array([0, 1, -1, None], pa.int64())})
    pq.write_table(table.cast(features.arrow_schema), found / "train-00000-of-00001.parquet")
    return found


def test_a_folder_is_read_by_split(folder: Path, cache: Path) -> None:
    found = examples(f"hub:{folder}:train", id="k", bad_rows="drop")
    assert [(e.id, e.text, e.labels["hate"]) for e in found] == [("s:a", "one", 1.0), ("s:b", "two", 0.0)]
    both = examples({"any": f"hub:{folder}:train", "test": f"hub:{folder}:test"}, bad_rows="drop")
    assert [(e.id, e.split) for e in both] == [("s:any/0", "any"), ("s:any/1", "any"), ("s:test/0", "test")]
    assert list(cache.rglob("*.arrow")), "what is prepared of it holds texts, and lies in the private cache"
    message = refusal(f"hub:{folder}:train")
    assert message.startswith(f"hub:{folder}:train row 3: 1 row has no usable text (1 missing)")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"format": "csv"}, "format given for a dataset of the hub"),
        ({"encoding": "latin-1", "delimiter": ";"}, "delimiter, encoding given"),
        ({"columns": ["t", "h"], "quotes": False}, "columns, quotes given"),
    ],
)
def test_a_dataset_has_a_layout_of_its_own(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        source("hub:./set:train", **fields)


def test_class_numbers_are_read_as_names(classes: Path) -> None:
    said = {"column": "h", "map": {"toxic": 1, "fine": 0}}
    found = examples(f"hub:{classes}:train", labels={"hate": said})
    assert [e.labels["hate"] for e in found] == [0.0, 1.0, None, None]
    message = refusal(f"hub:{classes}:train", labels={"hate": {"column": "h", "map": {"toxic": 1}}})
    assert (
        'row 1: labels.hate: column "h" has values that `map` does not list: 1 value in one row (' in message
    )


def test_only_the_columns_that_are_asked_for_are_decoded(tmp_path: Path) -> None:
    """An image column would need a decoder for every row."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    kinds = {"t": datasets.Value("string"), "h": datasets.Value("int64"), "i": datasets.Image()}
    features = datasets.Features(kinds)
    rows = {"t": ["a"], "h": [1], "i": [{"bytes": b"no picture", "path": None}]}
    pq.write_table(pa.table(rows, schema=features.arrow_schema), folder / "train.parquet")
    assert [e.text for e in examples(f"hub:{folder}:train")] == ["a"]


def test_a_wrong_name_is_one_clear_error(folder: Path) -> None:
    message = refusal(f"hub:{folder}:validation")
    assert message.startswith(f'hub:{folder}:validation: Unknown split "validation". Should be one of [')
    assert "Traceback" not in message
    assert 'labels.hate: no column "y"' in refusal(f"hub:{folder}:train", labels={"hate": "y"})
    assert "config" in refusal(f"hub:{folder}:other:train").casefold()
    missing = refusal(f"hub:{folder.parent}/sett:train")
    assert missing.startswith(f"{folder.parent}/sett: no such file") and '"set"' in missing
    with pytest.raises(InputError, match="sett: no such file"):
        content_digest(source(f"hub:{folder.parent}/sett:train"))


def test_a_broken_file_of_a_folder_is_one_clear_error(folder: Path) -> None:
    (folder / "train.csv").write_bytes(b"t,h\nsecret words,1\nmore,secret,words,2\n")
    message = refusal(f"hub:{folder}:train")
    assert message.startswith(f"hub:{folder}:train: cannot be loaded (")
    assert "secret" not in message
    assert "all need the same columns, of the same types" in message


def test_a_dataset_that_is_not_at_hand_is_one_clear_error() -> None:
    message = refusal(f"hub:owner/name@{COMMIT}:train")  # HF_HUB_OFFLINE=1
    assert message.startswith("hub:owner/name:train: cannot be loaded (")
    assert "HF_HUB_OFFLINE" in message


def test_digests(folder: Path) -> None:
    first = content_digest(source(f"hub:{folder}:train"))
    assert first != content_digest(source(f"hub:{folder}:test"))
    folder.rename(folder.parent / "moved")
    moved = folder.parent / "moved"
    assert content_digest(source(f"hub:{moved}:train")) == first, "a path is no content"
    (moved / "train.csv").write_text("t,h,k\nelse,1,a\n")
    assert content_digest(source(f"hub:{moved}:train")) != first
    assert [e.text for e in examples(f"hub:{moved}:train")] == ["else"], "nothing stale is read"
    hub = content_digest(source(f"hub:o/n@{COMMIT}:train"))
    assert hub == f"hub:o/n@{COMMIT}:None:train"
    assert hub != content_digest(source(f"hub:o/n@{COMMIT}:en:train"))


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (f"hub:o/n@{COMMIT}:train", ("o/n", COMMIT, None, "train")),
        (f"hub:o/n-1.x@{COMMIT}:en-US:test", ("o/n-1.x", COMMIT, "en-US", "test")),
        ("hub:./data/set:train", ("./data/set", None, None, "train")),
        ("hub:/a/b:en:train", ("/a/b", None, "en", "train")),
    ],
)
def test_addresses(text: str, parts: tuple[Any, ...]) -> None:
    found = Address.parse(text)
    assert (found.name, found.revision, found.config, found.split) == parts


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hub:o/n:train", "a hub id without a commit"),
        ("hub:o/n@main:train", "expected hub:OWNER/NAME@COMMIT:SPLIT"),
        (f"hub:o/n@{COMMIT[:7]}:train", "expected hub:OWNER/NAME@COMMIT:SPLIT"),
        (f"hub:o/n@{COMMIT}", "expected hub:OWNER/NAME@COMMIT:SPLIT"),
        (f"hub:o/n@{COMMIT}:train[:10%]", "expected hub:OWNER/NAME@COMMIT:SPLIT"),
        ("hub:", "expected hub:OWNER/NAME@COMMIT:SPLIT"),
    ],
)
def test_addresses_that_are_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Address.parse(text)


# --- check --------------------------------------------------------------------------------------------------


@pytest.fixture
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise AssertionError("check asked the network")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.mark.usefixtures("_no_network")
def test_check_wants_a_commit_and_asks_nobody(make_recipe: Callable[..., Path]) -> None:
    recipe = make_recipe()
    line = recipe.read_text().splitlines().index("      path: rows.csv") + 1

    def stated(path: str) -> Path:
        recipe.write_text(recipe.read_text().replace("path: rows.csv", f"path: {path}"))
        return recipe

    text = recipe.read_text()
    with pytest.raises(InputError) as caught:
        load(stated("'hub:owner/name:train'"))
    (problem,) = caught.value.problems
    assert problem.where.endswith(f"toy.yaml:{line}")
    assert problem.what.startswith("data.sources.toy.path: a hub id without a commit")
    recipe.write_text(text)
    assert check(load(stated(f"'hub:owner/name@{COMMIT}:train'"))) == ([], [])
    recipe.write_text(text)
    (problem,), _ = check(load(stated("'hub:./nowhere:train'")))
    assert problem.where.endswith(f"toy.yaml:{line}")
    assert "nowhere: no such file" in problem.what


def test_a_recipe_s_folder_starts_from_its_file(
    make_recipe: Callable[..., Path], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = make_recipe()
    (recipe.parent / "elsewhere").mkdir()
    monkeypatch.chdir(recipe.parent / "elsewhere")
    recipe.write_text(recipe.read_text().replace("path: rows.csv", f"path: 'hub:./{folder.name}:train'"))
    found = load(recipe)
    assert found.data.sources["toy"].path == f"hub:{folder}:train"
    assert check(found) == ([], [])
