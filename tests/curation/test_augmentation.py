"""Rows made again: from training rows alone, all but the words their parents', by seed and id."""

from __future__ import annotations

import json
import pickle
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from ruamel.yaml import YAML

from tests.conftest import ESCALATED, POLICY
from tests.curation.curations import CURATION, written
from train.curation.augmentation import Augment, augment, disguised
from train.curation.build import build
from train.curation.clean import Clean, clean
from train.curation.curation import load
from train.curation.delivery import LEFT_OUT
from train.data.values import collapsed
from train.example import TURN
from train.policy import Policy
from train.suites.algospeak import lexicon
from train.suites.perturbations import SINGLE, STACKED, perturb
from train.terminal import Terminal

TOY = Policy.model_validate(YAML(typ="safe").load(POLICY + ESCALATED))
ALL = Augment(kinds=dict.fromkeys(Augment().kinds, 1.0))
CODED = next(entry.plain[0] for entry in lexicon().entries if entry.lang == "en" and not entry.held_out)
WORDS = ("nobody", "should", "be", "called", "a", "stupid", "clown", "when", "people", "talk", "about", CODED)
SAME = ("source", "group", "licence", "claim", "split", "cluster", "language", "language_confidence")
CELLS = ("label.hate", "label.grooming", "slice.lang", "by.hate", "stated_age")

texts = st.lists(
    st.sampled_from([*WORDS, "[NAME]", "[AGE_13_15]", "안녕하세요", "ok", "\0"]), min_size=1, max_size=9
)
cells = st.sampled_from([None, 0.0, 0.3, 1.0])
rows = st.builds(
    lambda words, turns, **said: (
        said | {"text": TURN.join(f"a b c: {' '.join(words)}" for _ in range(turns))}
    ),
    texts,
    turns=st.integers(1, 3),
    split=st.sampled_from(["train", "train", "dev", "calibration", "test", None]),
    parent=st.sampled_from([None, None, None, "s:other"]),
    synthetic=st.booleans(),
    group=st.sampled_from("xyz"),
    **{"label.hate": cells, "label.grooming": cells, "by.hate": st.sampled_from([None, "people"])},  # type: ignore[arg-type]
)


def test_no_made_row_reads_like_what_models_are_judged_by(tmp_path: Path) -> None:
    """A suite, or a held-out row, may be in just the disguise that a training row is given."""
    path, to = written(tmp_path / "in"), tmp_path / "to"

    def made(version: str, more: str = "") -> dict[str, str]:
        path.write_text(CURATION.replace("version: 1.0.0", f"version: {version}") + more)
        delivery = build(load(path), to, Terminal(speaks=False)).delivery
        assert delivery
        rows = pq.read_table(delivery / "data/forum-augmented/train.parquet").to_pylist()
        return {row["id"]: row["text"] for row in rows}

    before = made("1.0.0")
    texts = [*before.values()]
    suite = [json.dumps({"n": i, "t": text, "split": "test"}) + "\n" for i, text in enumerate(texts[:5])]
    (tmp_path / "in/suite.jsonl").write_text("".join(suite))
    (tmp_path / "in/suite.yaml").write_text(
        "schema: 1\nname: disguised\nabout: made up\nsources:\n  en: {path: suite.jsonl, text: t, id: n,"
        " licence: MIT, all_negative: true, split: {column: split, map: {test: test}}}\n"
    )
    assert not {*made("1.1.0", "suites: [suite.yaml]\nprevious: none\n").values()} & {*texts[:5]}
    with (tmp_path / "in/forum.jsonl").open("a") as stream:
        for i, text in enumerate(text for id, text in before.items() if id.endswith("typos")):
            stream.write(json.dumps({"n": 9000 + i, "t": text, "h": 1, "author": f"z{i}"}) + "\n")
    after = made("1.2.0", "previous: none\n")
    others = {
        row["text"]
        for split in ("dev", "calibration", "test")
        for row in pq.read_table(to / f"toy@1.2.0/data/forum/{split}.parquet").to_pylist()
    }
    assert {*texts} & others and not {*after.values()} & others
    assert (
        "near a text that is held out" in pq.read_table(to / "toy@1.2.0" / LEFT_OUT)["left_out"].to_pylist()
    )


