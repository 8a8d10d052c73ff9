"""What people differ on: how far, and the queue for whoever decides."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.curation.curations import CURATION, written
from train.curation.build import Way, build
from train.curation.curation import load
from train.curation.people.disagreements import DISPUTED, disagreements, entropy, spread
from train.curation.people.imported import bring_in
from train.curation.people.votes import FOLDER, Vote, keep, table
from train.terminal import Terminal


def cast(item: str, *values: float | None, label: str = "hate", round_: int = 0) -> list[Vote]:
    return [Vote(item, label, f"p{n}", value, round_) for n, value in enumerate(values)]


def rows(languages: str, **bits: list[float | None]) -> pa.Table:
    """A row a letter of `languages`; `-` is left out of every split."""
    return pa.table(
        {
            "id": [f"s:{n}" for n in range(len(languages))],
            "split": [None if letter == "-" else "test" for letter in languages],
            "language": [*languages],
            **{DISPUTED + label: pa.array(its, pa.float32()) for label, its in bits.items()},
        }
    )


def test_the_bits_of_votes() -> None:
    votes = [*cast("agreed", 1, 1, 1), *cast("three", 1, 1, 0), *cast("two", 1, 0, None), *cast("one", 1)]
    votes += [*cast("mixed", 1, 0, 0.5), *cast("settled", 1, 0), *cast("settled", 1, round_=1)]
    votes += [*cast("open", 1, 0), *cast("open", 1, 0, 0, round_=1), *cast("three", 0, 0, label="harassment")]
    found = spread(table(votes))
    assert found["harassment"] == {"three": 0.0}
    assert found["hate"] == pytest.approx(
        {"agreed": 0, "three": 0.918, "two": 1, "mixed": 1.585, "settled": 0, "open": 0.918}, abs=0.001
    )
    assert entropy(Counter({0.0: 2, 1.0: 2})) == 1


def test_no_label_and_no_language_crowds_out_the_others() -> None:
    """Of 46 rows in English, 3 in German and one that is in no split."""
    english = [1.0] * 40 + [0.5] * 6
    table = rows("e" * 46 + "d" * 3 + "-", hate=[*english, 0.2, 0.2, 0.2, 1.0], harassment=[0.9] * 50)
    table = table.set_column(4, "disputed.harassment", pa.array([0.9] * 20 + [0.0] * 30, pa.float32()))
    found = disagreements(table, ["hate", "harassment"], 12, np.zeros(50, dtype=bool))
    assert len(found) == 12 and [one["rank"] for one in found] == [*range(1, 13)]
    languages = Counter("d" if one["row"] >= 46 else "e" for one in found)
    assert languages == {"d": 3, "e": 9}
    assert sum("harassment" in one["asks"] for one in found) >= 4
    assert 49 not in {one["row"] for one in found}
    both = next(one for one in found if one["row"] < 20)
    assert both["asks"] == "harassment hate" and both["bits"] == 1
    everything = disagreements(table, ["hate", "harassment"], 1000, np.zeros(50, dtype=bool))
    assert len(everything) == 49 and len({one["id"] for one in everything}) == 49
    held = np.arange(50) < 46
    assert {one["row"] for one in disagreements(table, ["hate"], 1000, held)} == {46, 47, 48}
    assert not disagreements(table, ["hate"], 1000, np.ones(50, dtype=bool))


def agreed(path: Path, to: Path) -> Way:
    return build(load(path), to, Terminal(speaks=False), "agree")


def test_decided_by_somebody_who_knows(tmp_path: Path) -> None:
    """Two people differ: the queue asks about that label. The answer is the cell, and the queue is gone."""
    path, to = written(tmp_path, CURATION), tmp_path / "to"
    assert not agreed(path, to).queues
    keep(to / FOLDER, table([*cast("forum:3", 1, 0), *cast("chat:5", 1, 1), *cast("forum:4", 1, 1)]))
    way = agreed(path, to)
    assert way.done["agree"].counts == {"disputed.hate": 1, "from_people.hate": 3}
    queue = way.queues["disagreements"]
    (task,) = json.loads((queue / "tasks.json").read_text())
    said = {name: task["data"][name] for name in ("item", "labels", "round")}
    assert said == {"item": "forum:3", "labels": "hate", "round": 1}
    interface = (queue / "interface.xml").read_text()
    assert "hate" in interface and "harassment" not in interface
    assert "$labels" in interface and 'required="true"' not in interface
    assert pq.read_table(queue / "rows.parquet").select(["id", "bits"]).to_pylist() == [
        {"id": "forum:3", "bits": 1.0}
    ]
    with (queue / "queue.csv").open(newline="") as stream:
        (row,) = csv.DictReader(stream)
    assert (row["labels"], row["round"], row["hate"]) == ("hate", "1", "")
    with (tmp_path / "answers.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, row)
        writer.writeheader()
        writer.writerow(row | {"annotator": "judge", "hate": "yes"})
    policy = load(path).policy
    assert bring_in(tmp_path / "answers.csv", policy, to / FOLDER) == 1
    way = agreed(path, to)
    cells = pa.concat_tables([pq.read_table(s.path, columns=["id", "label.hate"]) for s in way.shards])
    (cell,) = [c for id, c in zip(*cells.to_pydict().values(), strict=True) if id == "forum:3"]
    assert cell == 1.0 and not way.queues
    (alpha, *_) = way.done["agree"].found
    assert alpha["votes"] == 6, "who adjudicates knows the others' votes"


def test_the_gravest_is_not_shown(tmp_path: Path) -> None:
    path, to = written(tmp_path, CURATION), tmp_path / "to"
    keep(to / FOLDER, table([*cast("forum:3", 1, 0, label="grooming"), *cast("forum:3", 1, 0)]))
    assert not agreed(path, to).queues
    written(tmp_path, CURATION + "people: {send_escalated: true}\n")
    assert agreed(path, to).queues
