"""The table as a person sees it at 80 and at 120 columns."""

from __future__ import annotations

import io

import numpy as np
import pytest
from rich.console import Console
from rich.table import Table

from train.evaluation.intervals import intervals
from train.evaluation.metrics import measure
from train.evaluation.table import table

LABELS = ("hate", "suicide_self_harm", "companion_dependence", "minor_sexual_exploitation")


def _text(drawn: Table, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    console.print(drawn)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


@pytest.fixture(scope="module")
def rows(build):
    n = 3000
    random = np.random.default_rng(0)
    targets = np.column_stack([np.arange(n) % every == 0 for every in (5, 50, 250, 10_000)]).astype(
        np.float32
    )
    targets[0, 3] = 0
    scores = 1 / (1 + np.exp(-(2 * targets - 2 + random.normal(size=targets.shape))))
    return build(targets, scores, labels=LABELS)


@pytest.mark.parametrize("width", [80, 120])
def test_every_figure_stands_on_its_labels_line(rows, width):
    figures, sure = measure(rows, "test.davidson"), intervals(rows, "test.davidson", resamples=100)
    lines = _text(table(figures, sure, "test.davidson"), width)
    assert max(map(len, lines)) <= width
    (hate,) = [line.split() for line in lines if line.startswith("hate ")]
    of = {
        metric: figures[f"test.davidson/hate/{metric}"]
        for metric in ("auprc", "auroc", "recall", "fpr", "f1")
    }
    low, high = sure["test.davidson/hate/auprc"]
    assert hate == [
        *("hate", "3000", "600", "0.200", f"{of['auprc']:.2f}", f"({low:.2f}–{high:.2f})"),
        *(f"{of['auroc']:.2f}", f"{of['recall']:.2f}", f"{of['fpr']:.3f}", f"{of['f1']:.2f}"),
    ]
    figures_of = [line for line in lines if line.startswith(("suicide_self_harm ", "companion_dependence "))]
    assert len(figures_of) == 2
    body = [line for line in lines if line and not line.startswith("base")]
    assert body[-1].startswith("macro (2 labels)")
    assert "synthetic" not in "\n".join(lines)


@pytest.mark.parametrize("width", [80, 120])
def test_auroc_within_sources_stands_beside_auroc_where_there_are_several(build, width):
    random = np.random.default_rng(1)
    source = np.arange(400) % 2
    targets = (random.random((400, 2)) < 0.2 + 0.5 * source[:, None]).astype(np.float32)
    targets[20:, 1] = np.nan
    scores = 0.2 * random.random((400, 2)) + 0.4 * source[:, None] + 0.2 * targets
    mixed = build(targets, np.nan_to_num(scores), labels=LABELS[:2], source=[f"s{i}" for i in source])
    figures = measure(mixed, "test")
    lines = _text(table(figures, {}, "test"), width)
    assert max(map(len, lines)) <= width
    (header,) = [line.split() for line in lines if line.startswith("label")]
    assert header[-5:] == ["AUROC", "within", "recall", "FPR", "F1"]
    (hate,) = [line.split() for line in lines if line.startswith("hate ")]
    pooled, within = figures["test/hate/auroc"], figures["test/hate/auroc_within"]
    assert within != pooled
    assert hate[-5:-3] == [f"{pooled:.2f}", f"{within:.2f}"]
    (few,) = [line.split() for line in lines if line.startswith("suicide")]
    assert few[-5:-3] == ["–", "–"]
    assert any(line.startswith("within: AUROC of pairs from one source") for line in lines)
    alone = _text(table(measure(mixed.select(source == 0), "t"), {}, "t"), width)
    assert not any("within" in line for line in alone)


def test_insufficient_labels_show_their_count_and_no_ranking_figure(rows):
    lines = _text(table(measure(rows, "dev"), {}, "dev"), 120)
    (few,) = [line for line in lines if line.startswith("companion_dependence")]
    assert "insufficient (12+)" in few
    fpr = measure(rows, "dev")["dev/companion_dependence/fpr"]
    assert few.split()[-4:] == ["–", "–", f"{fpr:.3f}", "–"]  # the negatives are enough for an FPR
    (none,) = [line for line in lines if line.startswith("minor_sexual_exploitation")]
    assert "insufficient (0+)" in none


def test_too_few_negatives_are_told_from_too_few_positives(build):
    targets = (np.arange(100) >= 9)[:, None]
    lines = _text(table(measure(build(targets, np.full((100, 1), 0.4)), "t"), {}, "t"), 80)
    (few,) = [line for line in lines if line.startswith("label0")]
    assert "insufficient (9−)" in few
    assert few.split()[-3:] == ["0.00", "–", "–"]


def test_synthetic_sets_say_so(rows):
    name = "test.synthetic"
    lines = _text(table(measure(rows, name), {}, name), 80)
    assert "synthetic text: proves the plumbing, not the world" in lines


def test_an_empty_set_and_odd_names_still_draw(build):
    empty = build(np.zeros((0, 1)), np.zeros((0, 1)))
    assert any("macro (0 labels)" in line for line in _text(table(measure(empty, "t"), {}, "t"), 80))
    odd = build(np.zeros((3, 1)), np.zeros((3, 1)), labels=("[bold]x",))
    assert any("[bold]x" in line for line in _text(table(measure(odd, "t[red]"), {}, "t[red]"), 80))


def test_other_sets_and_slices_are_not_mixed_in(rows):
    figures = {**measure(rows, "test"), **measure(rows, "test.davidson"), "test/hate/auprc/lang=en": 0.5}
    first = _text(table(figures, {}, "test"), 80)
    assert sum(line.startswith("hate ") for line in first) == 1
