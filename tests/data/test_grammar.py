"""Template grammars: what they expand to, and what is said about one that is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from train.data.grammar import HARMFUL, expand, rows
from train.errors import InputError

SEED = Path(__file__).parents[2] / "recipes" / "seed"
SECRET = "nobody-may-read-this"

HARASSMENT = """\
label: harassment
slices: {lang: en}
per_template: 3
slots:
  name: [Alex, Sam, Kim, Lee]
  age: [13, 14]
harmful:
  - {id: h-1, surface: comment, text: "everyone ignore {name}, {name} is {age}", also: [hate]}
  - {id: h-2, surface: chat, text: "go away", unknown: [hate]}
allowed:
  - {id: h-3, surface: comment, kind: counterspeech, text: "stop piling on {name}"}
  - id: h-4
    surface: chat
    kind: report
    text: >
      {name} is being
      bullied
    also: [hate]
    unknown: [harassment]
"""
HATE = """\
label: hate
slices: {dialect: us}
harmful:
  - {id: x-1, surface: comment, text: "they do not belong here"}
"""
BENIGN = """\
label: null
allowed:
  - {id: b-1, surface: search, kind: homework, text: "photosynthesis"}
"""


@pytest.fixture(autouse=True)
def _inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("en").mkdir()


def write(name: str, content: str) -> None:
    Path("en", name).write_text(content, encoding="utf-8")


def table() -> list[dict[str, Any]]:
    return [row for _, row in rows(Path("en"))]


def refusal() -> list[str]:
    """The first line of every problem."""
    with pytest.raises(InputError) as caught:
        table()
    assert caught.value.exit_code == 2
    assert SECRET not in str(caught.value)
    return [f"{p.where}: {p.what}" for p in caught.value.problems]


def test_rows_carry_every_label_of_the_folder() -> None:
    write("harassment.yaml", HARASSMENT)
    write("hate.yaml", HATE)
    write("benign.yaml", BENIGN)
    by_template = {row["template"]: row for row in table()}
    assert {t: (row["harassment"], row["hate"]) for t, row in by_template.items()} == {
        "b-1": (0.0, 0.0),
        "h-1": (1.0, 1.0),
        "h-2": (1.0, None),
        "h-3": (0.0, 0.0),
        "h-4": (None, 1.0),
        "x-1": (0.0, 1.0),
    }
    assert by_template["x-1"] == {
        "id": "x-1#0",
        "template": "x-1",
        "text": "they do not belong here",
        "kind": HARMFUL,
        "surface": "comment",
        "dialect": "us",
        "lang": None,
        "harassment": 0.0,
        "hate": 1.0,
    }
    assert by_template["h-3"]["kind"] == "counterspeech"
    assert [w for w, _ in rows(Path("en"))] == [
        "en/benign.yaml:3",
        *["en/harassment.yaml:8"] * 3,
        "en/harassment.yaml:9",
        *["en/harassment.yaml:11"] * 3,
        *["en/harassment.yaml:12"] * 3,
        "en/hate.yaml:4",
    ]


def test_slots() -> None:
    write("harassment.yaml", HARASSMENT.replace("also: [hate]", "").replace("unknown: [hate]", ""))
    texts = {row["id"]: row["text"] for row in table()}
    assert [i for i in texts if i.startswith("h-1")] == ["h-1#0", "h-1#1", "h-1#2"]
    first = texts["h-1#0"]
    name = first.split()[-3]
    assert first == f"everyone ignore {name}, {name} is {first[-2:]}" and first[-2:] in ("13", "14")
    assert texts["h-2#0"] == "go away" and "h-2#1" not in texts
    assert texts["h-4#0"].endswith(" is being bullied")
    one_file = {row["id"]: row["text"] for _, row in rows(Path("en/harassment.yaml"))}
    assert one_file == texts


def test_expansion_depends_on_nothing_else() -> None:
    slots = {"a": tuple("abcdef"), "b": tuple("ghijkl"), "unrelated": ("x",)}
    four = expand("t", "{a} {b}", slots, 4)
    assert four == expand("t", "{a} {b}", {"b": slots["b"], "a": slots["a"]}, 4)
    assert four == expand("t", "{a} {b}", slots, 30)[:4]
    assert four != expand("u", "{a} {b}", slots, 4)
    assert len(set(four)) == 4
    everything = expand("t", "{a} {b}", slots, 100)
    assert len(everything) == 36 == len(set(everything))


def test_a_huge_product_is_not_enumerated() -> None:
    slots = {f"s{n}": tuple(f"{n}-{k}" for k in range(50)) for n in range(20)}
    found = expand("t", " ".join(f"{{{name}}}" for name in slots), slots, 50)  # of 50 ** 20
    assert len(set(found)) == 50
    first_slot = {text.split()[0] for text in found}
    assert len(first_slot) > 20  # all slots vary, not just the last


def test_expansion_stays_as_it_is() -> None:
    """Ids in old predictions must still name the same texts."""
    slots = {"n": ("Alex", "Sam", "Kim"), "v": ("1", "2", "3", "4")}
    assert expand("harassment-pile-on-1", "{n}{v}", slots, 4) == ["Kim1", "Sam1", "Sam2", "Alex2"]


def test_values_with_braces_or_names_of_slots_are_not_expanded_again() -> None:
    slots = {"a": ("b",), "b": ("c",)}
    assert expand("t", "{a} a {b}", slots, 1) == ["b a c"]


def test_files_are_read_in_the_order_of_their_names() -> None:
    Path("en/sub").mkdir()
    Path("en/.hidden").mkdir()
    for name, template in (("b.yaml", "2"), ("a.yaml", "1"), ("sub/a.yaml", "3")):
        write(name, f"label: null\nallowed: [{{id: '{template}', surface: s, kind: k, text: t{template}}}]\n")
    write(".hidden/x.yaml", "broken: [")
    assert [row["template"] for row in table()] == ["1", "2", "3"]
    write("c.yml", "label: null")
    assert refusal() == ["en/c.yml: would be left out"]


def test_all_problems_of_a_folder_at_once() -> None:
    write(
        "a.yaml",
        f"""\
