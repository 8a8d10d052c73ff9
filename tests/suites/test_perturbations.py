"""Disguises: seeded, readable, and without hold on what they are not for."""

from __future__ import annotations

import subprocess
import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.data.normalise import normaliser
from train.example import TURN
from train.suites.perturbations import KINDS, SINGLE, STACKED, perturb

TEXT = (
    "Nobody should ever talk about suicide, porn or Nazis like that stupid clown; sometimes people said 100."
)
EXPECTED = {
    "leetspeak": "$0metime$ pe0ple 7alk 4bou7 5uicide",
    "spacing": "Sometimes people talk about s u i c i d e",
    "zero_width": "So\u200cmetimes pe\u2060ople ta\u200clk abo\u200cut suici\u200cde",
    "homoglyphs": "S\u043em\u0435tim\u0435s p\u0435o\u0440\u04cf\u0435 t\u03b1\u04cfk abo\u057dt "
    "\u0455\u03c5\u0131c\u0456\u0501\u0435",
    "repeated": "Someeeeetimes people talkkk about sssssuicide",
    "typos": "Sometimes peiple talk about suicide",
    "emoji": "Sometimes people talk about suicide",
    "algospeak": "Sometimes people talk about sewerslide",
    "algospeak_held_out": "Sometimes people talk about sewerslide",
    "case": "SOmetIMEs pEOPLE TALk about suICIde",
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_seed_kind_and_key_give_the_same_text_and_others_give_others(kind: str) -> None:
    drawn = [perturb(TEXT, kind, seed=0, key=str(key)) for key in range(30)]
    assert drawn == [perturb(TEXT, kind, seed=0, key=str(key)) for key in reversed(range(30))][::-1]
    assert TEXT not in drawn or kind in ("typos", "repeated", "spacing")
    if kind != "emoji":  # it has no choice
        assert len(set(drawn)) > 1
        assert drawn != [perturb(TEXT, kind, seed=1, key=str(key)) for key in range(30)]


def test_another_process_draws_the_same() -> None:
    code = (
        "import sys; sys.stdout.reconfigure(encoding='utf-8'); from train.suites.perturbations import *\n"
        f"print('|'.join(perturb({TEXT!r}, kind, seed=3, key='k') for kind in KINDS), end='')"
    )
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout.decode()
    assert there == "|".join(perturb(TEXT, kind, seed=3, key="k") for kind in KINDS)


def test_what_is_drawn_stays_as_it_was() -> None:
    """Figures of two runs are compared on the same disguises: a change here is a new perturbation."""
    said = {kind: perturb("Sometimes people talk about suicide", kind, seed=0, key="k") for kind in SINGLE}
    assert said == EXPECTED


@given(st.text(st.sampled_from("abcXé oöя가漢اी@$1:/. 🙂" + TURN)), st.sampled_from(KINDS))
def test_turns_stay_and_nothing_breaks(text: str, kind: str) -> None:
    said = perturb(text, kind, seed=0, key="k")
    assert said.count(TURN) == text.count(TURN)
    assert [turn == "" for turn in said.split(TURN)] == [turn == "" for turn in text.split(TURN)]


@pytest.mark.parametrize("kind", KINDS)
def test_addresses_mentions_speakers_and_short_words_stay(kind: str) -> None:
    kept = f"user: hi @somebody https://example.org/somewhere{TURN}agent: so so a@somewhere.example 1234567"
    for key in range(20):
        assert perturb(kept, kind, seed=0, key=str(key)) == kept


@pytest.mark.parametrize("kind", ["leetspeak", "homoglyphs", "emoji", "algospeak", "case"])
def test_a_script_that_a_kind_has_no_hold_on_comes_back_as_it_is(kind: str) -> None:
    for text in ("안녕하세요 여러분 반갑습니다", "مرحبا بالعالم الجميل", "नमस्ते दुनिया वालों"):
        assert perturb(text, kind, seed=0, key="k") == text


def test_joining_scripts_are_never_cut() -> None:
    for kind in KINDS:
        assert perturb("مرحبا بالعالم الجميل नमस्ते", kind, seed=0, key="k") == "مرحبا بالعالم الجميل नमस्ते"


def test_how_much_is_changed_is_what_it_says() -> None:
    text = "teeth " * 3000  # each letter but the h has a sign alike
    said = perturb(text, "leetspeak", seed=0, key="k")
    assert sum(a != b for a, b in zip(text, said, strict=True)) / (3000 * 4) == pytest.approx(0.5, abs=0.02)
    twins = perturb(text, "homoglyphs", seed=0, key="k")
    assert sum(a != b for a, b in zip(text, twins, strict=True)) / (3000 * 3) == pytest.approx(0.5, abs=0.02)
    flipped = perturb(text, "case", seed=0, key="k")
    assert sum(a != b for a, b in zip(text, flipped, strict=True)) / (3000 * 5) == pytest.approx(
        0.5, abs=0.02
    )
    for kind, share in (("typos", 1 / 3), ("repeated", 1 / 3), ("zero_width", 1)):
        changed = [word != "teeth" for word in perturb(text, kind, seed=0, key="k").split(" ")[:3000]]
        # two of the typos swap or drop one of two equal letters
        assert sum(changed) / 3000 == pytest.approx(share, abs=0.09 if kind == "typos" else 0.03), kind
    spelled = perturb(text, "spacing", seed=0, key="k")
    assert (3000 - spelled.count("teeth")) / 3000 == pytest.approx(1 / 3, abs=0.03)
    assert spelled.replace(" ", "").replace(".", "").replace("-", "") == "teeth" * 3000


def test_each_leaves_the_letters_that_it_should() -> None:
    assert perturb(TEXT, "case", seed=0, key="k").lower() == TEXT.lower()
    hidden = perturb(TEXT, "zero_width", seed=0, key="k")
    assert "".join(letter for letter in hidden if unicodedata.category(letter) != "Cf") == TEXT
    assert perturb("the pig and a clown", "emoji", seed=0, key="k") == "the 🐖 and a 🤡"


def test_a_stack_is_its_parts_drawn_as_alone() -> None:
    for stack in STACKED:
        text = TEXT
        for part in stack.split("+"):
            text = perturb(text, part, seed=0, key="k")
        assert perturb(TEXT, stack, seed=0, key="k") == text
    with pytest.raises(KeyError):
        perturb(TEXT, "leetspeak+rot13", seed=0, key="k")


def test_held_out_codes_are_left_out_of_what_trains() -> None:
    said = [
        perturb("suicide and anorexia", "algospeak", seed=0, key=str(k), held_out=False) for k in range(9)
    ]
    assert set(said) == {"suicide and ana"}
    stacked = perturb("suicide and anorexia", "algospeak+case", seed=0, key="k", held_out=False)
    assert stacked.lower() == "suicide and ana"
    for kind in ("algospeak_held_out", "algospeak_held_out+case"):
        assert perturb("suicide", kind, seed=0, key="k").lower() != "suicide"
        assert perturb("suicide", kind, seed=0, key="k", held_out=False).lower() == "suicide"


def test_the_normaliser_undoes_most_of_what_hides() -> None:
    text = "These people never listen when somebody complains about terrible treatment downtown"
    steps = normaliser(("zero-width", "nfkc", "emoji-names", "confusables", "leet"))
    assert steps(perturb(text, "zero_width", seed=0, key="k")) == text
    for kind, share in (("homoglyphs", 0.6), ("homoglyphs+zero_width", 0.6), ("leetspeak", 0.5)):
        said = [perturb(text, kind, seed=0, key=str(key)) for key in range(50)]
        mended = [word for one in said for word in steps(one).split()]
        kept = [word for one in said for word in one.split()]
        right = sum(a == b for a, b in zip(mended, text.split() * 50, strict=True))
        before = sum(a == b for a, b in zip(kept, text.split() * 50, strict=True))
        assert right / len(mended) > max(share, before / len(kept) + 0.2), kind
