"""The split is a function of (seed, group) and nothing else."""

from collections import Counter

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from train.data.split import NAMES, Split, assign, levels


@given(st.text(), st.integers(0, 2**31))
def test_a_group_has_one_split(group: str, seed: int) -> None:
    split = Split(seed=seed)
    assert assign(split, group) == assign(split, group)
    assert assign(split, group) in NAMES


def test_shares_are_met() -> None:
    split = Split(dev=0.1, calibration=0.2, test=0.3)
    found = Counter(assign(split, f"group {n}") for n in range(20_000))
    for name, share in (("dev", 0.1), ("calibration", 0.2), ("test", 0.3), ("train", 0.4)):
        assert abs(found[name] / 20_000 - share) < 0.015


def test_growing_the_test_share_takes_nothing_out_of_it() -> None:
    groups = [f"group {n}" for n in range(2_000)]
    small, large = Split(test=0.1), Split(test=0.2)
    assert {g for g in groups if assign(small, g) == "test"} <= {
        g for g in groups if assign(large, g) == "test"
    }


def test_it_is_written_down() -> None:
    """A change here would silently move texts between train and test of every run."""
    assert [assign(Split(seed=1), g) for g in "abcdefgh"] == [
        "train",
        "dev",
        "train",
        "test",
        "test",
        "train",
        "test",
        "train",
    ]


# --- rows that belong together ------------------------------------------------------------------------------

ROW = st.tuples(
    st.integers(0, 3),  # source
    st.integers(0, 9),  # group
    st.integers(0, 9),  # text
    st.sampled_from(["any", "any", "any", "train", "dev", "calibration", "test"]),
)
"""Groups are of a source here; `brute` names them so."""


def brute(split: Split, rows: list[tuple[int, int, int, str]]) -> list[tuple[str, bool]]:
    """(split, set aside) by the plainest way: sets of rows that are merged until nothing changes."""
    claimed = {source: {claim for s, _, _, claim in rows if s == source} for source, *_ in rows}

    def own(source: int, group: int, claim: str) -> str:
        if claim != "any":
            return claim
        hashed = assign(split, f"{source}:{group}")
        return "train" if hashed in claimed[source] else hashed

    sets = [{number} for number in range(len(rows))]
    for i, (source, group, text, _) in enumerate(rows):
        for j in range(i):
            if rows[j][:2] == (source, group) or rows[j][2] == text:
                one = next(s for s in sets if i in s)
                two = next(s for s in sets if j in s)
                if one is not two:
                    sets.remove(two)
                    one |= two
    found: dict[int, tuple[str, bool]] = {}
    for members in sets:
        mine = {row: own(rows[row][0], rows[row][1], rows[row][3]) for row in members}
        claims = {rows[m][3] for m in members} & {"dev", "calibration", "test"}
        highest = max(claims or mine.values(), key=NAMES.index)
        for row in members:
            source, _, _, claim = rows[row]
            pure = claim != "any" or highest in claimed[source] or highest in claims
            found[row] = highest, mine[row] != highest and pure
    return [found[row] for row in range(len(rows))]


def vectorised(split: Split, rows: list[tuple[int, int, int, str]]) -> list[tuple[str, bool]]:
    groups = sorted({f"{source}:{group}" for source, group, *_ in rows})
    level, aside = levels(
        split,
        groups,
        np.array([groups.index(f"{source}:{group}") for source, group, *_ in rows]),
        np.array([claim for *_, claim in rows], dtype=object),
        np.array([source for source, *_ in rows]),
        np.unique([text for _, _, text, _ in rows], return_inverse=True)[1],
    )
    return [(NAMES[n], bool(tied)) for n, tied in zip(level, aside, strict=True)]


@given(st.lists(ROW, min_size=1, max_size=25), st.integers(0, 99))
def test_levels_against_the_plainest_way(rows: list[tuple[int, int, int, str]], seed: int) -> None:
    split = Split(seed=seed, dev=0.2, calibration=0.2, test=0.2)
    assert vectorised(split, rows) == brute(split, rows)


@given(st.lists(ROW, min_size=1, max_size=25), st.integers(0, 99))
def test_a_split_holds_of_a_source_that_claims_it_only_what_claims_it(
    rows: list[tuple[int, int, int, str]], seed: int
) -> None:
    found = vectorised(Split(seed=seed, dev=0.2, calibration=0.2, test=0.2), rows)
    claimed = {(source, claim) for source, _, _, claim in rows}
    for (source, _, _, claim), (split, aside) in zip(rows, found, strict=True):
        if aside:
            assert split != "train", "what would be trained on is not touched"
        elif claim != "any":
            assert claim == split, "a row is where it claims to be, or nowhere"
        elif split != "train":
            assert (source, split) not in claimed


@given(st.lists(ROW, min_size=1, max_size=20), st.lists(ROW, min_size=1, max_size=8), st.integers(0, 99))
def test_another_source_moves_only_those_it_is_joined_with(
    rows: list[tuple[int, int, int, str]], more: list[tuple[int, int, int, str]], seed: int
) -> None:
    split = Split(seed=seed, dev=0.2, calibration=0.2, test=0.2)
    added = [(9, group, text, claim) for _, group, text, claim in more]
    alone, both = vectorised(split, rows), vectorised(split, rows + added)
    joined = {text for _, _, text, _ in added}
    while True:  # whatever shares a text or a group with the new rows, directly or through others
        groups = {row[:2] for row in rows if row[2] in joined}
        wider = joined | {row[2] for row in rows if row[:2] in groups}
        if wider == joined:
            break
        joined = wider
    for row, before, after in zip(rows, alone, both, strict=False):
        if row[2] not in joined:
            assert after == before
        assert after[0] != "train" or before[0] == "train", "nothing that was held out is trained on"
