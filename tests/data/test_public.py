"""The catalogue of public sources against the published files, and shipped recipes against the catalogue."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from ruamel.yaml import YAML

from tests.conftest import REPOSITORY
from train.checks import check
from train.data.findings import missing
from train.data.public import CATALOGUE, Catalogue, catalogue
from train.errors import InputError
from train.files import sha256_file
from train.recipe import load

FILES = [(name, file) for name, source in catalogue().items() for file in source.files]


def count_rows(path: Path) -> int:
    """Rows with any content, less the header where there is one."""
    if path.suffix == ".json":
        return len(json.loads(path.read_text()))
    if path.suffix in (".txt", ".tsv"):
        return sum(map(bool, path.read_text().split("\n"))) - (path.suffix == ".tsv")
    with path.open(newline="") as stream:
        rows = csv.reader(stream, delimiter=";" if path.stem == "convabuse" else ",")
        return sum(any(cells) for cells in rows) - 1


@pytest.mark.parametrize(("name", "file"), FILES, ids=[f"{name}/{file}" for name, file in FILES])
def test_the_catalogue_describes_the_published_bytes(name: str, file: str, real_data: Path) -> None:
    known, path = catalogue()[name].files[file], real_data / name / file
    assert (path.stat().st_size, sha256_file(path)) == (known.bytes, known.sha256)
    assert count_rows(path) == known.rows


def test_every_published_file_is_in_the_catalogue(real_data: Path) -> None:
    there = {
        (p.parent.name, p.name) for p in real_data.glob("*/*") if p.name[0] != "." and p.name != "SOURCE.md"
    }
    assert there == set(FILES)


def test_a_public_file_that_is_missing_names_the_command_that_brings_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEENSAFE_DATA", str(tmp_path))
    (tmp_path / "davidson").mkdir()
    (tmp_path / "davidson/other.csv").touch()
    recipe = load(REPOSITORY / "recipes/encoder/minilm-lora-davidson.yaml")
    (error,) = check(recipe)[0]
    assert error.remedy == "teensafe data fetch davidson"
    assert missing(tmp_path / "edos/edos_labelled_aggregated.csv").remedy == "teensafe data fetch edos"
    elsewhere = missing(tmp_path / "else/davidson/labeled_data.csv").remedy
    assert elsewhere == f"teensafe data fetch davidson --to {tmp_path}/else"
    assert "fetch" not in missing(tmp_path / "davidson/mine.csv").remedy


def test_an_address_is_the_pinned_commit_of_the_repository() -> None:
    assert catalogue()["davidson"].address("labeled_data.csv") == (
        "https://raw.githubusercontent.com/t-davidson/hate-speech-and-offensive-language/"
        "6a1e3f02522963d820e302c3ad48b189552c143b/data/labeled_data.csv"
    )


def test_equal_licences_are_named_and_linked_alike() -> None:
    links = {
        source.licence: source.licence_link for source in catalogue().values() if source.licence != "MIT"
    }
    assert all(links[s.licence] == s.licence_link for s in catalogue().values() if s.licence != "MIT")
    assert {s.licence for s in catalogue().values()} <= {
        "MIT",
        "CC0",
        "CC BY 4.0",
        "CC BY-SA 4.0",
        "Apache-2.0",
    }


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("files", {"../outside.csv": {}}),
        ("files", {".hidden": {}}),
        ("files/labeled_data.csv/at", "../../elsewhere/data.csv"),
        ("files/labeled_data.csv/at", "/data.csv"),
        ("files/labeled_data.csv/sha256", "fcb8bc7c"),
        ("commit", "cb50f7e9"),
        ("licence_link", "javascript:alert(1)"),
    ],
)
def test_a_catalogue_that_leads_elsewhere_is_refused(path: str, value: Any) -> None:
    written = YAML(typ="safe", pure=True).load(CATALOGUE.read_text())
    *outer, last = path.split("/")
    place = written["sources"]["davidson"]
    for key in outer:
        place = place[key]
    place[last] = value
    with pytest.raises(ValidationError):
        Catalogue.model_validate(written)


def test_a_source_may_not_be_named_like_a_path() -> None:
    written = YAML(typ="safe", pure=True).load(CATALOGUE.read_text())
    written["sources"]["../davidson"] = written["sources"].pop("davidson")
    with pytest.raises(ValidationError):
        Catalogue.model_validate(written)


def test_a_damaged_catalogue_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damaged = tmp_path / "public.yaml"
    damaged.write_text(CATALOGUE.read_text().replace("licence: CC0", "licence:"))
    monkeypatch.setattr("train.data.public.CATALOGUE", damaged)
    with pytest.raises(InputError, match=r"sources\.edos\.licence"):
        catalogue()


# ---- what shipped recipes name -------------------------------------------------------------------------


def public_paths(tree: Any) -> list[tuple[str, dict[str, Any]]]:
    """(path below the data folder, the source that states it) for each source read from $TEENSAFE_DATA."""
    sources = tree.get("data", {}).get("sources", {})
    paths = [(path, of) for of in sources.values() for path in every(of.get("path", ""))]
    matches = [(re.fullmatch(r"\$\{env:TEENSAFE_DATA(?::-[^}]*)?\}/(.+)", path), of) for path, of in paths]
    return [(match[1], source) for match, source in matches if match]


def every(path: Any) -> list[str]:
    """A path, or those by split."""
    return list(path.values()) if isinstance(path, dict) else [path]


NAMED = [
    pytest.param(path, stated, id=f"{recipe.stem}: {path}")
    for recipe in sorted((REPOSITORY / "recipes").rglob("*.yaml"))
    for path, stated in public_paths(YAML(typ="safe", pure=True).load(recipe.read_text()))
]


def test_some_shipped_recipe_reads_public_data() -> None:
    assert NAMED


@pytest.mark.parametrize(("path", "stated"), NAMED)
def test_a_shipped_recipe_names_public_files_and_their_licence(path: str, stated: dict[str, Any]) -> None:
    name, _, file = path.partition("/")
    assert name in catalogue(), "not in train/data/public.yaml: `teensafe data fetch` cannot bring it"
    assert file in catalogue()[name].files
    assert stated.get("licence") == catalogue()[name].licence
