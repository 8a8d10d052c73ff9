"""The whole way: what a delivery holds, that it is the same however it was made, and what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.conftest import REPOSITORY
from tests.curation.curations import CONTRACT, CURATION, contents, written
from train.cli import main
from train.curation.build import WAY, GateBroken, Way, build
from train.curation.curation import load
from train.data.delivered import read as read_manifest
from train.errors import Failure, InputError
from train.terminal import Terminal

QUIET = Terminal(speaks=False)


def made(path: Path, to: Path, until: str = "deliver", **how: object) -> Way:
    return build(load(path), to, QUIET, until, **how)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """(curation file, delivery)"""
    folder = tmp_path_factory.mktemp("whole")
    path = written(folder)
    way = made(path, folder / "to")
    assert way.delivery is not None
    return path, way.delivery


def delivered(folder: Path) -> Iterator[tuple[str, str, dict[str, object]]]:
    """(part, split, row) of every row."""
    for name, part in read_manifest(folder).parts.items():
        for split, file in part.files.items():
            for row in pq.read_table(folder / file.path).to_pylist():
                yield name, split, row


def test_what_a_delivery_holds(whole: tuple[Path, Path]) -> None:
    _, folder = whole
    rows = [*delivered(folder)]
    manifest = read_manifest(folder)
    made = {"forum-augmented", "chat-augmented"}
    assert {part for part, _, _ in rows} == {"forum", "chat"} | made
    assert {split for part, split, _ in rows if part in made} == {"train"}
    assert all(manifest.parts[part].synthetic for part in made)
    parents = {row["id"]: row for _, _, row in rows}
    for part, _, row in rows:
        assert (part in made) == (row["parent"] is not None)
        if part in made:
            parent = parents[row["parent"]]
            assert [row[c] for c in ("group", "cluster", "label.hate")] == [
                parent[c] for c in ("group", "cluster", "label.hate")
            ]
    assert manifest.parts["chat"].reads == "turns"
    assert manifest.parts["forum"].labels == ("harassment", "hate")
    assert len({row["id"] for _, _, row in rows}) == len(rows)
    by_cluster: dict[object, set[str]] = {}
    by_group: dict[object, set[str]] = {}
    for _, split, row in rows:
        by_cluster.setdefault(row["cluster"], set()).add(split)
        by_group.setdefault(row["group"], set()).add(split)
    assert all(len(splits) == 1 for splits in (*by_cluster.values(), *by_group.values()))
    near = {row["id"]: row["cluster"] for _, _, row in rows}
    assert all(near[f"forum:{i}"] == near[f"forum:{300 + i}"] for i in range(20, 50))
    left = pq.read_table(folder / "left_out.parquet").to_pylist()
    assert {row["id"] for row in left if "earlier row" in row["left_out"]} >= {
        f"forum:{300 + i}" for i in range(10)
    }
    counted = {name: of["rows"] for name, of in manifest.counts.items() if name.startswith("train")}
    assert sum(counted.values()) == sum(split == "train" for _, split, _ in rows)
    made = [file.rows for part in manifest.parts.values() if part.synthetic for file in part.files.values()]
    assert counted["train.synthetic"] == sum(made), "real and synthetic rows share no figure"


def test_personal_data_are_nowhere(whole: tuple[Path, Path]) -> None:
    _, folder = whole
    (row,) = [row for _, _, row in delivered(folder) if row["id"] == "forum:360"]
    assert str(row["text"]).startswith("mail me at [EMAIL] i am [AGE_13_15] ")
    assert row["stated_age"] == "13-15"
    assert not any(b"anna@example.org" in content for content in contents(folder).values())
    assert all("anna@" not in str(row) for _, _, row in delivered(folder))


def test_the_card_says_what_was_found(whole: tuple[Path, Path]) -> None:
    card = (whole[1] / "README.md").read_text()
    assert "| forum with itself | 10 |" in card
    assert "toy 1.0.0" in card
    assert "forum: {delivered: toy@1.0.0}" in card
    assert "anna" not in card


@pytest.mark.parametrize("rows", [7, 1000])
def test_shards_decide_nothing(whole: tuple[Path, Path], tmp_path: Path, rows: int) -> None:
    path, folder = whole
    again = made(path, tmp_path, shard_rows=rows).delivery
    assert again is not None
    assert contents(again) == contents(folder)


def test_nothing_tells_when_or_where(whole: tuple[Path, Path], tmp_path: Path) -> None:
    """Another folder, another place of the sources, the same bytes; and no path in any of them."""
    path = written(tmp_path / "elsewhere")
    again = made(path, tmp_path / "other").delivery
    assert again is not None
    assert contents(again) == contents(whole[1])
    assert not any(str(tmp_path).encode() in content for content in contents(again).values())


@pytest.mark.slow
def test_killed_at_every_stage_it_goes_on_to_the_same_bytes(whole: tuple[Path, Path], tmp_path: Path) -> None:
    """SIGKILL as a shard of each stage is committed, before its receipt is there, and before a delivery has
    its manifest: the next run goes on."""
    path, folder = whole
    killed = """
