"""What a run is worth: TF-IDF + logistic regression, and transformers' own Trainer, on the run's very split.

    .venv/bin/python scripts/baselines.py RUN [--trainer]

Reads the run's recipe and data, fits on its train rows, calibrates and sets thresholds on its calibration
rows as the run did, and prints the run's table for the test rows. Figures go to RUN/baselines/.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from train.assessment import judge, split_logits
from train.data.corpus import Corpus
from train.errors import InputError, Problem, guarded
from train.evaluation import operating_points
from train.evaluation.records import shown
from train.evaluation.table import table
from train.files import write_json
from train.lock import Resolved, resolve
from train.recipe import load
from train.terminal import Terminal
from train.tracking.run import find

JUDGED = ("calibration", "dev", "test")


def tfidf(corpus: Corpus) -> dict[str, np.ndarray]:
    """Logits by split, [n, L]: words (1-2) and characters (2-5), one regression a label.

    A soft label p counts as a positive example of weight p and a negative one of weight 1 - p; unknown
    cells are left out.
    """
    from scipy.sparse import vstack
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_union

    features = make_union(
        TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), min_df=3, sublinear_tf=True),
    )
    train = corpus.rows("train")
    x = features.fit_transform(corpus.texts(train))
    held_out = {split: features.transform(corpus.texts(corpus.rows(split))) for split in JUDGED}
    found = {split: np.zeros((held_out[split].shape[0], len(corpus.labels))) for split in JUDGED}
    for column in range(len(corpus.labels)):
        target = corpus.targets[train, column]
        known = np.flatnonzero(~np.isnan(target))
        p = target[known].astype(np.float64)
        y, weight = np.repeat([1, 0], len(known)), np.concatenate([p, 1 - p])
        counted = weight > 0
        model = LogisticRegression(C=3, max_iter=2000)
        model.fit(vstack([x[known], x[known]]).tocsr()[counted], y[counted], sample_weight=weight[counted])
        for split in JUDGED:
            found[split][:, column] = model.decision_function(held_out[split])
    return found


def trainer(resolved: Resolved) -> dict[str, np.ndarray]:
    """Logits by split, [n, L]: the recipe's model and adapter under transformers.Trainer, dynamic padding,
    batches grouped by length.

    Same base, adapter, seed, batch, epochs, rate and schedule; Trainer knows one rate for all parameters, and
    what is judged are its last weights. Its loss cannot leave unknown cells out, so the train rows must have
    none. The scoring is ours: under `group_by_length` Trainer.predict returns the rows in another order.
    """
    import torch
    from datasets import Dataset
    from transformers import DataCollatorWithPadding, Trainer, TrainingArguments

    from train.model.classifier import create

    corpus, recipe = resolved.corpus, resolved.recipe
    if np.isnan(corpus.targets[corpus.rows("train")]).any():
        raise InputError(
            Problem(recipe.name, "has unknown label cells", "none, for Trainer's loss", "leave --trainer out")
        )
    encoding = recipe.model.encoding()
    made = create(
        recipe.model, recipe.adapter, encoding, corpus.labels, resolved.tokenizer, "fp32", recipe.train.seed
    )

    chosen = corpus.rows("train")
    tokens = [corpus.tokens[corpus.offsets[row] : corpus.offsets[row + 1]] for row in chosen]
    rows = Dataset.from_dict({"input_ids": tokens, "labels": corpus.targets[chosen]})
    with tempfile.TemporaryDirectory() as folder:
        plan = TrainingArguments(
            output_dir=folder,
            per_device_train_batch_size=recipe.train.global_batch,
            num_train_epochs=recipe.train.epochs or 1.0,
            max_steps=recipe.train.steps or -1,
            learning_rate=recipe.train.lr,
            weight_decay=recipe.train.weight_decay,
            warmup_steps=recipe.train.warmup,
            lr_scheduler_type="linear",
            train_sampling_strategy="group_by_length",
            seed=recipe.train.seed,
            use_cpu=not torch.cuda.is_available(),
            report_to=[],
            save_strategy="no",
            logging_steps=50,
        )
        runner = Trainer(
            made.model,
            plan,
            train_dataset=rows,
            data_collator=DataCollatorWithPadding(made.tokenizer),
        )
        runner.train()
    found = {
        split: split_logits(made, corpus, split, accelerator=runner.accelerator, stopping=lambda: False)
        for split in JUDGED
    }
    return {split: logits for split, logits in found.items() if logits is not None}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", help="a finished run")
    parser.add_argument(
        "--trainer",
        action="store_true",
        help="train with transformers.Trainer too (takes as long as the run)",
    )
    options = parser.parse_args(arguments)
    folder, terminal = find(options.run), Terminal()
    resolved = resolve(load(folder / "recipe.yaml"))
    corpus, policy = resolved.corpus, resolved.recipe.policy
    ways = {"tfidf-logistic-regression": lambda: tfidf(corpus)}
    if options.trainer:
        ways["transformers-trainer"] = lambda: trainer(resolved)
    for name, way in ways.items():
        start = time.perf_counter()
        found = way()
        seconds = time.perf_counter() - start
        points = operating_points.fit(
            {label: policy.labels[label].constraint for label in corpus.labels},
            corpus.targets[corpus.rows("calibration")],
            found["calibration"],
            corpus.labels,
            corpus.column("group", corpus.rows("calibration")),
        )
        verdict = judge(corpus, "test", found["test"], points, with_intervals=True)
        dev = judge(corpus, "dev", found["dev"], points)
        figures = {
            "seconds": seconds,
            "metrics": {**dev.figures, **verdict.figures},
            "intervals": verdict.intervals,
        }
        figures["operating_points"] = {label: asdict(point) for label, point in points.items()}
        write_json(folder / "baselines" / f"{name}.json", figures)
        terminal.say(f"{name}: {seconds:.0f} s")
        for part in shown(verdict.sets):
            terminal.show(table(verdict.figures, verdict.intervals, part))
    return 0


if __name__ == "__main__":
    sys.exit(guarded("baselines", main))
