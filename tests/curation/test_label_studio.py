"""To Label Studio and sheets and back: nothing lost, nothing run, nothing sent that may not be."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import HOSTILE
from train.curation.people.imported import votes
from train.curation.people.label_studio import interface, tasks
from train.curation.people.sheet import harmless, original, sheet
from train.errors import InputError
from train.example import TURN
from train.policy import Policy

LABELS = ["hate", "harassment"]
ROWS = pa.table(
    {
        "id": ["s:0", "s:1", "=s:2", "s:3"],
        "text": ["fine", f"user: hi{TURN}bot: =1+1{TURN}user: no: never", "=cmd|' /C calc'!A0", HOSTILE],
        "label.hate": [None, 1.0, 0.5, 0.0],
        "label.grooming": pa.array([None, None, 0.0, 0.1], pa.float32()),
    }
)


def exported(policy: Policy, tmp_path: Path, annotations: Any, name: str = "export.json") -> Path:
    """As Label Studio exports a project of these tasks; annotations: of each task."""
    made, _ = tasks(ROWS, LABELS, policy, send_escalated=True)
    path = tmp_path / name
    both = enumerate(zip(made, annotations, strict=False))
    path.write_text(json.dumps([{"id": n, **t, "annotations": a, "predictions": []} for n, (t, a) in both]))
    return path


def annotation(id: int, by: Any, cancelled: bool = False, **said: str) -> dict[str, Any]:
    results = [
        {"from_name": name, "to_name": "turns", "type": "choices", "value": {"choices": [choice]}}
        for name, choice in said.items()
    ]
    return {"id": id, "completed_by": by, "was_cancelled": cancelled, "result": results}


def test_a_round_trip(policy: Policy, tmp_path: Path) -> None:
    person = {"id": 4, "email": "ann@example.org", "first_name": "Ann"}
    of_tasks = [
        [annotation(1, 3, hate="yes", harassment="unsure"), annotation(2, person, hate="no")],
        [annotation(3, 3, cancelled=True), annotation(4, None, harassment="yes")],
        [annotation(5, person, hate="yes")],
        [],
    ]
    path = exported(policy, tmp_path, of_tasks)
    found = votes(path, policy).to_pylist()
    said = [(v["item"], v["label"], v["annotator"], v["value"], v["ballot"]) for v in found]
    assert said == [
        ("s:0", "hate", "3", 1.0, "1"),
        ("s:0", "harassment", "3", 0.5, "1"),
        ("s:0", "hate", "4", 0.0, "2"),
        ("s:1", "hate", "3", None, "3"),
        ("s:1", "harassment", "3", None, "3"),
        ("s:1", "harassment", None, 1.0, "4"),
        ("=s:2", "hate", "4", 1.0, "5"),
    ]
    assert {(v["round"], v["policy"], v["file"]) for v in found} == {(0, "toy 1.0.0", "export.json")}
    assert b"example.org" not in str(found).encode()


def test_a_conversation_is_a_dialogue(policy: Policy) -> None:
    made, held = tasks(ROWS, LABELS, policy, 2, send_escalated=True)
    assert held == 0
    assert made[0]["data"]["turns"] == [{"speaker": "text", "text": "fine"}]
    assert made[1]["data"]["turns"] == [
        {"speaker": "user", "text": "hi"},
        {"speaker": "bot", "text": "=1+1"},
        {"speaker": "user", "text": "no: never"},
    ]
    assert made[1]["data"]["round"] == 2
    assert "label" not in json.dumps([task["data"].keys() - {"labels"} for task in made], default=sorted), (
        "nobody is told what to answer"
    )


def test_the_gravest_stay_unless_asked_for(policy: Policy) -> None:
    """s:3 may be grooming, of tier 3, in part."""
    made, held = tasks(ROWS, LABELS, policy)
    assert [task["data"]["item"] for task in made] == ["s:0", "s:1", "=s:2"] and held == 1
    filled, held = sheet(ROWS, LABELS, policy)
    assert "s:3" not in filled and held == 1
    assert "s:3" in sheet(ROWS, LABELS, policy, send_escalated=True)[0]


def test_the_interface_says_the_policys_words(policy: Policy) -> None:
    label = policy.labels["hate"].model_copy(update={"definition": '</View><Style>x</Style> "a" & b'})
    hostile = policy.model_copy(update={"labels": {**policy.labels, "hate": label}})
    view = ElementTree.fromstring(interface(LABELS, hostile))
    asked = {choices.get("name"): [c.get("value") for c in choices] for choices in view.iter("Choices")}
    assert asked == {name: ["yes", "no", "unsure"] for name in LABELS}
    assert {choices.get("toName") for choices in view.iter("Choices")} == {"turns"}
    shown = [header.get("value") or "" for header in view.iter("Header")]
    assert any(label.definition in said for said in shown) and "Not: news" in shown
    assert len([*view.iter("Style")]) == 1 and "blur" in (view.findtext("Style") or "")
    (veiled,) = (part for part in view.iter("View") if part.get("className") == "veiled")
    assert [part.get("value") for part in veiled] == ["$turns"]


def test_a_sheet_there_and_back(policy: Policy, tmp_path: Path) -> None:
    written, _ = sheet(ROWS, LABELS, policy, 1, send_escalated=True)
    read = [*csv.DictReader(io.StringIO(written))]
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for row in read for cell in row.values())
    for row, said in zip(read, ("yes", "NO ", "", "unsure"), strict=True):
        row |= {"annotator": "ann", "hate": said}
    read[0]["annotator"] = ""
    path = tmp_path / "filled.csv"
    with path.open("w", newline="", encoding="utf-8-sig") as stream:  # as spreadsheets save it
        writer = csv.DictWriter(stream, [*read[0]])
        writer.writeheader()
        writer.writerows(read)
    found = votes(path, policy).to_pylist()
    assert [(v["item"], v["label"], v["annotator"], v["value"], v["round"]) for v in found] == [
        ("s:0", "hate", None, 1.0, 1),
        ("s:1", "hate", "ann", 0.0, 1),
        ("s:3", "hate", "ann", 0.5, 1),
    ]
    copy = tmp_path / "copy.csv"
    copy.write_bytes(path.read_bytes())
    assert votes(copy, policy).drop_columns(["file"]).equals(votes(path, policy).drop_columns(["file"]))


@given(st.text("'=+-@a \t\r\n＝", max_size=6))
def test_no_cell_is_a_formula_and_none_is_changed(cell: str) -> None:
    assert original(harmless(cell)) == cell
    assert not harmless(cell).startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝"))


@pytest.mark.parametrize("name", ["export.csv", "export.json"])
def test_label_studios_tables(policy: Policy, tmp_path: Path, name: str) -> None:
    """Its CSV and JSON-MIN exports: data, task id, answers, annotator and annotation a row."""
    (made, *_), _ = tasks(ROWS, LABELS, policy)
    row = {**made["data"], "id": 1, "hate": "no", "annotator": 3, "annotation_id": 9, "lead_time": 4.2}
    row |= {"turns": "[...]", "created_at": "2026-01-01"} if name.endswith("csv") else {}
    path = tmp_path / name
    if name.endswith("csv"):
        path.write_text(",".join(row) + "\n" + ",".join(map(str, row.values())) + "\n")
    else:
        path.write_text(json.dumps([row]))
    (vote,) = votes(path, policy).to_pylist()
    told = (vote["item"], vote["label"], vote["annotator"], vote["value"], vote["ballot"])
    assert told == ("s:0", "hate", "3", 0.0, "9")


SECRET = "somebody wrote this"
TWO = {"type": "choices", "from_name": "hate", "value": {"choices": ["yes", "no"]}}


@pytest.mark.parametrize(
    ("annotations", "message"),
    [
        ([annotation(1, 3, hat="yes")], 'item 1, annotation 1: "hat" is no label of the policy toy 1.0.0'),
        ([annotation(1, 3), annotation(2, 3, hate=SECRET)], "item 1, annotation 2: hate: is no answer"),
        ([{**annotation(1, 3), "result": [TWO]}], "hate: is no answer"),
        ([{"result": 3}], "is no annotation"),
        (["yes"], "is no annotation"),
        ([annotation(1, 3)], "holds no answer"),
        ([annotation(1, "\ud800", hate="yes")], "half a character"),
    ],
)
def test_what_is_odd_is_said_with_its_place(
    policy: Policy, tmp_path: Path, annotations: Any, message: str
) -> None:
    path = exported(policy, tmp_path, [annotations])
    with pytest.raises(InputError) as caught:
        votes(path, policy)
    assert message in str(caught.value) and SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("item,hate\ns:0,maybe so\n", ":2: hate: is no answer"),
        ("item,hatred\ns:0,yes\n", "the policy toy 1.0.0"),
        ("item,hate\n,yes\n", ":2: has no item"),
        ("item,round,hate\ns:0,1.5,yes\n", ":2: round: not a round"),
        ("item,round,hate\ns:0,first,yes\n", ":2: item, round or policy"),
        ("id,hate\ns:0,yes\n", ":2: has no item"),
        ("item,hate\ns:0,\n", "holds no answer"),
    ],
)
def test_an_odd_sheet(policy: Policy, tmp_path: Path, written: str, message: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(written)
    with pytest.raises(InputError) as caught:
        votes(path, policy)
    assert message in str(caught.value) and "maybe" not in str(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["result", "type", "value", "choices", "from_name", "completed_by", "id", "x"]),
            inner,
        )
    ),
    max_leaves=12,
)


@given(JSON | st.lists(JSON, max_size=2), JSON | st.just({"item": "s:0"}))
def test_no_file_is_more_than_refused(
    policy: Policy, tmp_path_factory: pytest.TempPathFactory, annotations: Any, data: Any
) -> None:
    path = tmp_path_factory.getbasetemp() / "odd.json"
    path.write_text(json.dumps([{"annotations": annotations, "data": data}]))
    with pytest.raises(InputError):
        votes(path, policy)