import os, sys
from train import files
from train.curation import shards, stages
from train.cli import main
stage, real = sys.argv[1], shards.commit
def commit(folder, *more):
    if folder.name == stage and stage not in done:
        done.add(stage)
        shards.write(folder / f"{more[0]}.parquet", more[2])
        os.kill(os.getpid(), 9)
    return real(folder, *more)
done = set()
import train.curation.gather as gather
for module in (shards, stages, gather):
    module.commit = commit
if stage == "deliver":
    from train.curation import delivery
    delivery.seal = lambda *more: os.kill(os.getpid(), 9)
sys.exit(main(sys.argv[2:]))
"""
    arguments = ["data", "build", str(path), "--to", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    dead = 0
    stages = [stage for stage in WAY if stage not in ("check", "label", "select")]  # write no shards
    for stage in stages:
        done = subprocess.run(
            [sys.executable, "-c", killed, stage, *arguments], env=environment, capture_output=True, text=True
        )
        dead += done.returncode == -9
    assert dead == len(stages)
    assert main(arguments) == 0
    assert contents(tmp_path / "toy@1.0.0") == contents(folder)


def test_what_is_done_is_not_done_again(whole: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    path, folder = whole
    monkeypatch.setattr("train.curation.shards.write", lambda *_: pytest.fail("a shard was made again"))
    assert made(path, folder.parent).delivery == folder


def test_a_damaged_shard_is_made_again(tmp_path: Path) -> None:
    path = written(tmp_path / "in")
    made(path, tmp_path / "to", until="dedup")
    shard = tmp_path / "to/work/clean/forum-00000.parquet"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-100] + bytes(100))
    made(path, tmp_path / "to", until="dedup")
    assert shard.read_bytes() == whole


def test_work_is_for_its_owner_only(whole: tuple[Path, Path]) -> None:
    for path in (whole[1].parent / "work").rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


def test_a_delivery_is_never_replaced(tmp_path: Path) -> None:
    path = written(tmp_path / "in")
    first = made(path, tmp_path / "to").delivery
    assert first is not None
    before = contents(first)
    path.write_text(CURATION.replace("made up for tests", "made up again"))
    with pytest.raises(InputError, match="is delivered already, with other content"):
        made(path, tmp_path / "to")
    assert contents(first) == before
    path.write_text(CURATION.replace("1.0.0", "1.1.0").replace("about:", "previous: toy@1.0.0\nabout:"))
    second = made(path, tmp_path / "to").delivery
    assert second is not None
    assert "toy@1.0.0 to toy@1.1.0" in (second / "CHANGES.md").read_text()


def test_a_test_row_stays_one(tmp_path: Path) -> None:
    """Another seed would train on what was tested: exit 3, and nothing is delivered."""
    path = written(tmp_path / "in")
    made(path, tmp_path / "to")
    changed = CURATION.replace("version: 1.0.0", "version: 2.0.0\nprevious: toy@1.0.0").replace(
        "seed: 3", "seed: 4"
    )
    path.write_text(changed)
    with pytest.raises(GateBroken, match="test rows of the version before are in another split") as broken:
        made(path, tmp_path / "to")
    assert broken.value.exit_code == 3
    assert not (tmp_path / "to/toy@2.0.0").exists()


@pytest.mark.parametrize(
    ("contract", "said"),
    [
        (CONTRACT.replace("[MIT, CC0]", "[MIT]"), "licences: .* rows: a licence that is none of MIT .chat:"),
        (
            CONTRACT.replace("positive: 10", "positive: 10000"),
            "required: hate in train: .* positive of 10,000",
        ),
        (CONTRACT.replace("text: string", "text: double"), "fields: .* text is string, not double"),
        (CONTRACT + "longest: 20\n", "longest: .* a text of more than 20 characters"),
        (CONTRACT + "alpha: {hate: 0.6}\n", "alpha: hate: no votes are known; 0.6 is asked for"),
        (CONTRACT.replace("2030-01-01", "2020-01-01"), "retention: .* looked at again, by 2020-01-01"),
        (CONTRACT + "max_unsure_language: 0\n", "max_unsure_language: .* rows whose language is und"),
    ],
)
def test_a_contract_that_is_not_kept(tmp_path: Path, contract: str, said: str) -> None:
    path = written(tmp_path / "in", contract=contract)
    way = made(path, tmp_path / "to", until="check")
    with pytest.raises(GateBroken, match=said):
        made(path, tmp_path / "to")
    assert way.violations
    assert not (tmp_path / "to/toy@1.0.0").exists()
    assert main(["data", "check", str(path), "--to", str(tmp_path / "to")]) == 3


def test_what_nobody_measured_is_not_kept(tmp_path: Path) -> None:
    asked = CONTRACT + "max_suspects: 0.9\n"
    path = written(tmp_path / "in", CURATION + "audit: null\n", asked)
    with pytest.raises(GateBroken, match="max_suspects: harassment, hate: judged in no source"):
        made(path, tmp_path / "to")
    path.write_text(CURATION)
    with pytest.raises(GateBroken, match="max_suspects: harassment: judged in no source"):
        made(path, tmp_path / "to")  # nobody could rank it: its labels are drawn by lot


@pytest.mark.parametrize(
    ("contract", "said"),
    [
        (CONTRACT.replace("2030-01-01", "2030-13-45"), "contract.retention.until"),
        (CONTRACT.replace(", known: 50, positive: 10", ""), "asks for nothing"),
    ],
)
def test_a_contract_that_says_nothing(tmp_path: Path, contract: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        load(written(tmp_path, contract=contract))


@pytest.mark.parametrize("verb", ["label", "audit", "select", "augment"])
def test_a_stage_that_is_not_asked_for(tmp_path: Path, verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, CURATION.split("augment:")[0] + "audit: null\n")
    assert main(["data", verb, str(path), "--to", str(tmp_path / "to")]) == 2
    assert f"has no section `{verb}`" in capsys.readouterr().err
    assert not (tmp_path / "to").exists()


@pytest.mark.parametrize(
    ("curation", "said"),
    [
        (CURATION.replace("hate: h", "hat: h"), "the policy has no label 'hat'; did you mean hate?"),
        (CURATION.replace("version: 1.0.0", "version: one"), "version: 'one'"),
        (CURATION + "previous: toy@1.0.0\n", "previous: is the version itself"),
        (CURATION.replace("contract.yaml", "contrct.yaml"), "contract: .*contrct.yaml does not exist"),
        (CURATION + "dedup: {threshold: 2}\n", "dedup.threshold: 2"),
        (
            CURATION + "select: {quotas: [{where: {language: de}, rows: 10}]}\n",
            "select.quotas: no source has a slice 'language'",
        ),
        (CURATION.replace("forum: {", "fo.rum: {"), "sources.fo.rum: a name is of letters"),
        (CURATION.replace("forum: {", "../forum: {"), "sources.../forum: a name is of letters"),
        (CURATION + "scrub: {patterns: {ID: '('}}\n", "no regular expression"),
        (
            CURATION.replace("licence: CC0", "licence: CC0, share: 0.5"),
            "share, rows and max_repeats belong to a recipe",
        ),
    ],
)
def test_a_curation_that_is_wrong(tmp_path: Path, curation: str, said: str) -> None:
    path = written(tmp_path, curation)
    with pytest.raises(InputError, match=said):
        load(path)


def test_a_program_is_told_everything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path / "in")
    assert main(["data", "dedup", str(path), "--to", str(tmp_path / "to"), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["stages"]["dedup"]["counts"]["exact_duplicates"] == 10
    assert said["delivery"] is None


@pytest.mark.slow
def test_wandb_is_told_of_hashes_and_figures_and_of_no_text(tmp_path: Path) -> None:
    path = written(tmp_path / "in")
    environment = {**os.environ, "WANDB_MODE": "offline", "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-m", "train.cli", "data", "build", str(path), "--to", str(tmp_path / "to")]
    subprocess.run(command, env=environment, check=True, capture_output=True)
    (run,) = (tmp_path / "to/wandb").glob("offline-run-*/*.wandb")
    said = b"".join(file.read_bytes() for file in (tmp_path / "to/wandb").rglob("*") if file.is_file())
    manifest = read_manifest(tmp_path / "to/toy@1.0.0")
    assert manifest.parts["forum"].files["train"].sha256.encode() in said
    assert run.stat().st_size > 0
    texts = [json.loads(line)["t"] for line in (tmp_path / "in/forum.jsonl").read_text().splitlines()]
    assert not any(text.encode() in said for text in texts)
    assert str(tmp_path / "in").encode() not in said


def test_one_at_a_time(tmp_path: Path) -> None:
    """Two builds in one folder would take each other's shards away; so would a deletion."""
    path, to = written(tmp_path / "in"), tmp_path / "to"
    made(path, to, until="gather")
    held = """
import sys
from pathlib import Path
from train.alone import alone
with alone(Path(sys.argv[1]), ""):
    print("held", flush=True)
    sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", held, str(to)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
    ) as other:
        assert other.stdout and other.stdout.readline() == b"held\n"
        with pytest.raises(Failure, match="another build or deletion is at work in this folder"):
            made(path, to)
        assert main(["data", "delete", "--to", str(to), "--id", "forum:1"]) == 1
        other.kill()
    made(path, to, until="gather")


@pytest.mark.parametrize(
    ("version", "previous", "said"),
    [
        ("1.1.0", None, "previous: toy@1.0.0, so that its test rows stay test rows"),
        ("1.1.0", "toy@1.0.7", "toy@1.0.7 is not in"),
        ("0.9.0", "toy@1.0.0", "toy@1.0.0 is no earlier version"),
        ("1.1.0", "latest", "nor `none`"),
    ],
)
def test_a_version_speaks_of_the_one_before(
    whole: tuple[Path, Path], version: str, previous: str | None, said: str, tmp_path: Path
) -> None:
    """Forgotten, its test rows would be trained on, and nothing would say so."""
    path = written(tmp_path)
    stated = f"\nprevious: {previous}" if previous else ""
    path.write_text(CURATION.replace("version: 1.0.0", f"version: {version}{stated}"))
    with pytest.raises(InputError, match=said):
        made(path, whole[1].parent, until="split")


def test_a_version_may_follow_none(whole: tuple[Path, Path], tmp_path: Path) -> None:
    path = written(tmp_path)
    path.write_text(CURATION.replace("version: 1.0.0", "version: 3.0.0\nprevious: none"))
    assert load(path).follows is None
    made(path, whole[1].parent, until="split")
