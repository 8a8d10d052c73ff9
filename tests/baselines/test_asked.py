"""Which texts an LLM is asked about."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import GRAVE
from train.baselines.asked import escalated, sample
from train.lock import resolve_again
from train.recipe import load
from train.tracking.run import lock


@given(
    st.lists(st.tuples(st.sampled_from("abcdefgh"), st.booleans()), max_size=40),
    st.integers(1, 40),
    st.integers(0, 5),
)
def test_a_sample_is_of_whole_groups_but_one_and_grows(
    rows: list[tuple[str, bool]], n: int, seed: int
) -> None:
    groups = np.array([group for group, _ in rows], dtype=object)
    allowed = np.array([may for _, may in rows], dtype=bool)
    chosen = sample(groups, allowed, n, seed)
    assert chosen.tolist() == sorted({*chosen.tolist()})
    assert allowed[chosen].all()
    assert len(chosen) == min(n, allowed.sum())
    assert {*chosen} <= {*sample(groups, allowed, n + 1, seed)}
    left = allowed.copy()
    left[chosen] = False
    assert len({*groups[chosen]} & {*groups[left]}) <= 1
    assert sample(groups, allowed, None, seed).tolist() == np.flatnonzero(allowed).tolist()


def test_what_tier_3_may_hold_for_is_known_from_every_source_and_from_the_run(told_once: Path) -> None:
    resolved = resolve_again(load(told_once / "recipe.yaml"), lock(told_once))
    corpus, policy = resolved.corpus, resolved.recipe.policy
    assert "exploitation" not in corpus.labels  # declared by the sources, not trained
    for split in ("calibration", "test"):
        texts = corpus.texts(corpus.rows(split))
        held = escalated(corpus, policy, split, told_once)
        assert held.tolist() == [GRAVE in text for text in texts]
        assert 0 < held.sum() < len(held)
