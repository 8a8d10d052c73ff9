"""A build that labels: verdicts fill what nobody knows, stay in the folder, and stand on the card."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.curation.curations import CURATION, rows, written
from tests.curation.test_labelling import verdict
from tests.llm.servers import told
from train.curation.build import build
from train.curation.curation import load
from train.curation.deletion import forget
from train.curation.labelling.asked import VERDICTS
from train.data.delivered import read as read_manifest
from train.errors import InputError
from train.terminal import Terminal

LABEL = """
label:
  labellers: {one: {endpoint: "%s", model: m, form: yes-no}}
  labels: [harassment]
  rows: 50
  budget: {tokens: 100000000, price: {prompt: 1, completion: 2}}
"""


def knowing(text: str, before: int) -> tuple[int, Any, dict[str, str]]:
    return verdict("idiot loser trash" in text)


def test_verdicts_reach_the_delivery_and_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEENSAFE_CACHE", str(tmp_path / "cache"))
    with told(knowing) as server:
        path = written(tmp_path / "in", CURATION.replace("augment:", "x-augment:").split("x-augment")[0])
        path.write_text(path.read_text() + LABEL % server.url)
        forum, _ = rows(n=900)
        about = [row | {"a": None if row["a"] is None else row["h"]} for row in forum]
        (tmp_path / "in/forum.jsonl").write_text("".join(json.dumps(row) + "\n" for row in about))
        way = build(load(path), tmp_path / "to", Terminal(speaks=False))
        asked = len(server.bodies)
        build(load(path), tmp_path / "to", Terminal(speaks=False))
        assert len(server.bodies) == asked
    done = way.done["label"]
    assert done.counts["filled.harassment"] == 50
    work = tmp_path / "to/work/verdicts"
    assert pq.read_table(work / VERDICTS).num_rows == done.counts["rows.gold"] + done.counts["rows.to_fill"]
    assert (work / "ledger.jsonl").exists()
    assert way.delivery
    table = {split: _by(way.delivery, split) for split in ("train", "dev", "calibration", "test")}
    assert table.pop("train").count("one") == 50
    assert {name for names in table.values() for name in names} == {None}  # people's alone
    manifest = read_manifest(way.delivery)
    assert manifest.llm["labellers"]["one"]["took_per_1000"]["cost"] == pytest.approx(0.12)
    assert server.url not in manifest.model_dump_json()
    card = (way.delivery / "README.md").read_text()
    assert "insufficient" in card
    assert "0.12 for 1,000 in the budget's currency" in card
    gone = pq.read_table(work / VERDICTS).column("id")[0].as_py()
    assert work / VERDICTS in forget(tmp_path / "to", {gone})
    assert not (work / VERDICTS).exists()


def _by(delivery: Path, split: str) -> list[str | None]:
    return [
        name
        for file in sorted(delivery.rglob(f"*{split}*.parquet"))
        for name in pq.read_table(file).column("by.harassment").to_pylist()
    ]


def test_nothing_is_written_of_tier_3(tmp_path: Path) -> None:
    model = "{endpoint: 'http://127.0.0.1:1/v1', model: m, temperature: 0.9}"
    produce = f"produce: {{writer: {model}, verifier: {model}, labels: [grooming], budget: {{tokens: 9}}}}\n"
    with pytest.raises(InputError, match="'grooming' is of tier 3, of which nothing is written"):
        load(written(tmp_path, CURATION + produce))
    with pytest.raises(InputError, match="endpoint"):
        load(written(tmp_path, CURATION + LABEL % "127.0.0.1:8080/v1"))
