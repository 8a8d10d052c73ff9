"""What a mixture would teach beside its labels: told where it is so, and nowhere else."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from transformers import AutoTokenizer

from tests.conftest import REPOSITORY
from tests.sources import corpus, jsonl
from train.data.corpus import Corpus
from train.data.encoding import Encoder, Encoding, MaxLength
from train.data.hazards import one_sided, sides, source_alone, unknown_emoji, unknown_tokens, warnings
from train.data.mixture import Mixture
from train.data.plan import counts, unknown_shown
from train.lock import resolve
from train.planning import plan
from train.recipe import load


def entry(path: Path, rows: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {"path": jsonl(path, rows), "text": "t", "labels": {"hate": "h"}, "licence": "MIT"} | more


def even(found: Corpus, **quota: int) -> Mixture:
    """Every training row once, but for sources with a quota."""
    source = found.source[found.rows("train")]
    positions = {name: np.flatnonzero(source == name) for name in dict.fromkeys(source)}
    full = {name: len(rows) for name, rows in positions.items()} | quota
    return Mixture(positions, full, full, 0)


def told(found: Corpus, **quota: int) -> list[str]:
    sided = sides(found, even(found, **quota))
    return list(warnings(found, sided, unknown_tokens(found), unknown_emoji(found)))


# --- sources with one side only -----------------------------------------------------------------------------


def of(**said: tuple[int, int]) -> Corpus:
    """A corpus of training rows: so many (positive, negative) of each source, and some that say neither."""
    neither = [np.nan, 0.5] * 40
    cells = {name: [1.0] * plus + [0.0] * minus + neither for name, (plus, minus) in said.items()}
    source = np.array([name for name, values in cells.items() for _ in values], dtype=object)
    target = np.concatenate([*cells.values()])[:, None].astype(np.float32)
    nothing: Any = None
    return Corpus(
        labels=("hate",),
        table=nothing,
        row=np.arange(len(source)),
        targets=target,
        split=np.array(["train"] * len(source), dtype=object),
        source=source,
        synthetic=np.zeros(len(source), dtype=bool),
        tokens=nothing,
        offsets=nothing,
        encoder=nothing,
        left_out={},
        said=target,
        of=source,
        united=np.arange(len(source)),
        aside=np.zeros(len(source), dtype=np.int8),
        untrained={},
        contradictions={},
    )


def lines(found: Corpus, **quota: int) -> list[str]:
    return list(warnings(found, sides(found, even(found, **quota)), {}, (0.0, 0)))


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ({"a": (100, 0), "b": (100, 500)}, [("a", "positives", 100, 0, 0.5)]),
        ({"a": (198, 2), "b": (100, 500)}, []),  # exactly 99%: not above it
        ({"a": (201, 2), "b": (99, 500)}, [("a", "positives", 201, 2, 0.67)]),
        ({"a": (29, 0), "b": (100, 500)}, []),  # too few to be suspected
        ({"a": (30, 0), "b": (100, 500)}, [("a", "positives", 30, 0, 30 / 130)]),
        ({"a": (30, 0), "b": (271, 500)}, []),  # under a tenth of the positives
        ({"a": (30, 0), "b": (270, 500)}, [("a", "positives", 30, 0, 0.1)]),
        ({"a": (0, 500), "b": (100, 400)}, [("a", "negatives", 0, 500, 500 / 900)]),
        ({"a": (0, 500), "b": (100, 501)}, []),  # under half of the negatives: contrast for others
        ({"a": (500, 0)}, []),  # the only source: there is no other to be told from
        ({"a": (500, 0), "b": (0, 500)}, [("a", "positives", 500, 0, 1.0), ("b", "negatives", 0, 500, 1.0)]),
        ({"a": (90, 10), "b": (10, 90)}, []),
        ({"a": (0, 0), "b": (10, 90)}, []),
    ],
)  # fmt: skip
def test_one_sided_sources(said: dict[str, tuple[int, int]], found: list[tuple[Any, ...]]) -> None:
    corpus = of(**said)
    cases = list(one_sided(sides(corpus, even(corpus))["hate"]))
    assert [(side.source, only, side.positives, side.negatives) for side, only, _ in cases] == [
        f[:4] for f in found
    ]
    assert [share for _, _, share in cases] == pytest.approx([f[4] for f in found])


def test_only_training_rows_count() -> None:
    found = of(a=(100, 0), b=(100, 500))
    found.split[found.source == "a"] = "test"
    assert [side.source for side in sides(found, even(found))["hate"]] == ["b"]


def test_what_a_source_brings_is_what_an_epoch_shows_of_it() -> None:
    """39 positives are nothing beside 1,000, unless they fill the epoch."""
    found = of(a=(39, 0), b=(500, 480))
    assert lines(found) == []
    quota = 4 * 1060  # 80% of an epoch; of 119 rows of `a`, 39 are positive and 40 are half
    (line,) = lines(found, a=quota)
    assert line.startswith(
        "hate: a brings 74% of the positives seen (39 positive, 0 negative cells), next to"
    )
    seen = 39 * quota / 119
    assert one(found, a=quota) == pytest.approx((seen + 500 / 2) / (seen + 500))


def one(found: Corpus, **quota: int) -> float | None:
    return source_alone(sides(found, even(found, **quota))["hate"])


def test_sources_that_tell_the_label_without_being_pure() -> None:
    found = of(a=(1960, 40), b=(40, 1960))
    assert one(found) == pytest.approx(0.98)
    (line,) = lines(found)
    assert line.startswith(
        "hate: the source alone tells positives from negatives with AUROC 0.98 (a: 1,960 positive, 40 "
        "negative; b: 40 positive, 1,960 negative): a model learns the source, not the label; map"
    )
    assert lines(of(a=(899, 101), b=(101, 899))) == []
    assert len(lines(of(a=(900, 100), b=(100, 900)))) == 1


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ({"a": (500, 500)}, 0.5),
        ({"a": (50, 500), "b": (0, 0)}, 0.5),  # `b` says nothing of it: its own matter
        ({"a": (500, 0)}, None),
        ({"a": (0, 500), "b": (0, 3)}, None),
        ({"a": (500, 0), "b": (0, 1)}, 1.0),
        ({"a": (20, 40), "b": (10, 20)}, 0.5),
    ],
)
def test_source_alone_at_its_ends(said: dict[str, tuple[int, int]], value: float | None) -> None:
    assert one(of(**said)) == (value if value is None else pytest.approx(value))


@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(1, 200)), min_size=2, max_size=6)
)
def test_source_alone_against_a_score_for_each_row(said: list[tuple[int, int, int]]) -> None:
    names = [f"s{n}" for n in range(len(said))]
    found = of(**{name: (plus, minus) for name, (plus, minus, _) in zip(names, said, strict=True)})
    value = one(found, **{name: quota for name, (_, _, quota) in zip(names, said, strict=True)})
    rows: dict[str, list[Any]] = {"truth": [], "score": [], "weight": []}
    for plus, minus, quota in said:
        cells = plus + minus
        rows["truth"] += [1] * plus + [0] * minus
        rows["score"] += [plus / max(1, cells)] * cells
        rows["weight"] += [quota / (cells + 80)] * cells
    if len(set(rows["truth"])) < 2:
        assert value is None
    else:
        expected = roc_auc_score(rows["truth"], rows["score"], sample_weight=rows["weight"])
        assert value == pytest.approx(expected, abs=1e-9)


def test_rows_of_one_example_share_what_is_seen_of_it(tmp_path: Path, encoder: Encoder) -> None:
    """Equal texts are shown once, whoever holds them; each source answers for its own cells."""
    rows = [{"t": f"text {i % 100}", "h": i % 2} for i in range(300)]
    a = entry(tmp_path / "a.jsonl", rows)
    b = entry(tmp_path / "b.jsonl", rows[:100], labels={"hate": "h", "harassment": "h"})
    found = corpus(encoder, a=a, b=b)
    train = len(found.rows("train"))
    by_label = sides(found, even(found, a=2 * train))
    (harassment,) = by_label["harassment"]
    assert (harassment.source, harassment.positives + harassment.negatives) == ("b", train)
    assert harassment.seen_positive + harassment.seen_negative == pytest.approx(2 * train)
    hate = by_label["hate"]
    assert [(side.source, side.positives + side.negatives) for side in hate] == [
        ("a", 3 * train),
        ("b", train),
    ]
    assert [side.seen_positive + side.seen_negative for side in hate] == pytest.approx(
        [1.5 * train, train / 2]
    )


def test_synthetic_texts_say_nothing_of_real_ones(tmp_path: Path, encoder: Encoder) -> None:
    """Neither in the counts nor in what is warned of."""
    texts = [{"t": f"text {i}", "h": i % 2, "a": i % 2} for i in range(100)]
    more = [{"t": f"made {i}", "a": i % 2} for i in range(100)]
    real = entry(tmp_path / "real.jsonl", texts)
    made = entry(tmp_path / "made.jsonl", texts + more, labels={"harassment": "a"}, synthetic=True)
    found = corpus(encoder, real=real, syn=made)
    known = {(c["source"], c["label"]): 0 for c in counts(found)}
    for cell in counts(found):
        known[cell["source"], cell["label"]] += cell["known"]
    assert known == {
        ("real", "harassment"): 0,
        ("real", "hate"): 100,
        ("syn", "harassment"): 100,
        ("syn", "hate"): 0,
    }
    assert np.isnan(found.targets[~found.synthetic, found.labels.index("harassment")]).all()
    assert found.left_out == {"syn": {"equal to a real text": 100}}
    assert {label: [side.source for side in said] for label, said in sides(found, even(found)).items()} == {
        "harassment": ["syn"],
        "hate": ["real"],
    }


def test_the_warning_says_what_to_do(tmp_path: Path, encoder: Encoder) -> None:
    one = entry(tmp_path / "a.jsonl", [{"t": f"a {i}", "h": 1} for i in range(100)])
    two = entry(tmp_path / "b.jsonl", [{"t": f"b {i}", "h": i % 2} for i in range(100)])
    (line,) = told(corpus(encoder, a=one, b=two))
    assert line.startswith("hate: a brings ")
    assert "0 negative cells), next to no negatives: a model learns the source, not the label" in line
    assert "map negatives from the same source, or leave it out" in line


def test_a_declared_label_without_a_positive_does_not_vanish_without_a_word(
    tmp_path: Path, encoder: Encoder
) -> None:
    rows = [{"t": f"a {i}", "h": i % 2, "c": [0.5, 0.2, None][i % 3]} for i in range(90)]
    found = corpus(encoder, a=entry(tmp_path / "a.jsonl", rows, labels={"hate": "h", "harassment": "c"}))
    assert found.labels == ("hate",)
    (line,) = told(found)
    assert line.startswith(
        "harassment: declared, and not trained: no example of the train split is positive (above 0.5); "
        "positive cells: a train 0 of "
    )
    counted = re.findall(r"(\d+) of (\d+)", line)
    assert [int(plus) for plus, _ in counted] == [0] * 4
    assert sum(int(known) for _, known in counted) == 60


# --- what a vocabulary lacks --------------------------------------------------------------------------------


def test_unknown_tokens_are_counted_by_source_and_language(
    tmp_path: Path, encoder: Encoder, tokenizer: Any
) -> None:
    words = (("plain", "en"), ("한국어 🫠", "ko"))
    rows = [{"t": f"{word} {i}", "h": i % 2, "l": lang} for i in range(60) for word, lang in words]
    more = [{"t": f"other {i}", "h": i % 2, "l": None} for i in range(60)]
    sliced = {"slices": {"lang": {"column": "l"}}}
    found = corpus(
        encoder, a=entry(tmp_path / "a.jsonl", rows, **sliced), b=entry(tmp_path / "b.jsonl", more, **sliced)
    )
    expected = {"en": [0, 0], "ko": [0, 0]}
    for row in rows:
        ids = tokenizer(row["t"], add_special_tokens=False)["input_ids"][:14]
        expected[row["l"]][0] += ids.count(tokenizer.unk_token_id)
        expected[row["l"]][1] += len(ids)
    shares = unknown_tokens(found)
    assert shares["lang"] == pytest.approx({lang: count / total for lang, (count, total) in expected.items()})
    assert shares["source"]["b"] == 0
    whole = [sum(column) for column in zip(*expected.values(), strict=True)]
    assert shares["source"]["a"] == pytest.approx(whole[0] / whole[1])
    assert shares["lang"]["ko"] > 0.02
    said = told(found)
    assert [line.split(":")[0] for line in said] == ["source a", "lang ko", "emoji"]
    assert "emoji: 100% of 60 are unknown" in said[2]


@pytest.mark.parametrize(
    ("shares", "said"),
    [
        ({"a": 0.0, "b": 0.0658, "c": 0.00006}, "b 6.58%, c 0.01%, others 0.00%"),
        ({"a": 0.00004}, "0.00%"),
        ({"a": 1.0}, "a 100.00%"),
    ],
)
def test_unknown_tokens_on_a_line(shares: dict[str, float], said: str) -> None:
    assert unknown_shown("lang", shares) == f"unknown tokens by lang: {said}"


def test_a_tokenizer_that_spells_everything_out_lacks_nothing(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = {token: n for n, token in enumerate(["[PAD]", *pre_tokenizers.ByteLevel.alphabet()])}
    spelled = Tokenizer(models.BPE(alphabet, []))
    spelled.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    encoder = Encoder(PreTrainedTokenizerFast(tokenizer_object=spelled, pad_token="[PAD]"), Encoding())
    rows = [{"t": f"한국어 🫠 {i}", "h": i % 2} for i in range(60)]
    found = corpus(encoder, a=entry(tmp_path / "a.jsonl", rows))
    assert unknown_tokens(found) == {}
    assert unknown_emoji(found) == (0.0, 60)
    assert told(found) == []


def test_a_text_without_any_token_is_read_as_one_unknown_token(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"[UNK]": 0, "[PAD]": 1, "a": 2}, unk_token="[UNK]"))
    words.pre_tokenizer = pre_tokenizers.Split("-", "removed")
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="[UNK]", pad_token="[PAD]")
    rows = [{"t": f"a-b{i}-b", "h": i % 2} for i in range(60)] + [{"t": "--", "h": 1}]
    found = corpus(Encoder(tokenizer, Encoding()), a=entry(tmp_path / "a.jsonl", rows))
    assert unknown_tokens(found) == {"source": {"a": pytest.approx((120 + 1) / (180 + 1))}}


@pytest.mark.parametrize(("steps", "lost"), [((), 1.0), (("emoji-names",), 0.0)])
def test_unknown_emoji_with_and_without_their_names(
    tmp_path: Path, tokenizer: Any, steps: Any, lost: float
) -> None:
    encoder = Encoder(tokenizer, Encoding(normalise=steps, max_length=MaxLength(tokens=16)))
    rows = [{"t": f"bad 🔪🔪 {i} é", "h": i % 2} for i in range(60)]
    found = corpus(encoder, a=entry(tmp_path / "a.jsonl", rows))
    assert unknown_emoji(found) == (lost, 120)
    said = [line for line in told(found) if line.startswith("emoji")]
    assert len(said) == bool(lost)
    assert all(
        "100% of 120 are unknown" in line and "model.normalise: [emoji-names]" in line for line in said
    )


# --- the real mixture ---------------------------------------------------------------------------------------


PAIR = ("harassment", "hate")


@pytest.mark.slow
def test_the_public_mixture_has_no_hazard_but_korean_and_would_tell_of_the_old_mistake(
    real_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FIELD_NOTES: positives of hate from edos, without its negatives, made a model learn the source."""
    monkeypatch.setenv("TEENSAFE_DATA", os.fspath(real_data))
    recipe = REPOSITORY / "recipes" / "encoder" / "minilm-lora-public.yaml"
    found = plan(resolve(load(recipe)))
    assert [line.split(":")[0] for line in found["warnings"]] == ["source korean-hate-speech", "lang ko"]
    assert 0.05 < found["unknown_tokens"]["lang"]["ko"] < 0.08
    assert max(share for lang, share in found["unknown_tokens"]["lang"].items() if lang != "ko") < 0.001
    assert found["unknown_tokens"]["emoji"]["share"] == 0
    assert found["unknown_tokens"]["emoji"]["n"] > 15_000
    mistaken = plan(resolve(load(recipe, ["data.sources.edos.labels.hate.map.none=null"])))
    (line,) = (line for line in mistaken["warnings"] if line.startswith("hate"))
    assert line.startswith("hate: edos brings ")
    assert "0 negative cells), next to no negatives" in line
    alone = [round(plan["source_alone"][label], 2) for plan in (found, mistaken) for label in PAIR]
    assert alone == [0.8, 0.78, 0.8, 0.83]
    plain = plan(resolve(load(recipe, ["model.normalise=[]"])))
    assert any(line.startswith("emoji: ") for line in plain["warnings"])
    assert plain["unknown_tokens"]["emoji"]["share"] > 0.9


def test_special_tokens_are_not_counted(tiny_base: Path, tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_base)
    rows = [{"t": "🫠" + " 🫠" * (i % 3), "h": i % 2} for i in range(60)]
    rows += [{"t": f"a {i}", "h": 1} for i in range(40)]
    found = corpus(Encoder(tokenizer, Encoding()), a=entry(tmp_path / "a.jsonl", rows))
    assert len(found.row) == 43
    assert unknown_tokens(found)["source"]["a"] == pytest.approx((1 + 2 + 3) / (1 + 2 + 3 + 2 * 40))
