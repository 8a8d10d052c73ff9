"""How much of each source an epoch holds, and which of its rows."""

# ruff: noqa: E501  (tables of messages, a case a line)

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sources import source
from train.data.mixture import Mixture, mix
from train.data.order import Order
from train.errors import InputError, Problem
from train.lock import resolve
from train.recipe import load


def mixture(
    sizes: dict[str, int], epoch_rows: int | None = None, seed: int = 17, **said: dict[str, Any]
) -> Mixture:
    """Sources of these many training rows, in turns; `said`: fields by source."""
    sources = {name: source(f"{name}.csv", **said.get(name, {})) for name in sizes}
    dice = np.random.default_rng(0)
    of = dice.permutation(np.repeat(list(sizes), list(sizes.values()))).astype(object)
    return mix(sources, of, epoch_rows, seed, lambda what, *more: Problem("data", what, *more))


def refusal(sizes: dict[str, int], epoch_rows: int | None = None, **said: dict[str, Any]) -> str:
    with pytest.raises(InputError) as caught:
        mixture(sizes, epoch_rows, **said)
    assert caught.value.exit_code == 2
    return str(caught.value).splitlines()[0]


# --- how much -----------------------------------------------------------------------------------------------


def test_by_default_every_row_stands_once_in_an_epoch() -> None:
    found = mixture({"a": 30, "b": 7})
    assert (found.quota, found.size) == ({"a": 30, "b": 7}, 37)
    assert sorted(found.epoch(0)) == list(range(37))
    assert found.epoch(5).tolist() == found.epoch(0).tolist(), "the order within an epoch is not its business"


@pytest.mark.parametrize(
    ("sizes", "epoch_rows", "said", "quota"),
    [
        ({"a": 100, "b": 300}, None, {"a": {"share": 0.4}}, {"a": 200, "b": 300}),
        ({"a": 100, "b": 300}, None, {"a": {"rows": 50}}, {"a": 50, "b": 300}),
        ({"a": 100, "b": 300}, None, {"a": {"rows": 250}}, {"a": 250, "b": 300}),
        ({"a": 100, "b": 300}, 200, {}, {"a": 50, "b": 150}),
        ({"a": 100, "b": 300}, 1000, {}, {"a": 250, "b": 750}),
        ({"a": 100, "b": 300}, 200, {"a": {"share": 0.5}}, {"a": 100, "b": 100}),
        ({"a": 100, "b": 300, "c": 100}, 201, {"a": {"rows": 1}}, {"a": 1, "b": 150, "c": 50}),
        ({"a": 100, "b": 300}, None, {"a": {"share": 0.5}, "b": {"share": 0.5}}, {"a": 200, "b": 200}),
        ({"a": 10, "b": 300}, None, {"a": {"share": 0.5, "max_repeats": 3}}, {"a": 30, "b": 300}),
        ({"a": 10, "b": 300}, None, {"b": {"max_repeats": 0.5}}, {"a": 10, "b": 150}),
        ({"a": 100, "b": 9}, None, {"a": {"max_repeats": 0.29}}, {"a": 29, "b": 9}),
        ({"a": 10, "b": 90}, None, {"a": {"rows": 60}, "b": {"share": 0.4}}, {"a": 60, "b": 40}),
        ({"a": 10, "b": 90}, 100, {"a": {"rows": 60}, "b": {"share": 0.4}}, {"a": 60, "b": 40}),
        ({"a": 10}, None, {"a": {"share": 1}}, {"a": 10}),
        ({"a": 10}, 25, {"a": {"share": 1}}, {"a": 25}),
    ],
)  # fmt: skip
def test_quotas(
    sizes: dict[str, int], epoch_rows: int | None, said: dict[str, Any], quota: dict[str, int]
) -> None:
    found = mixture(sizes, epoch_rows, **said)
    assert dict(sorted(found.quota.items())) == quota
    assert found.size == sum(quota.values()) == len(found.epoch(0))
    for name, size in sizes.items():
        assert found.repeats(name) == quota[name] / size


