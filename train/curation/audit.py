"""Cells whose label looks wrong: confident learning (Northcutt, Jiang & Chuang 2021, arXiv:1911.00068;
cleanlab) on out-of-fold scores, for each source and label by itself, since sources differ in base rate and
difficulty.

What it names is for people to look at, not to believe: a text that the model cannot read looks like a wrong
label, too. Of cells flagged after 5% were flipped, .86 were flipped in davidson's hate and .11 in Korean
harassment, which the model ranks at an AUROC of .72 (recipes/README.md). So a source whose label it ranks
worse accuses nobody; `teensafe gaps` (train/gaps/noise.py) estimates how many labels are wrong, and corrects
for texts that are merely hard.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import Field

from train.curation.scores import Fit, out_of_fold
from train.evaluation.metrics import ENOUGH, decided
from train.model.linear import learned
from train.spec import Seed, Spec

if TYPE_CHECKING:
    import pyarrow as pa

    from train.curation.rows import Counts

READS = ("source", "group", "normal", "split")
"""Columns beside label.<L> that `audit` reads."""


class Audit(Spec):
    folds: int = Field(default=4, ge=2, le=20)
    """Parts of a source; each is scored by a model of the others. A group is never divided."""
    seed: Seed = 1
    decided: float = Field(default=0.75, gt=0.5, le=1)
    """Share of annotators that has to agree for a cell to be judged. Votes that are split, 2 of 3 too, are
    disagreement, no error: they are for `select` (disputed) and `agree`."""
    auroc: float = Field(default=0.65, ge=0.5, le=1)
    """How well a label has to be ranked in a source, out of fold, for its cells to be judged. Split votes
    count here: of a rare label they may be most of the positives."""
    suspects: Literal["keep", "unknown"] = "keep"
    """What becomes of suspect cells of training rows: they stay, or they are unknown, which also costs the
    hard texts among them. Held-out cells stay."""


def audit(table: pa.Table, spec: Audit, fit: Fit = learned) -> tuple[pa.Table, Counts, Any]:
    """New columns for each label that is judged somewhere: suspect.<L>, null where a cell is not judged, and
    quality.<L>, how well the cell fits its text (0 to 1); and the label columns. fit: the model whose scores
    judge.

    Found: for each source and label judged cells, suspects (None where the label is ranked too badly), and
    the AUROC out of fold.
    """
    import pyarrow as pa
    from sklearn.metrics import roc_auc_score

    from train.curation.rows import LABEL, labels

    source = table.column("source").to_numpy(zero_copy_only=False)
    split = table.column("split").to_numpy(zero_copy_only=False)
    group = table.column("group").to_numpy(zero_copy_only=False)
    texts = table.column("normal").to_numpy(zero_copy_only=False)
    names = labels(table)
    cells = np.column_stack([np.asarray(table.column(LABEL + name), dtype=np.float32) for name in names])
    suspect = np.full(cells.shape, np.nan)
    quality = np.full(cells.shape, np.nan, dtype=np.float32)
    found = []
    for name in sorted(set(source)):
        rows = np.flatnonzero((source == name) & (split != None))  # noqa: E711 - element by element
        asked = [c for c in range(len(names)) if min(map(np.sum, _sides(cells[rows, c], spec))) >= ENOUGH]
        if not asked:
            continue
        scores = out_of_fold(
            texts[rows].tolist(), cells[rows][:, asked], group[rows].tolist(), spec.folds, spec.seed, fit
        )
        for column, score in zip(asked, scores.T, strict=True):
            cell = np.where(np.isnan(score), np.nan, cells[rows, column])
            yes, no = _sides(cell, spec)
            if min(yes.sum(), no.sum()) < ENOUGH:
                continue  # one group has nearly all of them: who has not seen it has learned nothing
            judged, sided = np.flatnonzero(yes | no), decided(cell)
            auroc = float(roc_auc_score(cell[sided] > 0.5, score[sided]))
            trusted = auroc >= spec.auroc
            wrong, fits = judge(yes[judged], score[judged])
            found.append(
                {"source": name, "label": names[column], "judged": len(judged), "auroc": round(auroc, 4)}
                | {"suspects": int(wrong.sum()) if trusted else None}
            )
            if trusted:
                suspect[rows[judged], column] = wrong
                quality[rows[judged], column] = fits
    columns: dict[str, pa.Array] = {}
    counts: dict[str, int] = {}
    for column, name in enumerate(names):
        if np.isnan(suspect[:, column]).all():
            continue
        flagged = suspect[:, column] == 1
        counts[f"suspects.{name}"] = int(flagged.sum())
        counts[f"judged.{name}"] = int((~np.isnan(suspect[:, column])).sum())
        columns[f"suspect.{name}"] = pa.array(
            np.where(np.isnan(suspect[:, column]), None, flagged), pa.bool_()
        )
        columns[f"quality.{name}"] = pa.array(quality[:, column], from_pandas=True)
        if spec.suspects == "unknown":
            cells[flagged & (split == "train"), column] = np.nan
        columns[LABEL + name] = pa.array(cells[:, column], from_pandas=True)
    return pa.table(columns), counts, found


def judge(positive: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(whether each label looks wrong, bool [n]; how well it fits, float [n]: the probability given to it).

    positive: bool [n], the given labels; score: probabilities that no label of the same group had a part in.
    """
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    both = np.column_stack([1 - score, score])
    given = positive.astype(int)
    return find_label_issues(given, both, n_jobs=1), get_label_quality_scores(given, both)


def _sides(cells: np.ndarray, spec: Audit) -> tuple[np.ndarray, np.ndarray]:
    """(cells that are decidedly positive, decidedly negative), bool [n] each."""
    with np.errstate(invalid="ignore"):
        return cells >= spec.decided, cells <= 1 - spec.decided
