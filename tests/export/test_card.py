"""The model card: every figure is the run's, too few texts are words, and nobody's name breaks the page."""

from __future__ import annotations

import json
import re
from io import StringIO
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.conftest import HOSTILE, Exported
from tests.report.test_sections import made  # noqa: F401  a fixture: a run with suites, gates and gaps
from train.bundle.manifest import Manifest
from train.export.card import card, figure
from train.report.finished import Value
from train.report.markdown import escaped
from train.report.numbers import area, bare, share

BAR = re.compile(r"(?<!\\)\|")


def _tables(text: str) -> dict[str, list[list[str]]]:
    """The rows of each table, by the heading above it; cells as they stand."""
    found: dict[str, list[list[str]]] = {}
    heading = ""
    for line in text.splitlines():
        heading = line.lstrip("# ") if line.startswith("#") else heading
        if line.startswith("|"):
            found.setdefault(heading, []).append([cell.strip() for cell in BAR.split(line)[1:-1]])
    return found


def test_every_figure_is_the_runs(exported: Exported) -> None:
    final = json.loads((exported.run / "summary.json").read_text())
    manifest = Manifest.read(exported.bundle)
    rows = _tables((exported.bundle / "README.md").read_text(encoding="utf-8"))["Real test text"][2:]
    assert [row[0] for row in rows] == [*manifest.names]
    for label, n, positives, negatives, *told in rows:
        counts = (n, positives, negatives)
        for said, metric in zip(counts, ("n", "positives", "negatives"), strict=True):
            assert int(said.replace(",", "")) == final["metrics"][f"test/{label}/{metric}"]
        for said, metric in zip(told, ("auprc", "auroc", "recall", "fpr"), strict=True):
            key, form = f"test/{label}/{metric}", share if metric in ("recall", "fpr") else area
            ends = bare if form is share else form
            between = (
                "–".join(map(ends, final["intervals"][key])) if key in final["intervals"] else "no interval"
            )
            assert said == f"{form(final['metrics'][key])} ({between})"


def test_front_matter_is_yaml_and_thresholds_are_the_manifests(exported: Exported) -> None:
    text = (exported.bundle / "README.md").read_text(encoding="utf-8")
    _, front, _ = text.split("---\n", 2)
    said = YAML(typ="safe").load(StringIO(front))
    assert said["pipeline_tag"] == "text-classification" and said["language"] == ["en"]
    manifest = Manifest.read(exported.bundle)
    thresholds = manifest.variants["torch"].thresholds
    rows = _tables(text)["What it decides"][2:]
    assert [(row[0], row[-1]) for row in rows] == [
        (name, f"{thresholds[name]:.4f}") for name in manifest.names
    ]
    assert "Nobody has looked for them yet" in text and "public proxies" in text


def test_too_few_texts_are_words() -> None:
    assert figure(Value(0.5, 0.4, 0.6, 29, False)) == "insufficient (n = 29)"
    assert figure(Value(None, None, None, 0, False)) == "no text"
    assert figure(Value(0.5, None, None, 100, True)) == "50.0% (no interval; n = 100)"
    assert figure(Value(0.5, 0.4, 0.6, 1000, True)) == "50.0% (40.0–60.0; n = 1,000)"


def test_a_run_with_everything_is_told_whole(made: Path, exported: Exported) -> None:  # noqa: F811
    """Of a policy and sources whose names are out to break the page."""
    lock = json.loads((made / "recipe.lock").read_text())
    manifest = Manifest.read(exported.bundle)
    label, thresholds = manifest.labels[0], manifest.variants["torch"]
    evil = f"a | b {HOSTILE}"
    named = [label.model_copy(update={"name": name, "title": evil}) for name in lock["labels"]]
    hostile = manifest.model_copy(
        update={
            "name": evil,
            "labels": tuple(named),
            "data": (manifest.data[0].model_copy(update={"name": "a", "licence": evil}),),
            "variants": {
                "torch": thresholds.model_copy(update={"thresholds": dict.fromkeys(lock["labels"], 0.5)})
            },
        }
    )
    text = card(made, hostile)
    assert "Gate" in text and "Never tested on real text" in text
    assert "### Disguised text" in text and "### Languages" in text and "### Sets made to put it" in text
    assert "hate in test lang=ko: found 12.5% (10.0–20.0) of 300. Likely cause: words" in text
    assert not re.search(r"(?<!\\)<(script|img|/p)", text) and "\u202e" not in text and "\x07" not in text
    for rows in _tables(text).values():
        assert len({len(row) for row in rows}) == 1, rows[0]  # no cell that a name cut in two


@pytest.mark.parametrize("said", ["a | b", "<b>", "`x`", "[a](http://b)", "# a", "two\nlines", "a\\|b"])
def test_names_hold_no_mark_up(said: str) -> None:
    shown = escaped(said)
    assert "\n" not in shown and not re.search(r"(?<!\\)(?:\\\\)*[|<>`\[\]#]", shown)