@given(
    st.lists(st.integers(1, 500), min_size=1, max_size=6),
    st.integers(50, 3000),
    st.lists(st.floats(0.05, 0.3), max_size=3),
)
def test_an_epoch_has_the_rows_it_was_told(sizes: list[int], epoch_rows: int, shares: list[float]) -> None:
    """Without a rest: an epoch of 3,200 rows is 100 updates of 32, and not 101."""
    named = {f"s{i}": size for i, size in enumerate(sizes)} | {"rest": 400}
    said = {f"s{i}": {"share": share} for i, share in enumerate(shares[: len(sizes)])}
    try:
        found = mixture(named, epoch_rows, **said)
    except InputError as refused:
        assert "would be in an epoch" in str(refused)
        return
    assert found.size == epoch_rows
    for name, entry in said.items():
        assert abs(found.quota[name] - entry["share"] * epoch_rows) <= 1
    free = [name for name in named if name not in said]
    for one in free:
        for other in free:
            exact = found.quota[one] * named[other] - found.quota[other] * named[one]
            assert abs(exact) <= named[one] + named[other]


@pytest.mark.parametrize(
    ("sizes", "epoch_rows", "said", "what"),
    [
        ({"a": 9, "b": 9}, None, {"a": {"share": 0.7}, "b": {"share": 0.7}}, "the shares are 1.4 of an epoch"),
        ({"a": 9, "b": 9}, None, {"a": {"share": 1}}, "the shares are 1 of an epoch, beside sources without one"),
        ({"a": 9, "b": 9}, None, {"a": {"share": 1}, "b": {"rows": 3}}, "the shares are 1 of an epoch, beside"),
        ({"a": 9}, None, {"a": {"share": 0.4}}, "the shares are 0.4 of an epoch, and no source fills the rest"),
        ({"a": 9}, 30, {"a": {"share": 0.4}}, "the shares are 0.4 of an epoch, and no source fills the rest"),
        ({"a": 9, "b": 9}, 10, {"a": {"rows": 20}}, "an epoch of 10 rows, of which 20 are asked for"),
        ({"a": 9, "b": 9}, 10, {"a": {"rows": 5}, "b": {"rows": 4}}, "an epoch of 10 rows, of which 9 are"),
        ({"a": 9, "b": 9}, 10, {"a": {"rows": 10}}, "no row of b would be in an epoch"),
        ({"a": 9, "b": 9000}, 100, {}, "no row of a would be in an epoch"),
        ({"a": 9, "b": 9}, None, {"a": {"max_repeats": 0.1}}, "no row of a would be in an epoch"),
        ({"a": 9, "b": 0}, None, {"b": {"share": 0.5}}, "b has no training row to fill its `share` with"),
        ({"a": 9, "b": 0}, None, {"b": {"rows": 5}}, "b has no training row to fill its `rows` with"),
    ],
)  # fmt: skip
def test_what_does_not_add_up(
    sizes: dict[str, int], epoch_rows: int | None, said: dict[str, Any], what: str
) -> None:
    assert refusal(sizes, epoch_rows, **said).startswith(f"data: {what}")


def test_a_source_without_training_rows_asks_for_nothing() -> None:
    assert mixture({"a": 9, "b": 0}).quota == {"a": 9}


# --- which rows ---------------------------------------------------------------------------------------------


