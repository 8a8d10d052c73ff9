"""What is left after rows were deleted: no gate that does not hold, no name twice, nothing half-made."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.curation.curations import CONTRACT, CURATION, sentence, written
from train.cli import main
from train.curation.build import build
from train.curation.curation import load
from train.curation.delivery import LEFT_OUT
from train.curation.production import Made, write
from train.data.delivered import proven
from train.data.delivered import read as read_manifest
from train.errors import InputError
from train.terminal import Terminal

QUIET = Terminal(speaks=False)
DEMANDING = CONTRACT.replace("positive: 10", "positive: 44")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    build(load(written(folder / "in", CURATION + "select: {rows: 9}\n", DEMANDING)), folder / "to", QUIET)
    return folder


@pytest.fixture
def own(made: Path, tmp_path: Path) -> Path:
    """A folder to change: to/ of a build of in/."""
    return Path(shutil.copytree(made, tmp_path / "own"))


def rows(delivery: Path, part: str = "forum") -> list[dict[str, object]]:
    return list(pq.read_table(delivery / f"data/{part}/train.parquet").to_pylist())


def delete(own: Path, *ids: str) -> int:
    return main(["data", "delete", "--to", str(own / "to"), *(f"--id={id}" for id in ids)])


def test_what_is_required_is_asked_again(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ids = [str(row["id"]) for row in rows(own / "to/toy@1.0.0") if row["label.hate"] == 1]
    assert delete(own, *ids[:9]) == 0
    short = "hate in train: 35 positive of 44"
    assert f"does not keep its contract any more (required: {short})" in capsys.readouterr().err
    with pytest.raises(InputError, match=f"the gate 'required' does not hold: {short}"):
        read_manifest(own / "to/toy@1.0.1")
    card = (own / "to/toy@1.0.1/README.md").read_text()
    assert "# toy 1.0.1\n" in card and "forum: {delivered: toy@1.0.1}" in card
    assert delete(own, ids[9]) == 0
    assert proven(own / "to/toy@1.0.2").stages["required"][0]["has"]["positive"] == 34


def test_a_name_is_not_used_again(own: Path) -> None:
    made_row = str(rows(own / "to/toy@1.0.0", "forum-augmented")[0]["id"])
    assert delete(own, made_row) == 0
    path = own / "in/curation.yaml"
    with pytest.raises(InputError, match=r"toy@1\.0\.0: was withdrawn"):
        build(load(path), own / "to", QUIET)
    path.write_text(path.read_text().replace("version: 1.0.0", "version: 1.1.0\nprevious: toy@1.0.1"))
    again = build(load(path), own / "to", QUIET).delivery
    assert again and made_row not in {row["id"] for row in rows(again, "forum-augmented")}


def test_nothing_is_made_of_a_delivery_that_was_changed(
    own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    left = own / "to/toy@1.0.0" / LEFT_OUT
    left.write_bytes(b"x" + left.read_bytes()[1:])
    with pytest.raises(InputError, match=r"left_out\.parquet: its content is not what"):
        build(load(own / "in/curation.yaml"), own / "to", QUIET)
    left.unlink()
    id = str(rows(own / "to/toy@1.0.0")[0]["id"])
    assert delete(own, id) == 0
    assert "toy@1.0.0: its files are not what its manifest says" in capsys.readouterr().err
    assert not [*own.glob("to/toy@*")]


def test_a_paraphrase_stays_with_its_parent(own: Path) -> None:
    """In its split, also where a later version holds that out; and it goes when its parent goes."""
    path, to, draw = own / "in/curation.yaml", own / "to", random.Random(5)
    parents = [str(row["id"]) for row in rows(to / "toy@1.0.0")][:40]
    made = [Made(f"m{i}", sentence(draw), None, None, "the same", id) for i, id in enumerate(parents)]
    write([*made, Made("alone", sentence(draw), "hate", "news", "English", None)], own / "in/made.jsonl")
    source = (
        "made: {path: made.jsonl, text: text, id: id, parent: parent, all_negative: true, synthetic: true,"
        " licence: MIT}"
    )

    (own / "in/contract.yaml").write_text(CONTRACT)

    def built(version: str, seed: int) -> Path:
        stated = f"version: {version}\nprevious: none"
        said = CURATION.replace("version: 1.0.0", stated).replace("seed: 3", f"seed: {seed}")
        path.write_text(said.replace("    forum:", f"    {source}\n    forum:"))
        delivery = build(load(path), to, QUIET).delivery
        assert delivery
        return delivery

    def where(delivery: Path, part: str) -> dict[str, str]:
        files = (delivery / "data" / part).glob("*.parquet")
        return {id: file.stem for file in files for id in pq.read_table(file)["id"].to_pylist()}

    assert {id: split for id, split in where(built("1.1.0", 3), "made").items() if id != "made:alone"} == {
        f"made:m{i}": "train" for i in range(40)
    }
    moved = built("1.2.0", 4)
    of, its = where(moved, "forum"), where(moved, "made")
    assert {id for id in its if id != "made:alone"} == {
        f"made:m{i}" for i, parent in enumerate(parents) if of.get(parent) == "train"
    }
    assert 10 < len(its) < 40
    gone = next(i for i, parent in enumerate(parents) if of.get(parent) == "train")
    assert delete(own, parents[gone]) == 0
    assert f"made:m{gone}" not in where(to / "toy@1.2.1", "made")
    assert f"made:m{gone}" not in where(built("1.3.0", 4), "made")


def test_a_queue_that_people_fill_in_is_not_written_over(own: Path) -> None:
    (queue,) = (own / "to/queue").iterdir()
    whole = (queue / "queue.csv").read_text()
    path, forum = own / "in/curation.yaml", own / "in/forum.jsonl"
    forum.write_text("".join(forum.read_text().splitlines(keepends=True)[:-1]))
    build(load(path), own / "to", QUIET, "select")
    assert [*(own / "to/queue").iterdir()] == [queue], "what nobody wrote into is drawn again"
    (queue / "queue.csv").write_text(f"{whole}by hand\n")
    forum.write_text("".join(forum.read_text().splitlines(keepends=True)[:-1]))
    build(load(path), own / "to", QUIET, "select")
    kept = queue.with_name(f"{queue.name}-filled-1")
    assert (kept / "queue.csv").read_text() == f"{whole}by hand\n"
    assert "by hand" not in (queue / "queue.csv").read_text()
    shown = str(pq.read_table(kept / "rows.parquet")["id"][0])
    assert delete(own, shown) == 0
    assert not kept.exists()


def test_what_a_killed_build_had_begun_is_gone(own: Path) -> None:
    to = own / "to"
    (queue,) = (to / "queue").iterdir()
    (queue / "rows.parquet").unlink()
    shutil.copytree(to / "toy@1.0.0", to / ".toy@1.0.0.x.part")
    shutil.copy(next(to.glob("work/clean/*.parquet")), to / "work/clean/.chat-00000.parquet.x.part")
    assert delete(own, str(rows(to / "toy@1.0.0")[0]["id"])) == 0
    assert not queue.exists() and not [*to.rglob(".*.part")]
