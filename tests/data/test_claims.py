"""Where a source puts its rows: files by split, a split column, rows left out, contrasts kept together."""

from __future__ import annotations

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from tests.sources import corpus, examples, jsonl, refusal, source
from train.data.encoding import Encoder
from train.data.reading import read
from train.data.source import content_digest
from train.data.split import NAMES, Split, assign


def rows(word: str, count: int, **more: Any) -> list[dict[str, Any]]:
    return [{"t": f"{word} {i}", "h": i % 2, **more} for i in range(count)]


@pytest.fixture(autouse=True)
def _inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


# --- files by split -----------------------------------------------------------------------------------------


def test_files_by_split_give_claims_and_ids_of_their_own() -> None:
    paths = {name: jsonl(f"{name}.jsonl", rows(name, 3)) for name in ("any", "dev", "test")}
    found = examples(paths)
    assert [(e.id, e.split) for e in found] == [
        *((f"s:any/{i}", "any") for i in range(3)),
        *((f"s:dev/{i}", "dev") for i in range(3)),
        *((f"s:test/{i}", "test") for i in range(3)),
    ]
    assert len({e.id for e in examples({"train": paths["any"], "test": paths["any"]})}) == 6
    assert examples(paths["any"])[0].id == "s:0", "a single file needs no prefix"
    assert [e.id for e in examples({"any": paths["any"]})] == ["s:any/0", "s:any/1", "s:any/2"]


def test_an_id_column_must_be_unique_over_all_files() -> None:
    paths = {name: jsonl(f"{name}.jsonl", [{"k": "x", "t": name, "h": 1}]) for name in ("any", "test")}
    assert "test.jsonl:1: the id is already at any.jsonl:1" in refusal(paths, id="k")


def test_any_never_falls_into_a_split_that_the_source_claims(encoder: Encoder) -> None:
    paths = {
        "any": jsonl("any.jsonl", rows("any", 400)),
        "dev": jsonl("dev.jsonl", rows("dev", 20)),
        "test": jsonl("test.jsonl", rows("test", 20)),
    }
    found = corpus(encoder, s={"path": paths, "text": "t", "labels": {"hate": "h"}, "licence": "MIT"})
    part = np.array([id.split(":")[1].split("/")[0] for id in found.column("id", np.arange(440))])
    counts = {name: Counter(found.split[part == name]) for name in ("any", "dev", "test")}
    assert counts["dev"] == {"dev": 20}
    assert counts["test"] == {"test": 20}
    assert set(counts["any"]) == {"train", "calibration"}
    groups, expected = found.column("group", np.arange(440)), Split()
    for group, split in zip(groups[part == "any"], found.split[part == "any"], strict=True):
        hashed = assign(expected, group)
        assert split == (hashed if hashed == "calibration" else "train")


def test_a_text_of_a_claimed_split_is_not_trained_on_and_says_nothing_of_it(encoder: Encoder) -> None:
    paths = {
        "any": jsonl("any.jsonl", [*rows("any", 90), {"t": "The  Test 3", "h": 0}]),
        "dev": jsonl("dev.jsonl", rows("dev", 20)),
        "test": jsonl("test.jsonl", rows("the test", 20)),
    }
    found = corpus(encoder, s={"path": paths, "text": "t", "labels": {"hate": "h"}, "licence": "MIT"})
    assert len(found.row) == 130
    assert found.united[90] == -1
    assert found.left_out == {"s": {"tied to test by group or text": 1}}
    assert found.contradictions == {}
    position = found.united[91 + 20 + 3]
    assert (found.texts(np.array([position])), found.targets[position]) == (["the test 3"], [1.0])


