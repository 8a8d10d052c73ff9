"""What is missing, counted; and gaps and shortfalls as one plan."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy.special import betaln, gammaln

from tests.curation.curations import CONTRACT, written
from train.cli import main
from train.curation.collection import plan, read_gaps, to_read
from train.curation.coverage import Coverage, Required, Shortfall
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


def test_rates_are_of_the_slice_where_it_has_enough_of_them() -> None:
    def short(known: int, positive: int, has: tuple[int, int], **where: str) -> Shortfall:
        required = Required(label="hate", where=where, known=known, positive=positive)
        return Shortfall(required, *has)

    rates = {"hate": (100, 1000)}
    (one,) = plan([], [short(0, 100, (200, 50), lang="de")], rates)
    assert (one.rows, one.to_read, one.where) == (50, 200, {"lang": "de", "cell": "positive"})
    (one,) = plan([], [short(0, 30, (200, 20), lang="de")], rates)  # 20 positives give no rate
    assert (one.rows, one.to_read) == (10, 100)
    (one,) = plan([], [short(0, 30, (0, 0), lang="de")], {})
    assert (one.rows, one.to_read, one.between) == (30, None, None)


def test_whoever_reads_for_one_finds_the_other() -> None:
    rates = {"hate": (100, 1000)}
    for known, positive, rows, read in ((500, 20, 500, 500), (500, 80, 80, 800)):
        required = Required(label="hate", known=known, positive=positive)
        (one,) = plan([], [Shortfall(required, 0, 0)], rates)
        assert (one.rows, one.to_read) == (rows, read)
    required = Required(label="hate", known=500, positive=20)
    assert sorted(one.rows for one in plan([], [Shortfall(required, 0, 0)], {})) == [20, 500]


def test_negatives_are_read_for_at_their_own_rate() -> None:
    negative = GAP | {"action": GAP["action"] | {"where": {"label": "hate", "cell": "negative"}}}  # type: ignore[operator]
    (one,) = plan([negative], [], {"hate": (50, 200)})
    assert (one.rows, one.to_read) == (30, 40)
    relabel = GAP | {"action": GAP["action"] | {"kind": "relabel"}}  # type: ignore[operator]
    (one,) = plan([relabel], [], {"hate": (50, 200)})
    assert one.to_read is None


@pytest.mark.parametrize(("rows", "found", "known"), [(50, 100, 1000), (5, 30, 40), (400, 30, 9000)])
def test_how_many_to_read_is_the_beta_negative_binomial(rows: int, found: int, known: int) -> None:
    """Against the distribution itself, from log-gamma."""
    mean, (low, high) = to_read(rows, (found, known))
    assert mean == round(rows * known / found)
    a, b = found + 0.5, known - found + 0.5
    k = np.arange(400_000)
    log = gammaln(k + rows) - gammaln(k + 1) - gammaln(rows) + betaln(a + rows, b + k) - betaln(a, b)
    below = np.cumsum(np.exp(log))
    assert below[-1] == pytest.approx(1, abs=1e-3)
    exact = [rows + int(np.searchsorted(below, q)) for q in (0.025, 0.975)]
    assert [low, high] == pytest.approx(exact, rel=0.02)
    assert low < mean < high
    assert to_read(rows, (known, known)) == (rows, (rows, rows))


def test_the_verb(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path / "in", contract=CONTRACT.replace("positive: 10", "positive: 10000"))
    (tmp_path / "gaps.json").write_text(json.dumps([GAP]))
    arguments = ["data", "collect", str(path), "--to", str(tmp_path / "to")]
    assert main([*arguments, "--gaps", str(tmp_path / "gaps.json"), "--json"]) == 0
    (one,) = json.loads(capsys.readouterr().out)
    assert one["why"] == ["gap a1 (too_few_positives)", "contract: hate in train"]
    assert one["rows"] > 9_000  # what training lacks is one line, whoever says so
    assert one["between"][0] < one["to_read"] < one["between"][1]
    assert main([*arguments, "--gaps", str(tmp_path / "gaps.json")]) == 0
    assert "to read (" in capsys.readouterr().err
    (tmp_path / "gaps.json").write_text("{}")
    assert main([*arguments, "--gaps", str(tmp_path / "gaps.json")]) == 2
    with pytest.raises(InputError, match="holds no gaps"):
        read_gaps(tmp_path / "gaps.json")
