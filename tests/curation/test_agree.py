"""What people's votes come to: cells, and agreement by label and slice; and how a build takes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.curation.curations import CONTRACT, CURATION, written
from tests.curation.people import simulated
from train.curation.build import build
from train.curation.curation import load
from train.curation.people.aggregate import People
from train.curation.people.agree import agree, measured
from train.curation.people.imported import bring_in
from train.curation.people.label_studio import tasks
from train.curation.people.votes import FOLDER, Vote, gathered, keep, table
from train.curation.told import lines
from train.data.delivered import read as read_manifest
from train.policy import Policy
from train.terminal import Terminal

QUIET = Terminal(speaks=False)
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
TRUTH = np.random.default_rng(5).random(400) < 0.4


def rows(n: int = 400) -> pa.Table:
    return pa.table(
        {
            "id": [f"s:{i}" for i in range(n)],
            "source": ["s"] * n,
            "group": [f"g{i // 2}" for i in range(n)],
            "label.hate": pa.array([None] * n, pa.float32()),
            "label.harassment": pa.array([0.25] * n, pa.float32()),
            "slice.lang": ["en" if i < 250 else "de" if i < 385 else "ko" for i in range(n)],
            "slice.author": [f"a{i}" for i in range(n)],
        }
    )


def careful_in_english() -> pa.Table:
    votes = simulated(TRUTH[:250], [(0.95, 0.95)] * 4, 3) + simulated(TRUTH, [(0.7, 0.7)] * 4, 3)[750:]
    return table(votes)


def test_by_label_and_slice() -> None:
    found = measured(rows(), careful_in_english(), "interval")
    by = {one["slice"]: one for one in found}
    assert [*by] == [None, "lang=de", "lang=en", "lang=ko"], "authors are no slice, and one source is all"
    assert by["lang=de"]["high"] < by[None]["alpha"] < by["lang=en"]["low"]
    assert (by[None]["items"], by[None]["votes"]) == (400, 1200)
    assert by[None]["fleiss"]["items"] == 400 and by[None]["fleiss"]["people"] == 3
    assert by[None]["cohen"]["pairs"] == 6
    assert not by["lang=ko"]["sufficient"] and by["lang=ko"]["low"] is None
    assert json.loads(json.dumps(found)) == found
    assert found == measured(rows(), careful_in_english(), "interval")


def test_of_the_first_round_and_of_rows_that_are_there() -> None:
    votes = careful_in_english()
    more = [
        Vote("s:0", "hate", "judge", 1.0, 1),
        Vote("gone:7", "hate", "p0", 1.0),
        Vote("gone:7", "hate", "p1", 0.0),
    ]
    assert measured(rows(), gathered([votes, table(more)]), "interval") == measured(rows(), votes, "interval")


def test_own_votes_take_the_place_of_the_sources_cells(policy: Policy) -> None:
    own = [Vote("s:1", "hate", f"p{n}", value, policy="toy 1.0.0") for n, value in enumerate((1.0, 1.0, 0.0))]
    own += [Vote("s:1", "hate", "judge", 1.0, 1), Vote("s:2", "harassment", "p0", None)]
    own += [Vote("s:3", "hate", "p0", 1.0, policy="toy 0.9.0")]
    columns, counts, _ = agree(rows(), table([]), table(own), People(), policy)
    hate = columns.column("label.hate").to_pylist()
    assert hate == [None, 1.0, *[None] * 398]
    assert columns.column("by.hate").to_pylist() == [None, "people", *[None] * 398]
    assert set(columns.column("label.harassment").to_pylist()) == {0.25}
    assert counts == {"votes.other_policy": 1, "from_people.hate": 1}
    columns, counts, _ = agree(
        rows(), table([]), careful_in_english(), People(aggregate="dawid-skene"), policy
    )
    bits = columns.column("disputed.hate").to_pylist()
    assert counts == {"from_people.hate": 400, "weighed.hate": 400, "disputed.hate": sum(b > 0 for b in bits)}
    assert {round(b, 3) for b in bits} == {0, 0.918}, "three votes each"


def test_annotators_only_with_a_key(policy: Policy) -> None:
    said = [agree(rows(), table([]), careful_in_english(), People(), policy, key)[2] for key in (None, b"k")]
    assert all("annotators" not in one for one in said[0])
    annotators = said[1][0]["annotators"]
    assert sum(one["votes"] for one in annotators) == 1200 and len(annotators) == 4
    assert not {one["annotator"] for one in annotators} & {"p0", "p1", "p2", "p3"}


def test_a_build_takes_what_came_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tasks of a build's rows, answered, exported and imported: in the cells, on the card, in the gates."""
    asked = CONTRACT + "alpha: {hate: 0.6}\n"
    path, to = written(tmp_path, CURATION, asked), tmp_path / "to"
    curation = load(path)
    split = build(curation, to, QUIET, "split")
    cells = pa.concat_tables(
        [pq.read_table(shard.path, columns=["id", "text", "label.hate"]) for shard in split.shards]
    )
    made, _ = tasks(cells, ["hate"], curation.policy)
    for number, task in enumerate(made):
        said = ["yes" if number % 3 == 0 else "no"] * 3
        said[number % 3] = "no" if number % 10 == 0 else said[number % 3]
        task["annotations"] = [
            {"id": f"{number}-{who}", "completed_by": who, "result": [_choice("hate", answer)]}
            for who, answer in enumerate(said)
        ]
    (tmp_path / "export.json").write_text(json.dumps(made))
    assert bring_in(tmp_path / "export.json", curation.policy, to / FOLDER) == 3 * len(made)
    monkeypatch.setenv("TEENSAFE_ANNOTATOR_KEY", "key")
    way = build(load(path), to, QUIET)
    assert way.delivery is not None and way.done["agree"].counts["from_people.hate"] == len(made)
    (hate, *_) = way.done["agree"].found
    assert hate["label"] == "hate" and hate["items"] == len(made) and hate["low"] > 0.6
    assert any("hate: alpha 0." in line and "Fleiss' kappa" in line for line in lines(way, "agree"))
    card = (way.delivery / "README.md").read_text()
    assert f"{hate['alpha']:.3f} ({hate['low']:.3f}–{hate['high']:.3f})" in card
    assert "Annotators of hate" in card
    again = build(load(path), to, QUIET, "agree")
    assert again.done["agree"].found == way.done["agree"].found
    assert read_manifest(way.delivery).agreement["hate"] == hate
    more = [Vote(task["data"]["item"], "hate", "late", 1.0, ballot="x") for task in made[:50]]
    keep(to / FOLDER, table(more))
    path.write_text(CURATION.replace("1.0.0", "1.1.0").replace("about:", "previous: toy@1.0.0\nabout:"))
    second = build(load(path), to, QUIET).delivery
    assert second is not None
    changes = (second / "CHANGES.md").read_text()
    assert (
        f"| hate | {hate['alpha']:.3f} ({hate['low']:.3f}–{hate['high']:.3f}), {hate['votes']:,} votes | 0."
        in changes
    )


def _choice(name: str, said: str) -> dict[str, Any]:
    return {"from_name": name, "to_name": "turns", "type": "choices", "value": {"choices": [said]}}
