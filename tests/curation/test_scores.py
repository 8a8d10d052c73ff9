"""Out-of-fold scores: no row is scored by a model that has seen its group, whatever the model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.pipeline import make_pipeline

from train.curation.scores import Scorer, out_of_fold
from train.files import hashed
from train.model.linear import C, features


class Mean:
    """A model that knows how common each label is, and notes whom it was shown."""

    def __init__(self) -> None:
        self.seen: list[tuple[set[str], list[str]]] = []

    def __call__(self, texts: Sequence[str], cells: np.ndarray) -> Scorer:
        known = (~np.isnan(cells)).sum(axis=0)
        share = np.where(known > 0, np.nansum(cells, axis=0) / np.maximum(known, 1), np.nan)

        def score(asked: Sequence[str]) -> np.ndarray:
            self.seen.append((set(texts), [*asked]))
            return np.tile(share, (len(asked), 1))

        return score


@given(st.lists(st.integers(0, 12), min_size=1, max_size=60), st.integers(2, 7), st.integers(0, 3))
def test_a_group_is_scored_once_by_who_has_not_seen_it(of: list[int], folds: int, seed: int) -> None:
    groups = [f"g{n}" for n in of]
    texts = [f"{group} {i}" for i, group in enumerate(groups)]
    cells = np.array([[float(n % 2)] for n in of], dtype=np.float32)
    fit = Mean()
    scores = out_of_fold(texts, cells, groups, folds, seed, fit)
    asked = [text for _, those in fit.seen for text in those]
    if len(set(groups)) > 1:
        assert sorted(asked) == sorted(texts)
        assert not np.isnan(scores).any()
    else:
        assert np.isnan(scores).all()
    for shown, those in fit.seen:
        assert not {text.split()[0] for text in shown} & {text.split()[0] for text in those}
        sizes = len({text.split()[0] for text in those})
        assert abs(sizes - len(set(groups)) / min(folds, len(set(groups)))) < 1
    order = np.random.default_rng(0).permutation(len(of))
    again = out_of_fold(
        [texts[i] for i in order], cells[order], [groups[i] for i in order], folds, seed, Mean()
    )
    np.testing.assert_allclose(again, scores[order])


def test_what_is_unknown_teaches_nothing() -> None:
    texts, groups = [f"t{i}" for i in range(8)], [f"g{i}" for i in range(8)]
    cells = np.array([[1.0, np.nan], [0.0, np.nan]] * 2 + [[np.nan, np.nan]] * 4)
    fit = Mean()
    scores = out_of_fold(texts, cells, groups, 4, 1, fit)
    assert not np.isnan(scores[:, 0]).any()  # rows of which nothing is known are scored, too
    assert np.isnan(scores[:, 1]).all()
    assert all(shown <= set(texts[:4]) for shown, _ in fit.seen)


def test_the_linear_model_is_scikit_learns_cross_validation() -> None:
    """The same folds given to scikit-learn's own cross_val_predict, vocabulary and all."""
    draw = np.random.default_rng(2)
    bad = draw.random(160) < 0.4
    words = ["river", "garden", "music", "window", "silver", "paper"]
    texts = [" ".join(draw.choice(words, 6)) + (" nasty" if b and draw.random() < 0.8 else "") for b in bad]
    groups = [f"g{i // 2}" for i in range(160)]
    cells = bad[:, None].astype(np.float32)
    scores = out_of_fold(texts, cells, groups, 4, 7)
    names = sorted(set(groups), key=lambda name: hashed("fold", 7, name))
    fold = np.array([names.index(group) % 4 for group in groups])
    model = make_pipeline(features((3, 4)), LogisticRegression(C=C, max_iter=2000))
    theirs = cross_val_predict(model, texts, bad, cv=PredefinedSplit(fold), method="predict_proba")[:, 1]
    np.testing.assert_allclose(scores[:, 0], theirs, atol=1e-3)


def test_a_label_without_both_sides_has_no_score() -> None:
    texts = [f"river garden {i}" for i in range(12)]
    cells = np.column_stack([np.arange(12) % 2, np.ones(12), [1.0] + [0.0] * 11])
    scores = out_of_fold(texts, cells, [f"g{i}" for i in range(12)], 3, 1)
    assert not np.isnan(scores[:, 0]).any()
    assert np.isnan(scores[:, 1]).all()
    assert np.isnan(scores[0, 2])  # the other folds know none
    assert not np.isnan(out_of_fold(texts, cells[:, :1], ["one"] * 6 + ["two"] * 6, 5, 1)).all()
    strange = [chr(0x4E00 + i) for i in range(12)]  # no two share a word or a piece of one
    assert np.isnan(out_of_fold(strange, cells[:, :1], texts, 3, 1)).all()