def test_what_a_group_pulls_into_a_claimed_split_is_set_aside(encoder: Encoder, tmp_path: Path) -> None:
    """Nobody else's test file holds those rows, so our figures of it may not either."""
    paths = {
        "any": jsonl("any.jsonl", [{"t": f"any {i}", "h": i % 2, "g": i} for i in range(200)]),
        "dev": jsonl("dev.jsonl", [{"t": f"dev {i}", "h": i % 2, "g": i + 10} for i in range(20)]),
        "test": jsonl("test.jsonl", [{"t": f"test {i}", "h": i % 2, "g": i + 20} for i in range(20)]),
    }
    entry = {"path": paths, "text": "t", "labels": {"hate": "h"}, "group": "g", "licence": "MIT"}
    found = corpus(encoder, s=entry)
    of = np.array([id.split(":")[1].split("/")[0] for id in found.table.column("id").to_pylist()])
    fate = found.splits()
    assert Counter(fate[of == "test"]) == {"test": 20}
    assert Counter(fate[of == "dev"]) == {"dev": 10, None: 10}, "10 to 19 share a group with the test"
    assert [i for i in range(200) if fate[i] is None] == list(range(10, 40))
    assert {split: set(of[fate == split]) for split in ("dev", "test")} == {"dev": {"dev"}, "test": {"test"}}
    assert found.left_out == {
        "s": {"tied to dev by group or text": 10, "tied to test by group or text": 20 + 10}
    }
    alone = corpus(encoder, s=entry | {"path": {"any": paths["any"]}})
    kept = [i for i in range(200) if fate[i] == "train"]
    assert not alone.left_out
    assert {alone.splits()[i] for i in kept} == {"train", "dev", "test"}, "to what s claims go no others"
    found.write_split(tmp_path / "split.parquet")
    rows = pq.read_table(tmp_path / "split.parquet").to_pylist()
    assert [row["split"] for row in rows] == fate.tolist()
    assert Counter(row["left_out"] for row in rows) == {None: 200, **found.left_out["s"]}
    assert all((row["split"] is None) == (row["left_out"] is not None) for row in rows)


