"""Weaknesses planted in the seed corpus, in a run that really trains: `gaps` finds each, with its cause, and
finds none of them in the same run without them.

A label is known only of the texts of its own files, harmful and allowed, as real sources are about one
thing. Training lacks what was taken from it, the held-out texts keep it. What is done to a source is done to
all its splits, as it is in life.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPOSITORY
from tests.gaps.conftest import policy_of
from train.data import grammar
from train.gaps.finding import Found, find, read

FEW, FORGOTTEN, NOISY, SHORT = "regulated_goods", "hate", "privacy_minor", "harassment"
LABELS = (FEW, FORGOTTEN, NOISY, SHORT)
SPLITS = {"train": 0.46, "dev": 0.18, "calibration": 0.18, "test": 0.18}
WORD = "zqx"


@dataclass(frozen=True)
class Trained:
    """flipped: ids of the rows of source b whose label was turned."""

    folder: Path
    found: Found
    flipped: frozenset[str]

    def at(self, label: str, slice: str | None) -> list[dict[str, Any]]:
        """The gaps of a label in a place, worst first."""
        return [gap for gap in self.found.gaps if (gap["label"], gap["slice"]) == (label, slice)]


def _rows(folder: Path) -> Iterator[tuple[str, str, str, bool]]:
    """(language, label, text, positive) of the files of LABELS, eight texts a template."""
    for lang in ("de", "en", "es"):
        file_of = {}
        for path in sorted((REPOSITORY / "recipes" / "seed" / lang).glob("*.yaml")):
            content = path.read_text(encoding="utf-8")
            more = re.sub(r"^per_template: \d+", "per_template: 8", content, flags=re.MULTILINE)
            (folder / lang).mkdir(exist_ok=True)
            (folder / lang / path.name).write_text(more, encoding="utf-8")
            file_of |= dict.fromkeys(re.findall(r"\bid: ([^,]+),", content), path.stem)
        for _, row in grammar.rows(folder / lang):
            label = file_of[row["template"]]
            if label in LABELS and row[label] is not None:
                yield lang, label, row["text"], row[label] == 1


def _write(folder: Path, base: Path, planted: bool) -> tuple[Path, frozenset[str]]:
    """The recipe, and the ids of the rows that were flipped."""
    dice, flipped, few = random.Random(0), set(), 0
    rows = list(_rows(folder))
    dice.shuffle(rows)
    sources: dict[str, list[dict[str, Any]]] = {"a": [], "b": [], "c": []}
    for lang, label, text, positive in rows:
        name = dice.choice("abc")
        (split,) = dice.choices([*SPLITS], [*SPLITS.values()])
        flip, words = dice.random() < 0.2, text.split()
        words.insert(dice.randint(0, len(words)), WORD)
        cell = positive
        if planted:
            if split == "train" and lang == "es":
                continue
            if split == "train" and label == FEW and positive:
                few += 1
                if few > 10:
                    continue
            if name == "b" and label == NOISY and flip:
                cell = not positive
                flipped.add(f"b:{len(sources['b'])}")
            if name == "c" and label == SHORT and positive:
                text = " ".join(words)
        row = {"text": text, "lang": lang, "split": split}
        sources[name].append(row | dict.fromkeys(LABELS) | {label: float(cell)})
    for name, content in sources.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in content))
    policy = policy_of(LABELS).model_dump_json(by_alias=True, exclude_none=True)
    (folder / "policy.yaml").write_text(policy)
    said = {
        name: {
            "path": f"{name}.jsonl",
            "text": "text",
            "labels": {label: label for label in LABELS},
            "slices": {"lang": {"column": "lang"}},
            "split": {"column": "split", "map": {split: split for split in SPLITS}},
            "licence": "Apache-2.0",
            "synthetic": True,
        }
        for name in sources
    }
    recipe = folder / "recipe.yaml"
    recipe.write_text(
        f"""
schema: 1
name: {"planted" if planted else "clean"}
policy: policy.yaml
model: {{base: {base}, max_length: {{tokens: 40}}}}
adapter: {{kind: full}}
data: {{sources: {json.dumps(said)}}}
train: {{global_batch: 32, epochs: 6, lr: 2e-3, precision: fp32}}
evaluate: {{every: 6 epochs, select: {{metric: dev.synthetic/macro/auprc}}}}
track: {{wandb: disabled}}
"""
    )
    return recipe, frozenset(flipped)


def _trained(folder: Path, base: Path, planted: bool) -> Trained:
    from train.__main__ import train
    from train.recipe import load

    recipe, flipped = _write(folder, base, planted)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEENSAFE_RUNS", str(folder / "runs"))
        run = Path(train(load(recipe))["run"])
    return Trained(run, find(str(run)), flipped)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> Trained:
    return _trained(tmp_path_factory.mktemp("planted"), tiny_base, planted=True)


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory, tiny_base: Path) -> Trained:
    return _trained(tmp_path_factory.mktemp("clean"), tiny_base, planted=False)


pytestmark = pytest.mark.slow


@pytest.mark.parametrize("label", [FORGOTTEN, SHORT])
def test_a_language_removed_from_training_is_missing(planted: Trained, label: str) -> None:
    gap = planted.at(label, "lang=es")[0]
    assert (gap["cause"], gap["metric"]) == ("missing_language", "recall")
    assert gap["ci"][1] < gap["target"]
    assert (gap["action"]["kind"], gap["action"]["where"]["lang"]) == ("collect", "es")


def test_a_label_cut_to_ten_positives_has_too_few(planted: Trained) -> None:
    gap = planted.at(FEW, None)[0]
    assert (gap["cause"], gap["metric"], gap["evidence"][0]["value"]) == ("too_few_positives", "recall", 10)
    assert (gap["action"]["kind"], gap["action"]["rows"]) == ("collect", 49)


def test_flipped_labels_of_a_source_are_noise(planted: Trained) -> None:
    gap = planted.at(NOISY, "source=b")[0]
    assert (gap["cause"], gap["action"]["kind"]) == ("label_noise", "relabel")
    assert 0.1 < gap["value"] < 0.35
    right = [id in planted.flipped for id in gap["examples"]]
    assert len(right) == 20 and sum(right) > 8  # chance gives four
    for source in "ac":
        assert not any(gap["cause"] == "label_noise" for gap in planted.at(NOISY, f"source={source}"))


def test_a_word_that_gives_a_label_away_is_a_shortcut(planted: Trained) -> None:
    gap = planted.at(SHORT, "source=c")[0]
    assert (gap["cause"], gap["action"]["kind"]) == ("shortcut", "augment")
    assert gap["action"]["where"] == {"label": SHORT, "source": "c", "word": WORD}
    assert gap["ci"][0] > gap["target"]


def test_without_them_none_is_found(clean: Trained) -> None:
    planted = {"missing_language", "too_few_positives", "label_noise", "shortcut"}
    assert not planted & {gap["cause"] for gap in clean.found.gaps}


def test_the_run_keeps_what_was_found(planted: Trained) -> None:
    assert read(planted.folder) == planted.found
    harms = [gap["harm"] for gap in planted.found.gaps]
    assert harms == sorted(harms, reverse=True)
