"""A delivery in a recipe: it trains, keeps its splits and ids, and is refused where anything of it is not
as made; and rows that are deleted are gone from everything that was made of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.conftest import REPOSITORY
from tests.curation.curations import CURATION, contents, written
from train.cli import main
from train.curation.build import build
from train.curation.curation import load as load_curation
from train.curation.deleted import deleted_ids
from train.data.delivered import MANIFEST, Manifest
from train.data.delivered import read as read_manifest
from train.errors import InputError
from train.files import cache_folder
from train.lock import resolve
from train.recipe import load
from train.terminal import Terminal

QUIET = Terminal(speaks=False)


@pytest.fixture(scope="module")
def deliveries(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("deliveries")
    build(load_curation(written(folder / "in")), folder, QUIET)
    return folder


@pytest.fixture
def own(deliveries: Path, tmp_path: Path) -> Path:
    """A folder of deliveries to change."""
    return Path(shutil.copytree(deliveries, tmp_path / "own"))


def recipe(folder: Path, base: Path, delivered: str, **sources: str) -> Path:
    """A recipe of the delivery's two parts."""
    (folder / "policy.yaml").write_text(
        (delivered_in(folder, delivered).parent / "in/policy.yaml").read_text()
    )
    stated = sources or {"forum": "", "chat": ", share: 0.2"}
    lines = "".join(f"    {name}: {{delivered: {delivered}{more}}}\n" for name, more in stated.items())
    path = folder / "recipe.yaml"
    path.write_text(
        f"schema: 1\nname: toy\npolicy: policy.yaml\nmodel: {{base: {base}, max_length: {{tokens: 48}}}}\n"
        f"adapter: {{kind: lora, r: 4, alpha: 8}}\ndata:\n  sources:\n{lines}"
        "train: {global_batch: 16, steps: 6, lr: 3e-3, precision: fp32}\n"
        "evaluate: {every: 6 steps}\ntrack: {wandb: disabled}\n"
    )
    return path


def delivered_in(folder: Path, delivered: str) -> Path:
    return Path(delivered) if delivered.startswith("/") else folder / delivered


def test_a_recipe_trains_from_a_delivery(
    deliveries: Path, tiny_base: Path, tmp_path: Path, runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = deliveries / "toy@1.0.0"
    assert main(["train", str(recipe(tmp_path, tiny_base, str(folder))), "--json"]) == 0
    run = Path(json.loads(capsys.readouterr().out)["run"])
    split = {row["id"]: row for row in pq.read_table(run / "split.parquet").to_pylist()}
    for name, part in ((name, read_manifest(folder).parts[name]) for name in ("forum", "chat")):
        for where, file in part.files.items():
            for row in pq.read_table(folder / file.path, columns=["id", "group"]).to_pylist():
                assert (split[row["id"]]["source"], split[row["id"]]["group"]) == (name, row["group"])
                assert split[row["id"]]["split"] == where or split[row["id"]]["left_out"] is not None
    assert sum(row["left_out"] is not None for row in split.values()) == 0
    resolved = load(run / "recipe.yaml")  # what a run keeps of itself can be read again
    assert resolved.data.sources["forum"].delivered == "toy@1.0.0"
    assert "delivered: toy@1.0.0" in resolved.to_yaml(places=False)
    assert str(deliveries) not in resolved.to_yaml(places=False)


def test_a_name_is_looked_up(
    deliveries: Path, tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_path = load(recipe(tmp_path, tiny_base, str(deliveries / "toy@1.0.0")))
    monkeypatch.setenv("TEENSAFE_DELIVERIES", str(deliveries))
    path = tmp_path / "recipe.yaml"
    path.write_text(path.read_text().replace(str(deliveries / "toy@1.0.0"), "toy@1.0.0"))
    assert load(path) == by_path
    assert resolve(load(path)).run_name == resolve(by_path).run_name


def test_conversations_read_the_same(deliveries: Path, tiny_base: Path, tmp_path: Path) -> None:
    made = resolve(load(recipe(tmp_path, tiny_base, str(deliveries / "toy@1.0.0")))).corpus
    texts = dict(zip(made.table.column("id").to_pylist(), made.table.column("text").to_pylist(), strict=True))
    source = load_curation(deliveries / "in/curation.yaml").data.sources["chat"]
    from train.data.reading import read

    for example in read("chat", source):
        assert texts.get(example.id, example.text) == example.text


def edit(folder: Path, **changed: Any) -> None:
    """What somebody does who wants a wrong delivery to pass: the manifest's own hash is right again."""
    said = json.loads((folder / MANIFEST).read_text()) | changed
    sealed = Manifest.model_validate(said).sealed()
    (folder / MANIFEST).write_text(json.dumps(sealed.model_dump(mode="json", by_alias=True)))


def test_what_is_not_as_it_was_made_is_refused(own: Path, tiny_base: Path, tmp_path: Path) -> None:
    folder = own / "toy@1.0.0"
    path = recipe(tmp_path, tiny_base, str(folder))

    def refusal() -> str:
        with pytest.raises(InputError) as caught:
            resolve(load(path))
        return str(caught.value)

    rows = folder / "data/forum/train.parquet"
    whole = rows.read_bytes()
    rows.write_bytes(whole[:-9] + b"x" + whole[-8:])
    assert "its content is not what the delivery's manifest says" in refusal()
    rows.write_bytes(whole[:-1])
    assert "recipe.yaml:8" in refusal()
    assert f"a file of {len(whole):,} bytes" in refusal()
    rows.unlink()
    assert "is missing" in refusal()
    rows.write_bytes(whole)
    said = (folder / MANIFEST).read_text()
    (folder / MANIFEST).write_text(said.replace('"licence": "MIT"', '"licence": "CC0"'))
    assert "was changed since it was written" in refusal()
    (folder / MANIFEST).write_text(said)
    edit(
        folder, gates=[{"gate": "leak.group", "held": False, "found": "3 times a group is in several splits"}]
    )
    assert "the gate 'leak.group' does not hold: 3 times" in refusal()
    edit(folder, gates=[], retention={"until": "2020-01-01", "contact": "the team"})
    assert "was to be deleted, or looked at again, by 2020-01-01" in refusal()
    read_manifest(folder)  # what may not be trained on can still be deleted from
    edit(folder, retention={"until": "2030-01-01"}, policy={"name": "toy", "version": "2.0.0", "sha256": ""})
    assert "was labelled under policy toy 2.0.0" in refusal()
    edit(folder, policy={"name": "another", "version": "1.0.0", "sha256": ""})
    assert "was labelled under policy another 1.0.0" in refusal()
    shutil.rmtree(folder)
    assert "is no delivery" in refusal()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (", licence: MIT", "data.sources.forum.licence: the delivery says it"),
        (", part: form", "has no part 'form'.*did you mean forum?"),
        (", text: t", "data.sources.forum.text: the delivery says it"),
    ],
)
def test_nothing_can_be_said_beside_it(
    deliveries: Path, tiny_base: Path, tmp_path: Path, more: str, said: str
) -> None:
    path = recipe(tmp_path, tiny_base, str(deliveries / "toy@1.0.0"), forum=more)
    with pytest.raises(InputError) as caught:
        load(path)
    assert all(part in str(caught.value) for part in said.split(".*"))


