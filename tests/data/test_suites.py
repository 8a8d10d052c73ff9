"""The shipped suites are what their README says: pairs in one split, enough cases, nothing of the seed."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from train.data import grammar
from train.policy import Policy
from train.suites.overlap import near_duplicates

RECIPES = Path(__file__).parents[2] / "recipes"
SUITES = RECIPES / "suites"
FRAMES = sorted(SUITES.glob("identity/*.jsonl"))
BENIGN = sorted(SUITES.glob("benign-teen/*.jsonl"))
FILES = sorted({*SUITES.glob("*/*.jsonl")} - {*FRAMES})
PAIRED = sorted({*FILES} - {*BENIGN})
KINDS = {
    *("help_seeking", "recovery", "education", "news", "counterspeech", "identity", "dating_and_friendship"),
    *("family", "school", "sport_and_games", "music_and_fandom", "humour", "venting", "body_and_health"),
    *("faith", "work_and_money", "ai_use", "everyday"),
}
SURFACES = {"message", "comment", "caption", "search", "chat"}


def cases(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def wording(case: dict[str, Any]) -> str:
    texts = [turn["text"] for turn in case["turns"]] if "turns" in case else [case["text"]]
    return " ".join(" ".join(texts).casefold().split())


@pytest.fixture(scope="module")
def labels() -> set[str]:
    policy = YAML(typ="safe").load((RECIPES / "policies" / "teen-safety.yaml").read_text(encoding="utf-8"))
    return set(Policy.model_validate(policy).labels) - {"minor_sexual_exploitation"}


@pytest.fixture(scope="module")
def functionalities() -> dict[str, Any]:
    found = YAML(typ="safe").load((SUITES / "functionalities.yaml").read_text(encoding="utf-8"))
    assert all(set(said) == {"tests", "expect"} for said in found.values())
    return dict(found)


@pytest.mark.parametrize("path", PAIRED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_file_keeps_the_format(path: Path, labels: set[str], functionalities: dict[str, Any]) -> None:
    common = {"id", "functionality", "pair", "split", "lang", "surface"}
    of_kind = {"conversations": common | {"onset", "turns"}, "functional": common | {"text"}}
    by_pair, by_functionality = defaultdict(list), Counter()
    for case in cases(path):
        known = {key: cell for key, cell in case.items() if key in labels}
        assert case.keys() - known.keys() == of_kind[path.parent.name], case["id"]
        assert known and set(known.values()) <= {0, 1}, case["id"]
        assert case["lang"] == path.stem and case["surface"] in SURFACES and case["split"] in ("dev", "test")
        by_pair[case["pair"]].append((case["functionality"], case["split"], known))
        by_functionality[case["functionality"]] += 1
        if "turns" in case:
            assert case["onset"] is None if not case["grooming"] else 1 <= case["onset"] <= len(case["turns"])
    for pair, members in by_pair.items():
        (functionality,) = {functionality for functionality, _, _ in members}
        assert len({split for _, split, _ in members}) == 1, pair
        if functionalities[functionality]["expect"] == "pairs":
            label = functionality.partition(".")[0]
            label = "grooming" if label == "conversation" else label
            assert sorted(known[label] for _, _, known in members) == [0, 1], pair
        else:
            assert all(1 not in known.values() for _, _, known in members), pair
    assert all(count >= 12 for count in by_functionality.values()), by_functionality


@pytest.mark.parametrize("path", BENIGN, ids=lambda path: path.stem)
def test_texts_that_nobody_should_block(path: Path) -> None:
    found = cases(path)
    for number, case in enumerate(found, 1):
        assert case.keys() == {"id", "idea", "kind", "lang", "surface", "split", "text"}, case["id"]
        assert case["id"] == f"benign-teen-{path.stem}-{number:03d}"
        assert case["lang"] == path.stem and case["surface"] in SURFACES
    parts = Counter(case["split"] for case in found)
    least = {"test": 520, "dev": 260} if path.stem == "en" else {"test": 60, "dev": 60}
    assert parts.keys() == least.keys() and all(parts[part] >= least[part] for part in least), parts
    assert {case["kind"] for case in found} == KINDS


def test_benign_texts_vary_no_frame_and_ideas_stay_in_one_part() -> None:
    """Bounds take these texts as independent, so none may be a variant of another."""
    every = [case for path in BENIGN for case in cases(path)]
    part = defaultdict(set)
    for case in every:
        part[case["idea"]].add(case["split"])
    assert all(len(found) == 1 for found in part.values())
    assert len({(case["idea"], case["lang"]) for case in every}) == len(every)
    said = [case["text"] for case in every]
    assert len(near_duplicates(said, said, 0.4).train) == len(every)  # each is near to itself alone


@pytest.mark.parametrize("path", FRAMES, ids=lambda path: path.stem)
def test_the_rows_of_a_frame_differ_in_the_group_alone(path: Path) -> None:
    keys = {"id", "frame", "term", "kind", "split", "lang", "surface", "text", "hate"}
    by_frame = defaultdict(list)
    for case in cases(path):
        assert case.keys() - {"harassment"} == keys and case["surface"] in SURFACES, case["id"]
        assert case["lang"] == path.stem and case["id"] == f"{case['frame']}-{case['term']}"
        # an attack on a group says nothing of harassment of a person; a warm sentence rules out both
        assert case.get("harassment") == (None if case["hate"] else 0), case["id"]
        by_frame[case["frame"]].append(case)
    kinds = {case["term"]: case["kind"] for members in by_frame.values() for case in members}
    assert len(kinds) == 15 and len(set(kinds.values())) == 6
    for members in by_frame.values():
        assert len({(case["split"], case["surface"], case["hate"]) for case in members}) == 1
        terms = [case["term"] for case in members]
        assert sorted(terms) == sorted(kinds.keys() - ({"older"} if members[0]["hate"] else set()))
    splits = Counter((members[0]["hate"], members[0]["split"]) for members in by_frame.values())
    assert len(splits) == 4  # both kinds of frames, in both parts


def test_nothing_stands_twice_or_in_the_seed_corpus(functionalities: dict[str, Any]) -> None:
    every = [case for path in (*FILES, *FRAMES) for case in cases(path)]
    assert len({case["id"] for case in every}) == len(every)
    assert len({wording(case) for case in every}) == len(every)
    assert {case["functionality"] for case in every if "functionality" in case} == set(functionalities)
    folders = [folder for folder in (RECIPES / "seed").iterdir() if folder.is_dir()]
    seed = {" ".join(row["text"].casefold().split()) for f in folders for _, row in grammar.rows(f)}
    assert len(seed) > 9000
    assert not seed & {wording(case) for case in every}
    assert not len(near_duplicates(sorted(seed), [wording(case) for case in every]).train)