@given(st.integers(1, 40), st.integers(1, 90), st.integers(1, 12), st.integers(0, 5))
def test_no_row_is_seen_twice_more_than_another(size: int, quota: int, epochs: int, seed: int) -> None:
    found = mixture({"a": size, "b": 3}, None, seed, a={"rows": quota})
    seen = Counter({int(row): 0 for row in found.positions["a"]})
    for epoch in range(epochs):
        dealt = found.epoch(epoch)
        of_a = dealt[np.isin(dealt, found.positions["a"])]
        assert len(of_a) == quota
        within = Counter(of_a.tolist())
        assert max(within.values()) <= -(-quota // size) + 1
        seen.update(within)
        assert max(seen.values()) - min(seen.values()) <= 1
    assert sum(seen.values()) == quota * epochs


def test_an_epoch_is_a_pure_function_of_seed_and_number() -> None:
    said = {"a": {"rows": 50}, "b": {"rows": 500}}
    one, two = mixture({"a": 120, "b": 80}, **said), mixture({"a": 120, "b": 80}, **said)
    ahead = [one.epoch(n).tolist() for n in range(6)]
    assert [two.epoch(n).tolist() for n in reversed(range(6))] == ahead[::-1]
    assert len({tuple(epoch) for epoch in ahead}) == 6
    assert mixture({"a": 120, "b": 80}, None, 18, **said).epoch(0).tolist() != ahead[0]


def test_another_source_does_not_change_the_deal_of_the_others() -> None:
    def dealt(found: Mixture, epoch: int) -> list[int]:
        """Which of the source's own rows."""
        own = {int(row): place for place, row in enumerate(found.positions["a"])}
        return [own[int(row)] for row in found.epoch(epoch) if int(row) in own]

    said = {"a": {"rows": 37}}
    alone, first = mixture({"a": 100}, **said), mixture({"0": 50, "a": 100, "z": 9}, **said)
    assert all(dealt(alone, epoch) == dealt(first, epoch) for epoch in range(7))


def test_two_sources_of_one_size_are_not_dealt_alike() -> None:
    found = mixture({"a": 100, "b": 100}, a={"rows": 40}, b={"rows": 40})
    own = {name: {int(row): place for place, row in enumerate(found.positions[name])} for name in "ab"}
    a, b = ([own[name][int(row)] for row in found.epoch(0) if int(row) in own[name]] for name in "ab")
    assert a != b


# --- in the order of training -------------------------------------------------------------------------------


@given(st.integers(5, 60), st.integers(1, 200), st.integers(1, 16))
def test_the_order_holds_what_the_mixture_deals(size: int, quota: int, batch: int) -> None:
    found = mixture({"a": size, "b": 20}, a={"rows": quota})
    lengths = np.arange(size + 20) % 11 + 3
    order = Order(lengths, 7, batch, found.epoch, found.size)
    assert order.steps_per_epoch == -(-found.size // batch)
    for epoch in (0, 1, 4):
        steps = range(epoch * order.steps_per_epoch, (epoch + 1) * order.steps_per_epoch)
        windows = [order.window(step) for step in steps]
        assert all(0 < len(window) <= batch for window in windows)
        assert Counter(np.concatenate(windows).tolist()) == Counter(found.epoch(epoch).tolist())
    resumed = Order(lengths, 7, batch, mixture({"a": size, "b": 20}, a={"rows": quota}).epoch, found.size)
    last = 3 * order.steps_per_epoch - 1
    assert resumed.window(last).tolist() == order.window(last).tolist()


def test_shares_are_part_of_a_run_and_not_of_the_cache(
    make_recipe: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEENSAFE_CACHE", str(tmp_path / "cache"))
    recipe = make_recipe()
    more = (
        f"data.sources.more={{path: {tmp_path}/more.csv, text: text, labels: {{hate: hate}}, licence: MIT}}"
    )
    (tmp_path / "more.csv").write_text("text,hate\n" + "".join(f"other {i},{i % 2}\n" for i in range(200)))
    told = [
        [],
        ["data.sources.more.share=0.5"],
        ["data.sources.more.share=0.25"],
        ["data.sources.more.rows=50"],
        ["data.sources.more.max_repeats=0.5"],
        ["data.epoch_rows=100"],
    ]
    found = [resolve(load(recipe, [more, *overrides])) for overrides in told]
    assert len({resolved.identity for resolved in found}) == len(told)
    assert len({resolved.mixture.size for resolved in found}) == len(told)
    assert len(list((tmp_path / "cache").glob("*.arrow"))) == 2, "the tokens are those of the first"
    half = found[1].mixture
    assert half.quota["more"] == half.quota["toy"]
    assert found[5].mixture.size == 100


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["data.sources.toy.share=0.5"], "toy.yaml:7: data: the shares are 0.5 of an epoch"),
        (["data.epoch_rows=1", "data.sources.toy.rows=9"], "data: an epoch of 1 rows, of which 9 are asked for"),
        (["data.seed=-1"], "data.seed: -1"),
        (["data.epoch_rows=0"], "data.epoch_rows: 0"),
        (["data.sources.toy.max_repeats=0"], "data.sources.toy.max_repeats: 0"),
    ],
)  # fmt: skip
def test_a_recipe_that_cannot_be_mixed(
    make_recipe: Callable[..., Path], overrides: list[str], said: str
) -> None:
    with pytest.raises(InputError) as caught:
        resolve(load(make_recipe(), overrides))
    assert said in str(caught.value)