def table(said: list[dict[str, Any]], start: int = 0) -> pa.Table:
    strings = ("id", "source", "group", "licence", "claim", "split", "cluster", "parent", "language", "text")
    schema = pa.schema(
        [
            *(
                (name, pa.string())
                for name in (*strings, "slice.lang", "by.hate", "stated_age", "duplicate_of")
            ),
            *(
                (name, pa.float32())
                for name in ("label.hate", "label.grooming", "language_confidence", "quality.hate")
            ),
            *((name, pa.bool_()) for name in ("synthetic", "suspect.hate")),
            (
                "personal",
                pa.list_(pa.struct([("kind", pa.string()), ("start", pa.int32()), ("end", pa.int32())])),
            ),
        ]
    )
    given = {
        "source": "s",
        "group": "g",
        "licence": "MIT",
        "claim": "any",
        "split": "train",
        "cluster": "s:0",
        "language": "en",
        "language_confidence": 0.9,
        "slice.lang": "en",
        "stated_age": "13-15",
        "synthetic": False,
        "suspect.hate": True,
        "quality.hate": 0.1,
        "duplicate_of": "s:9",
        "personal": [{"kind": "name", "start": 0, "end": 6}],
    }
    made = [given | {"id": f"s:{start + i}"} | row for i, row in enumerate(said)]
    return clean(pa.Table.from_pylist(made, schema=schema), Clean())[0]


def made(given: pa.Table, spec: Augment = ALL, policy: Policy = TOY) -> list[dict[str, Any]]:
    return augment(given, spec, policy, Clean())[0].to_pylist()


def test_a_made_row_is_its_parent_but_for_the_words() -> None:
    text = " ".join(WORDS)
    given = table([{"text": text, "label.hate": 0.7, "by.hate": "people"}])
    (parent,) = given.to_pylist()
    found, counts = augment(given, ALL, TOY, Clean())
    assert found.schema.equals(given.schema)
    assert counts == {f"made.{kind}": 1 for kind in sorted(ALL.kinds)}
    assert found.column("id").to_pylist() == [f"s:0~{kind}" for kind in sorted(ALL.kinds)]
    for row, kind in zip(found.to_pylist(), sorted(ALL.kinds), strict=True):
        assert row["text"] == perturb(text, kind, seed=1, key="s:0", held_out=False)
        assert (row["parent"], row["synthetic"]) == ("s:0", True)
        assert all(row[name] == parent[name] for name in (*SAME, *CELLS))
        assert all(row[name] is None for name in ("personal", "suspect.hate", "quality.hate", "duplicate_of"))
        copy, _ = clean(pa.table({"text": [row["text"]]}), Clean())
        assert {name: row[name] for name in copy.column_names} == copy.to_pylist()[0]


@given(
    st.lists(rows, max_size=8), st.sampled_from([ALL, Augment(kinds=dict.fromkeys(ALL.kinds, 0.4), seed=3)])
)
def test_parents_are_training_rows_alone(said: list[dict[str, Any]], spec: Augment) -> None:
    """Never a row of another split or of none, one that was made itself, or one that a tier-3 label may hold
    for; and what is made never leaves its parent's split and group, nor loses a turn."""
    given = table(said)
    parents = {row["id"]: row for row in given.to_pylist()}
    found = made(given, spec)
    assert len({row["id"] for row in found}) == len(found)
    for row in found:
        parent = parents[row["parent"]]
        assert parent["split"] == row["split"] == "train"
        assert parent["parent"] is None
        assert not parent["label.grooming"]
        assert row["synthetic"]
        assert all(row[name] == parent[name] for name in (*SAME, *CELLS))
        assert collapsed(row["text"]) != collapsed(parent["text"])
        assert row["text"].count(TURN) == parent["text"].count(TURN)
        if TURN in parent["text"]:
            assert [turn[:7] for turn in row["text"].split(TURN)] == ["a b c: "] * (
                row["text"].count(TURN) + 1
            )
        for placeholder in ("[NAME]", "[AGE_13_15]", "\0"):
            assert row["text"].count(placeholder) == parent["text"].count(placeholder)


@given(st.lists(rows, max_size=8), st.integers(0, 8))
def test_where_shards_begin_decides_nothing(said: list[dict[str, Any]], at: int) -> None:
    spec = Augment(kinds=dict.fromkeys(ALL.kinds, 0.5))
    parts = [table(said[:at]), table(said[at:], start=len(said[:at]))]
    assert made(table(said), spec) == [row for part in parts for row in made(part, spec)]


