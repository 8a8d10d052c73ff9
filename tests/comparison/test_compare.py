"""`teensafe compare`, from the command line to what a person reads."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.report.test_page import Page
from train.cli import main
from train.comparison.gate import not_worse
from train.comparison.publishing import report
from train.comparison.shared import predicted
from train.errors import InputError
from train.evaluation.predictions import Predictions

Copy = Callable[..., Path]


def test_two_runs_are_two_checkpoints(copy: Copy, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    copy("weak", 1, 0.3)
    copy("strong", 2, 3.0, r=8)
    page = tmp_path / "compare.html"
    assert main(["compare", "weak", "strong", "--html", str(page), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    (pair,) = document["pairs"]
    assert pair["speaks_of"] == "checkpoints"
    assert pair["verdict"]["headline"].startswith("B is better than A on real test text: macro AUPRC ")
    assert "two checkpoints, not of their recipes" in pair["verdict"]["scope"]
    differing = {record["key"]: (record["a"], record["b"]) for record in pair["differs"]}
    assert differing == {"adapter.r": (4, 8), "train.seed": (1, 2)}
    assert document["sides"][0]["cost"]["updates"] > 0
    assert document["sides"][0]["cost"]["train_seconds"] > 0

    root = Page(page).root  # strict: every element is closed
    assert not root.all("script") and not root.all("img") and not root.all("link")
    assert pair["verdict"]["headline"] in root.all("section")[0].text
    tables = {str(table.attributes["data-metric"]): table for table in root.all("table", data_set="test")}
    for metric in ("auprc", "recall", "fpr", "auroc", "f1"):
        of_metric = [r for r in pair["figures"] if (r["set"], r["metric"]) == ("test", metric)]
        assert tables[metric].values() == [r["difference"] for r in of_metric if r["difference"] is not None]

    told = page.read_text() + json.dumps(document)
    read = Predictions.read(tmp_path / "runs" / "weak" / "predictions" / "test.parquet")
    assert str(tmp_path) not in told
    assert not [id_ for id_ in read.ids if id_ in told]


def test_three_seeds_a_side_are_two_recipes(copy: Copy, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in (1, 2, 3):
        copy(f"a{seed}", seed, 0.3)
        copy(f"b{seed}", seed + 10, 3.0, r=8)
    names = ["a1", "b2", "a2", "b1", "a3", "b3"]  # they find their sides themselves
    assert main(["compare", *names]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert out.startswith("B is better than A on real test text")
    assert "This speaks of the two recipes" in out
    assert "A toy, seeds 1, 2, 3 (a1, a2, a3) B toy, seeds 11, 12, 13 (b1, b2, b3)" in out
    assert main(["compare", *names, "--baseline", "b1", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["sides"][0]["runs"][0]["name"] == "b1"
    assert document["pairs"][0]["verdict"]["outcome"] == "worse"


def test_seeds_of_one_recipe_against_others_of_it(copy: Copy, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in range(1, 7):
        copy(f"s{seed}", seed, 1.0)
    assert main(["compare", "s1", "s2", "s3", "--against", "s4", "s5", "s6", "--json"]) == 0
    (pair,) = json.loads(capsys.readouterr().out)["pairs"]
    assert pair["verdict"]["outcome"] in ("equivalent", "open")
    assert "one recipe held against itself" in pair["verdict"]["scope"]
    assert pair["differs"] == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["one"], "nothing to compare"),
        (["one", "one"], "the same run is named twice"),
        (["one", "nowhere"], "nowhere: is no run"),
        (["one", "cut"], "cut: is not finished: interrupted"),
        (["one", "two", "three"], "which form a side?"),
        (["one", "two", "--against", "other", "three"], "side B: is of several recipes"),
        (["one", "again", "--against", "other"], "has a seed twice"),
        (["one", "elsewhere"], "no set of texts is the same"),
    ],
)
def test_every_mistake_gets_one_message(
    copy: Copy, given: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, seed in (("one", 1), ("two", 2), ("three", 3), ("again", 1), ("cut", 4), ("elsewhere", 5)):
        copy(name, seed)
    copy("other", 1, r=8)
    runs = copy("last", 9).parent
    (runs / "cut" / "status.json").write_text('{"status": "interrupted", "step": 3}')
    path = runs / "elsewhere" / "predictions" / "test.parquet"
    read = Predictions.read(path)
    replace(read, ids=np.array([f"x{i}" for i in range(len(read))], dtype=object)).write(path)
    assert main(["compare", *given]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.startswith("teensafe compare: ")
    assert "Traceback" not in err


def test_a_gate_asks_whether_a_run_is_no_worse(copy: Copy) -> None:
    weak, strong = copy("weak", 1, 0.3), copy("strong", 2, 3.0)
    n = len(Predictions.read(weak / "predictions" / "test.parquet"))
    better, worse = (
        not_worse(predicted(a), b, "test/macro/auprc", 0.01) for a, b in ((strong, weak), (weak, strong))
    )
    assert better.holds and not worse.holds
    assert better.difference == pytest.approx(-worse.difference)
    assert better.low < better.difference < better.high
    assert better.n == n
    alarms = not_worse(predicted(strong), weak, "test/any/fpr", 0.01)
    assert alarms.holds and alarms.difference < 0
    assert not_worse(predicted(strong), weak, "test/hate/recall/lang=en", 0.01).holds
    assert not not_worse(
        predicted(weak), weak, "test/hate/recall", 0.001
    ).holds  # agreement on few texts shows little
    assert not_worse(predicted(weak), weak, "test/hate/recall", 0.2).holds
    for key in (
        "test/hate/brier",
        "suite.x/any/fpr",
        "test/nothing/recall",
        "test/hate/recall/place=x",
        "hate",
    ):
        with pytest.raises(InputError, match="gate: "):
            not_worse(predicted(strong), weak, key, 0.01)


@pytest.mark.slow
def test_wandb_is_told_figures_and_no_id(
    copy: Copy, runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DATA_DIR", "")
    monkeypatch.delenv("WANDB_DATA_DIR")
    copy("weak", 1, 0.3)
    copy("strong", 2, 3.0, r=8)
    assert main(["compare", "weak", "strong", "--wandb"]) == 0
    assert "wandb sync" in capsys.readouterr().err
    files = [path for path in (runs / "comparisons").rglob("*") if path.is_file()]
    stored = b"".join(path.read_bytes() for path in files)
    assert b"compare" in stored and b"toy-" in stored
    for kind in ("verdict", "figures", "differs", "cost"):
        assert [path for path in files if path.name.startswith(kind) and path.name.endswith(".table.json")]
    read = Predictions.read(runs / "weak" / "predictions" / "test.parquet")
    assert not [id_ for id_ in read.ids if id_.encode() in stored]


@pytest.mark.slow
def test_what_a_recipe_keeps_here_is_not_sent_by_its_comparison(
    copy: Copy, runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("WANDB_MODE", "WANDB_DATA_DIR"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    for name, seed in (("weak", 1), ("strong", 2)):
        path = copy(name, seed, float(seed)) / "recipe.yaml"
        path.write_text(path.read_text().replace("wandb: disabled", "wandb: offline"))
    assert main(["compare", "weak", "strong", "--wandb"]) == 0
    assert "W&B is offline" in capsys.readouterr().err


def test_the_report_is_whole_tables_in_markdown(copy: Copy, capsys: pytest.CaptureFixture[str]) -> None:
    copy("weak", 1, 0.3)
    copy("strong", 2, 3.0, r=8)
    assert main(["compare", "weak", "strong", "--json"]) == 0
    names, said, figures, cost = report(json.loads(capsys.readouterr().out))
    assert names == "- **A**: weak\n- **B**: strong"
    assert said.startswith("## B is better than A on real test text")
    for table in (figures, cost.split("\n\n")[1]):
        rows = table.splitlines()
        assert len(rows) > 2
        assert len({row.count("|") for row in rows}) == 1