def test_where_hashes_alone_decide_a_group_is_never_torn(encoder: Encoder) -> None:
    rows = [{"t": f"text {i}", "h": i % 2, "g": i // 2} for i in range(200)]
    rows += [{"t": f"text {i}", "h": i % 2, "g": 500 + i // 3} for i in range(200)]
    entry = {"path": jsonl("a.jsonl", rows), "text": "t", "labels": {"hate": "h"}, "licence": "MIT"}
    found = corpus(encoder, s=entry | {"group": "g"})
    assert not found.left_out and (found.united >= 0).all()
    assert set(found.split) == set(NAMES)


def test_digests_of_several_files_follow_content_and_split() -> None:
    one, two = jsonl("1.jsonl", rows("a", 2)), jsonl("2.jsonl", rows("b", 2))
    first = content_digest(source({"any": one, "test": two}))
    assert content_digest(source({"test": two, "any": one})) == first, "the order of keys is no content"
    assert content_digest(source({"any": two, "test": one})) != first
    assert content_digest(source({"train": one, "test": two})) != first
    assert content_digest(source({"any": one, "test": jsonl("c.jsonl", rows("b", 2))})) == first
    assert content_digest(source({"any": one})) != content_digest(source(one))
    Path(two).write_text('{"t": "changed", "h": 1}\n')
    assert content_digest(source({"any": one, "test": two})) != first


def test_the_order_in_which_files_are_listed_is_no_part_of_what_is_read() -> None:
    one, two = jsonl("1.jsonl", rows("a", 2)), jsonl("2.jsonl", rows("b", 2))
    assert examples({"test": two, "any": one}) == examples({"any": one, "test": two})


def test_what_is_wrong_in_the_second_file_is_told_there() -> None:
    paths = {"any": jsonl("a.jsonl", rows("a", 2)), "test": jsonl("b.jsonl", [{"t": "", "h": 1}])}
    assert refusal(paths).startswith("b.jsonl:1: 1 row has no usable text")
    jsonl("b.jsonl", [{"t": "x", "y": 1}])
    assert refusal(paths).startswith('b.jsonl: labels.hate: no column "h"')
    Path("b.jsonl").unlink()
    assert refusal(paths).startswith("b.jsonl: no such file")


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"path": {"validation": "a.csv"}}, "'any', 'train', 'dev', 'calibration' or 'test'"),
        ({"path": {}}, "at least 1 item"),
        ({"path": {"any": ""}}, "at least 1 character"),
        ({"split": {"column": "s", "map": {"a": "train"}}, "path": {"any": "a"}}, "either split or a path"),
        ({"split": {"column": "s", "map": {"a": "validation"}}}, "'train', 'dev', 'calibration' or 'test'"),
        ({"split": {"column": "s", "map": {}}}, "at least 1 item"),
        ({"pair": ("a", "b"), "group": "g"}, "either group or pair"),
        ({"only": {"c": ()}}, "at least 1 item"),
        ({"only": {"t": ("a",)}}, "only reads the text column"),
        ({"turns": "conversation", "text": "t"}, "either text or turns"),
        ({"share": 0.5, "rows": 3}, "either share or rows"),
        ({"share": 1.5}, "less than or equal to 1"),
        ({"path": "https://me:secret@example.org/x.csv"}, "an address with a password"),
    ],
)
def test_what_cannot_be_meant(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        source(**({"path": "a.jsonl"} | fields))


# --- a split column -----------------------------------------------------------------------------------------


def test_a_split_column_says_where_a_row_goes() -> None:
    values = ["train", "val", "", None, 1, 1.0, "1.0", True, "TRUE"]
    path = jsonl("x.jsonl", [{"t": f"a {i}", "h": 1, "s": value} for i, value in enumerate(values)])
    said = {"train": "any", "val": "dev", "": "train", "1": "test", "true": "calibration"}
    found = examples(path, split={"column": "s", "map": said})
    expected = ["any", "dev", "train", "train", "test", "test", "test", "calibration", "calibration"]
    assert [e.split for e in found] == expected


def test_split_values_that_map_does_not_list_are_counted_once() -> None:
    values = ["train"] * 3 + ["valid"] * 40 + [""] * 2
    path = jsonl("x.jsonl", [{"t": f"a {i}", "h": 1, "s": value} for i, value in enumerate(values)])
    message = refusal(path, split={"column": "s", "map": {"train": "any", "test": "test"}})
    assert message.splitlines() == [
        'x.jsonl:4: split: column "s" has values that `map` does not list: "valid" (40 rows), empty (2 rows)',
        '    expected: one of "train", "test"',
        "    try: list them under split.map",
    ]
    secret = [{"t": "a", "h": 1, "s": f"someone's words {i}"} for i in range(100)]
    message = refusal(jsonl("y.jsonl", secret), split={"column": "s", "map": {"train": "any"}})
    assert "over 50 different ones" in message
    assert "someone" not in message
    message = refusal(
        jsonl("z.jsonl", [{"t": "a", "h": 1, "s": ["x"]}]), split={"column": "s", "map": {"x": "any"}}
    )
    assert "z.jsonl:1: id, group, split, slice or item: a list instead of one value" in message


def test_the_real_split_column(real_data: Path, encoder: Encoder) -> None:
    path = real_data / "edos" / "edos_labelled_aggregated.csv"
    with path.open(newline="", encoding="utf-8") as stream:
        told = {f"edos:{row['rewire_id']}": row["split"] for row in csv.DictReader(stream)}
    fields = {
        "text": "text",
        "id": "rewire_id",
        "split": {"column": "split", "map": {"train": "any", "dev": "dev", "test": "test"}},
        "labels": {"hate": {"column": "label_sexist", "map": {"sexist": 1, "not sexist": 0}}},
    }
    claims = {e.id: e.split for e in read("edos", source(path, **fields))}
    assert Counter(claims.values()) == {"any": 14_000, "dev": 2_000, "test": 4_000}
    assert all(claims[id] == {"train": "any"}.get(split, split) for id, split in told.items())


# --- only ---------------------------------------------------------------------------------------------------


def test_only_takes_some_rows_and_counts_the_others() -> None:
    table = [
        ("a", 1, True),
        ("b", 1.0, True),
        ("a", "1", "True"),
        ("a", 2, True),
        (None, 1, True),
        ("a", 1, [1]),
    ]
    path = jsonl(
        "x.jsonl", [{"t": f"r{i}", "h": 1, "c": c, "n": n, "b": b} for i, (c, n, b) in enumerate(table)]
    )
    reading = read("s", source(path, only={"c": ("a",), "n": ("1",), "b": ("true",)}))
    assert [e.id for e in reading] == ["s:0", "s:2"], "ids stay the rows' numbers in the file"
    assert (reading.rows, reading.dropped) == (6, 4)
    assert reading.left_out == {"not among `only`": 4}
    assert [e.id for e in examples(path, only={"c": ("", "b")})] == ["s:1", "s:4"]


def test_only_judges_nothing_that_it_leaves_out() -> None:
    path = jsonl("x.jsonl", [{"t": "a", "h": 1, "c": "x"}, {"t": "", "h": "oops", "c": "y"}])
    assert len(examples(path, only={"c": ("x",)})) == 1


def test_only_with_a_value_that_no_row_has_is_a_finding() -> None:
    path = jsonl("x.jsonl", [{"t": f"a {i}", "h": 1, "c": "Offending User"} for i in range(3)])
    message = refusal(path, only={"c": ("Offending User", "Risk Ignorence")})
    assert message.startswith('x.jsonl: only: no row has "Risk Ignorence" in "c"')
    rows = [{"t": "a", "h": 1, "c": "x", "d": "y"}, {"t": "b", "h": 1, "c": "w", "d": "z"}]
    both = jsonl("y.jsonl", rows)
    assert len(examples(both, only={"c": ("x",), "d": ("y", "z")})) == 1, "z is there, in a row left out"
    message = refusal(path, only={"c": ("offending user",)})
    assert message.startswith("x.jsonl: no usable row among 3: 3 not among `only`")
    assert 'only: no column "d"' in refusal(path, only={"d": ("x",)})


def test_only_on_the_real_dialogues(real_data: Path) -> None:
    path = real_data / "diasafety" / "test.json"
    taken = [row for row in json.loads(path.read_text()) if row["category"] == "Offending User"]
    fields = {
        "turns": [{"speaker": "user", "text": "context"}, {"speaker": "bot", "text": "response"}],
        "only": {"category": ("Offending User",)},
        "labels": {"harassment": {"column": "label", "map": {"Unsafe": 1, "Safe": 0}}},
    }
    found = examples(path, **fields)
    assert len(found) == len(taken) > 100
    assert [e.labels["harassment"] for e in found] == [float(row["label"] == "Unsafe") for row in taken]
    for example, row in zip(found, taken, strict=True):
        assert example.text == f"user: {row['context'].strip()}\x1ebot: {row['response'].strip()}"


# --- pairs --------------------------------------------------------------------------------------------------


def groups(*pairs: tuple[Any, Any]) -> list[str]:
    path = jsonl("p.jsonl", [{"t": f"a {i}", "h": 1, "k": k, "m": m} for i, (k, m) in enumerate(pairs)])
    return [e.group for e in examples(path, pair=("k", "m"))]


def test_a_pair_is_a_group() -> None:
    found = groups((1, 2), (2.0, "1"), ("a", "b"), ("c", None), ("b", "a"), (None, None))
    assert found[:5] == ["s:1|2", "s:1|2", "s:a|b", "s:c", "s:a|b"]
    assert found[5].startswith("text:")


def test_contrasts_of_one_row_are_one_group_whoever_names_whom() -> None:
    """An original with several perturbations: only they name it, and it names one of them, or none."""
    star = groups(("o", None), ("p1", "o"), ("p2", "o"), ("p3", "o"), ("x", None))
    assert len(set(star[:4])) == 1 and star[4] != star[0]
    chain = groups(("a", "b"), ("b", "c"), ("c", "d"), ("e", "d"), ("f", "g"))
    assert len(set(chain[:4])) == 1 and chain[4] != chain[0]
    absent = groups(("a", "z"), ("b", "z"))
    assert absent[0] == absent[1], "also through a row that is not in the file"


def test_pairs_that_are_no_keys_are_findings() -> None:
    path = jsonl("x.jsonl", [{"t": "a", "h": 1, "k": [1], "m": 2}, {"t": "b", "h": 1, "k": 2, "m": 1}])
    assert "x.jsonl:1: id, group, split, slice or item: a list" in refusal(path, pair=("k", "m"))
    assert 'pair: no column "n"' in refusal(path, pair=("k", "n"))


def test_real_contrasts_stay_together_over_files(real_data: Path, encoder: Encoder) -> None:
    folder = real_data / "hatemoji-build"
    names = {"any": "train", "dev": "validation", "test": "test"}
    entry = {
        "path": {claim: str(folder / f"{name}.csv") for claim, name in names.items()},
        "text": "text",
        "pair": ("entry_id", "matched_id"),
        "labels": {"hate": "label_gold"},
        "licence": "CC BY 4.0",
    }
    found = corpus(encoder, s=entry)
    key: dict[str, tuple[str, str]] = {}
    for claim, name in names.items():
        with (folder / f"{name}.csv").open(newline="", encoding="utf-8") as stream:
            for number, row in enumerate(csv.DictReader(stream)):
                key[f"s:{claim}/{number}"] = (row["entry_id"], row["matched_id"])
    ids = found.table.column("id").to_pylist()
    assert set(ids) == set(key) and len(ids) == 5_912
    split = {key[id][0]: where for id, where in zip(ids, found.splits(), strict=True)}
    claimed = {key[id][0]: id.split(":")[1].split("/")[0] for id in ids}
    for own, contrast in key.values():
        if None not in (split[own], split[contrast]):
            assert split[own] == split[contrast]
    assert {own for own, where in split.items() if where == "test"} == {
        own for own, claim in claimed.items() if claim == "test"
    }, "our test is everybody's test"
    assert {claimed[own] for own, where in split.items() if where == "dev"} == {"dev"}
    assert {claimed[own] for own, where in split.items() if where in ("train", "calibration")} == {"any"}
    of_dev = {own for own in claimed if claimed[own] == "dev" and split[own] is None}
    assert len(of_dev) == 64, "their contrast is in the test"
    assert found.left_out == {
        "s": {"tied to dev by group or text": 463, "tied to test by group or text": 463 + 64}
    }
