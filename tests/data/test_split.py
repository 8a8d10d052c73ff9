"""The split is a function of (seed, group) and nothing else."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from train.data.split import NAMES, Split, assign


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