@given(st.lists(rows, max_size=8), st.randoms(use_true_random=False))
def test_other_rows_and_kinds_move_none(said: list[dict[str, Any]], draw: Any) -> None:
    given = table(said)
    whole = {row["id"]: row for row in made(given, Augment(kinds=dict.fromkeys(ALL.kinds, 0.5)))}
    some = [i for i in range(len(given)) if draw.random() < 0.5]
    part = made(given.take(pa.array(some, pa.int64())), Augment(kinds={"typos": 0.5, "leetspeak": 0.3}))
    assert all(whole[row["id"]] == row for row in part), "a smaller share makes some of the same rows"


def test_a_share_is_one_of_the_rows_and_the_seed_says_which() -> None:
    given = table([{"text": " ".join(WORDS)}] * 2000)
    drawn = [
        {row["parent"] for row in made(given, Augment(kinds={"leetspeak": 0.1}, seed=s))} for s in (1, 2)
    ]
    assert all(150 < len(ids) < 250 for ids in drawn)
    assert len(drawn[0] & drawn[1]) < 50
    both = made(given, Augment(kinds={"leetspeak": 0.1, "typos": 0.1}))
    assert len({row["parent"] for row in both}) > 300, "each kind draws its own"


def test_what_changes_nothing_is_not_made() -> None:
    found, counts = augment(table([{"text": "안녕하세요 여러분"}]), ALL, TOY, Clean())
    assert {row["id"].partition("~")[2] for row in found.to_pylist()} <= {
        "spacing",
        "zero_width",
        "repeated",
        "typos",
    }
    assert counts["unchanged.leetspeak"] == counts["unchanged.emoji"] == counts["unchanged.homoglyphs"] == 1


def test_coded_words_kept_for_tests_are_never_in_training() -> None:
    kept = {word for entry in lexicon().entries if entry.held_out for word in entry.coded}
    known = {word for entry in lexicon().entries if not entry.held_out for word in entry.coded}
    plain = [word for entry in lexicon().entries for word in entry.plain]
    spec = Augment(kinds={"algospeak": 1})
    for seed in range(20):
        rows = made(
            table([{"text": f"about {word} again"} for word in plain]), spec.model_copy(update={"seed": seed})
        )
        said = {row["text"].removeprefix("about ").removesuffix(" again").lower() for row in rows}
        assert said
        assert not said & (kept - known)


@pytest.mark.parametrize(("cell", "parents"), [(None, 1), (0.0, 1), (0.01, 0), (1.0, 0)])
def test_what_is_escalated_is_made_again_only_if_asked(cell: float | None, parents: int) -> None:
    given = table([{"text": " ".join(WORDS), "label.grooming": cell}])
    assert len({row["parent"] for row in made(given)}) == parents
    assert len({row["parent"] for row in made(given, ALL.model_copy(update={"escalated": True}))}) == 1


@pytest.mark.parametrize("kind", [*Augment().kinds, *STACKED])
def test_speakers_and_placeholders_stay(kind: str) -> None:
    text = f"big bad wolf: [NAME] said people suicide{TURN}the other one: [EMAIL] \0 stupid clown [AGE_16_17]"
    for key in range(20):
        said = disguised(text, kind, 1, str(key))
        assert [turn.partition(": ")[0] for turn in said.split(TURN)] == ["big bad wolf", "the other one"]
        assert all(said.count(kept) == 1 for kept in ("[NAME]", "[EMAIL]", "[AGE_16_17]", "\0"))


def test_an_empty_shard_and_another_process() -> None:
    assert augment(table([]), ALL, TOY, Clean())[0].equals(table([]))
    work = pickle.loads(pickle.dumps(partial(augment, policy=TOY, cleaning=Clean())))  # noqa: S301 - ours
    given = table([{"text": " ".join(WORDS)}])
    assert work(given, ALL)[0].equals(augment(given, ALL, TOY, Clean())[0])


def test_kinds_of_use() -> None:
    assert {*Augment().kinds} == {*SINGLE} - {"case", "algospeak_held_out"}
    Augment(kinds=dict.fromkeys(STACKED, 0.1))
    for kind in ("case", "algospeak_held_out", "leetspeak+case", "rot13", "leetspeak+"):
        with pytest.raises(ValidationError, match="is none of leetspeak, spacing"):
            Augment(kinds={kind: 0.1})
    for wrong in ({}, {"typos": 0}, {"typos": 1.1}):
        with pytest.raises(ValidationError):
            Augment(kinds=wrong)
