"""What is missing, counted; and gaps and shortfalls as one plan."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from tests.curation.curations import CONTRACT, written
from train.cli import main
from train.curation.collection import plan, read_gaps
from train.curation.coverage import Coverage, Required
from train.errors import InputError


def rows() -> pa.Table:
    return pa.table(
        {
            "split": ["train", "train", "test", "train", "train"],
            "synthetic": [False, False, False, True, False],
            "slice.lang": ["en", "de", "de", "de", None],
            "label.hate": pa.array([1.0, 0.0, 1.0, 1.0, None], pa.float32()),
        }
    )


@pytest.mark.parametrize(
    ("required", "missing"),
    [
        ({"known": 3, "positive": 2}, {}),
        ({"known": 4, "positive": 2}, {"known": 1}),
        ({"split": "train", "positive": 2}, {"positive": 1}),
        ({"where": {"lang": "de"}, "known": 3}, {"known": 1}),
        ({"where": {"lang": "de"}, "known": 3, "synthetic": True}, {}),
        ({"where": {"lang": "ko"}, "known": 1, "positive": 1}, {"known": 1, "positive": 1}),
        ({"where": {"surface": "chat"}, "known": 5}, {"known": 5}),
    ],
)
def test_what_is_missing(required: dict[str, object], missing: dict[str, int]) -> None:
    asked = Required.model_validate({"label": "hate"} | required)
    coverage = Coverage([asked])
    for start in range(0, 5, 2):  # it adds up over tables
        coverage.add(rows().slice(start, 2), {"lang": "slice.lang"})
    found = [*coverage.shortfalls()]
    assert [short.missing for short in found] == ([missing] if missing else [])


GAP = {
    "id": "a1",
    "label": "hate",
    "cause": "too_few_positives",
    "harm": 0.4,
    "action": {
        "kind": "collect",
        "rows": 30,
        "filter": "positives",
        "where": {"label": "hate", "cell": "positive"},
    },
}


def test_gaps_and_shortfalls_are_one_plan() -> None:
    asked = Required(label="hate", known=0, positive=52)
    coverage = Coverage([asked])
    coverage.add(rows(), {})
    change = GAP | {"id": "a3", "action": GAP["action"] | {"kind": "change"}}  # type: ignore[operator]
    worse = GAP | {"id": "a2", "harm": 0.1}
    (one,) = plan([GAP, worse, change], coverage.shortfalls(), {"hate": (10, 100)})
    assert (one.rows, one.to_read, one.harm) == (50, 500, 0.4)
    assert one.why == ["gap a1 (too_few_positives)", "gap a2 (too_few_positives)", "contract: hate"]


def test_the_verb(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path / "in", contract=CONTRACT.replace("positive: 10", "positive: 10000"))
    (tmp_path / "gaps.json").write_text(json.dumps([GAP]))
    arguments = ["data", "collect", str(path), "--to", str(tmp_path / "to")]
    assert main([*arguments, "--gaps", str(tmp_path / "gaps.json"), "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out)
    assert first["why"] == ["gap a1 (too_few_positives)"]
    assert second["why"] == ["contract: hate in train"]
    assert second["rows"] > 9_000
    (tmp_path / "gaps.json").write_text("{}")
    assert main([*arguments, "--gaps", str(tmp_path / "gaps.json")]) == 2
    with pytest.raises(InputError, match="holds no gaps"):
        read_gaps(tmp_path / "gaps.json")