@pytest.mark.parametrize("named", ["toy@1.0", "toy", "toy@v1.0.0", "toy@latest", "", "[toy@1.0.0]"])
def test_half_a_name_is_no_path(tiny_base: Path, tmp_path: Path, deliveries: Path, named: str) -> None:
    path = recipe(tmp_path, tiny_base, str(deliveries / "toy@1.0.0"))
    path.write_text(path.read_text().replace(str(deliveries / "toy@1.0.0"), named))
    with pytest.raises(InputError, match=r"forum.delivered: names no delivery\n.*NAME@MAJOR.MINOR.PATCH"):
        load(path)


def test_deleted_rows_are_gone_from_everything(own: Path, tiny_base: Path, tmp_path: Path) -> None:
    path = recipe(tmp_path, tiny_base, str(own / "toy@1.0.0"))
    resolve(load(path))  # fills the cache
    states = cache_folder() / "prefix-1/shard/states.npy"
    states.parent.mkdir(parents=True)
    states.write_bytes(b"of some text")
    rows = pq.read_table(own / "toy@1.0.0/data/forum/train.parquet").to_pylist()
    gone = [rows[0], rows[7]]
    before = read_manifest(own / "toy@1.0.0")
    assert main(["data", "delete", "--to", str(own), *(f"--id={row['id']}" for row in gone)]) == 0
    assert not (own / "toy@1.0.0").exists()
    assert not states.exists()
    after = read_manifest(own / "toy@1.0.1")
    assert after.counts["train"]["rows"] == before.counts["train"]["rows"] - 2
    assert after.counts["test"] == before.counts["test"]
    left = pq.read_table(own / "toy@1.0.1/data/forum/train.parquet").to_pylist()
    assert left == [row for row in rows if row not in gone]
    for row in gone:
        for place in (own / "work", own / "toy@1.0.1", cache_folder()):
            for file in (*place.rglob("*.parquet"), *place.rglob("*.arrow")):
                table = pq.read_table(file) if file.suffix == ".parquet" else arrow(file)
                assert row["id"] not in table.column("id").to_pylist(), file
    assert {row["id"] for row in gone} == deleted_ids(own)
    curation = own / "in/curation.yaml"
    text = CURATION.replace("version: 1.0.0", "version: 1.1.0\nprevious: toy@1.0.1")
    curation.write_text(text)
    again = build(load_curation(curation), own, QUIET).delivery
    assert again is not None
    ids = {row["id"] for f in again.rglob("data/*/*.parquet") for row in pq.read_table(f).to_pylist()}
    assert not ids & {row["id"] for row in gone}


def arrow(path: Path) -> Any:
    import pyarrow as pa

    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_stream(source).read_all()


def test_what_is_no_id_is_refused(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = contents(own)
    assert main(["data", "delete", "--to", str(own), "--id", "41"]) == 2
    assert "SOURCE:ID" in capsys.readouterr().err
    assert contents(own) == before


def test_the_shipped_curation_and_standard_are_sound(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TEENSAFE_DATA", str(tmp_path))
    curation = load_curation(REPOSITORY / "recipes/curation/public.yaml")
    assert curation.full_name.startswith("public@")
    assert len(curation.data.sources) == 8