label: harassment
slots:
  name: [Alex, Sam, Sam]
  spare: [x]
  nested: ["{{name}}"]
  none: []
harmful:
  - {{id: a-1, surface: s, text: "{SECRET} {{nmae}} {{name}}"}}
  - {{id: a-2, surface: s, text: "{SECRET} {{name}} }}"}}
  - {{id: a-3, surface: s, text: "{SECRET} {{nested}}", also: [hat], unknown: [harassment]}}
  - {{id: a-4, surface: s, text: "{{two words}} {{none}}"}}
allowed:
  - {{id: a-1, surface: s, kind: harmful, text: "x", unknown: [nothing]}}
""",
    )
    write("b.yaml", "label: hate\nslices: {hate: x, kind: y}\nharmful: [{id: a-3, surface: s, text: y}]\n")
    write("c.yaml", "label: null\nharmful: [{id: c-1, surface: s, text: z}]\n")
    write("d.yaml", "label: null\n")
    write("e.yaml", "label: text\nharmful: [{id: e-1, surface: s, text: zz}]\n")
    assert sorted(refusal()) == [
        "en/a.yaml:10: template a-3: also names hat, which no file defines",
        "en/a.yaml:10: template a-3: harassment is both carried and unknown",
        "en/a.yaml:11: template a-4: a brace that is no slot's",
        "en/a.yaml:13: template a-1 is already at en/a.yaml:8",
        "en/a.yaml:13: template a-1: kind harmful among `allowed`",
        "en/a.yaml:13: template a-1: unknown names nothing, which no file defines",
        "en/a.yaml:3: slot name lists a value twice",
        "en/a.yaml:4: slot spare is used by no template",
        "en/a.yaml:5: slot nested: a brace in a value",
        "en/a.yaml:6: slot none has no values",
        "en/a.yaml:8: template a-1: no slot {nmae}",
        "en/a.yaml:9: template a-2: a brace that is no slot's",
        "en/b.yaml:2: slice hate is the name of a column",
        "en/b.yaml:2: slice kind is the name of a column",
        "en/b.yaml:3: template a-3 is already at en/a.yaml:10",
        "en/c.yaml:1: label: null, but there are harmful templates",
        "en/d.yaml:1: no templates",
        "en/e.yaml:1: label: text is the name of a column",
    ]


def test_what_was_probably_meant() -> None:
    write("a.yaml", "label: hate\nslots: {name: [x]}\nharmful: [{id: a, surface: s, text: '{nam} {name}'}]")
    with pytest.raises(InputError, match=r"try: \{name\}"):
        table()
    write("a.yaml", "label: hate\nper_templat: 3\nharmful: [{id: a, surface: s, txt: b}]")
    with pytest.raises(InputError) as caught:
        table()
    assert [(p.where, p.what.split(":")[0], p.remedy) for p in caught.value.problems] == [
        ("en/a.yaml:3", "harmful.0.text", ""),
        ("en/a.yaml:3", "harmful.0.txt", "text"),
        ("en/a.yaml:2", "per_templat", "per_template"),
    ]


def test_texts_that_read_the_same() -> None:
    write("a.yaml", f"label: null\nallowed: [{{id: a, surface: s, kind: k, text: '{SECRET}  One'}}]\n")
    write(
        "b.yaml",
        f"label: null\nslots: {{n: [one, two]}}\n"
        f"allowed:\n  - {{id: b, surface: s, kind: k, text: '{SECRET.upper()} {{n}}'}}\n",
    )
    (problem,) = refusal()
    assert problem.startswith("en/b.yaml:4: b#") and problem.endswith(" reads the same as a#0 at en/a.yaml:2")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", ["en/a.yaml: is empty"]),
        (f"label: x\nlabel: {SECRET}\n", ["en/a.yaml:2: broken YAML: a key twice"]),
        ("label: [x\nslots: 1\n", ["en/a.yaml:2: broken YAML: expected ',' or ']', but got ':'"]),
        ("label: x\n\x07", ["en/a.yaml:2: control character 0x7"]),
        ("- x\n", ["en/a.yaml:1: the file: Input should be a valid dictionary or instance of Grammar"]),
        ("allowed: []\n", ["en/a.yaml:1: label: Field required"]),
        (
            "label: x\nslots:\n  a: [1.10, 13]\n  b: x\n",
            [
                "en/a.yaml:3: slots.a.0: Input should be a valid string",
                "en/a.yaml:4: slots.b: Input should be a valid tuple",
            ],
        ),
        (
            f"label: x\nharmful:\n  - id: a b\n    surface: s\n    text: [{SECRET}]\n",
            [
                "en/a.yaml:3: harmful.0.id: String should match pattern '^[^\\s#]+$'",
                "en/a.yaml:5: harmful.0.text: Input should be a valid string",
            ],
        ),
    ],
)
def test_files_that_are_no_grammar(content: str, said: list[str]) -> None:
    write("a.yaml", content)
    assert refusal() == said


def test_bytes_of_another_encoding() -> None:
    Path("en/a.yaml").write_bytes(b"label: x\n# caf\xe9\n")
    assert refusal() == ["en/a.yaml:2: byte 0xe9 (at offset 14) is not utf-8"]


def test_a_folder_that_is_not_there_or_holds_nothing() -> None:
    assert refusal() == ["en: the folder has no grammar"]
    with pytest.raises(InputError, match='no such file\n    try: "en"'):
        list(rows(Path("enn")))


@pytest.mark.parametrize("folder", sorted(p for p in SEED.glob("*") if p.is_dir()), ids=lambda p: p.name)
def test_the_shipped_grammars_hold(folder: Path) -> None:
    found = [row for _, row in rows(folder)]
    assert {row["kind"] == HARMFUL for row in found} == {True, False}
