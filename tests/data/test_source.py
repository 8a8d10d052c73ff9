"""Files of every format to examples, and what is said about files that are wrong."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import tempfile
import tracemalloc
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from train.data import delimited
from train.data.reading import read
from train.data.rows import Table, resolve_format
from train.data.source import Source, content_digest
from train.errors import InputError
from train.example import Example

SECRET = "nobody-may-read-this"  # stands for a user's text: it must never reach a message
DATA = Path(os.environ.get("TEENSAFE_DATA") or Path(__file__).parents[3] / "shared" / "data")


@pytest.fixture(autouse=True)
def _inside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def source(path: str, **fields: Any) -> Source:
    return Source(**({"path": path, "text": "text", "labels": {"hate": "y"}, "licence": "MIT"} | fields))


def examples(path: str, **fields: Any) -> list[Example]:
    return list(read("s", source(path, **fields)))


def refusal(path: str, **fields: Any) -> str:
    """The message of the InputError that reading must end with."""
    with pytest.raises(InputError) as caught:
        examples(path, **fields)
    assert caught.value.exit_code == 2
    message = str(caught.value)
    assert SECRET not in message
    return message


def write(path: str, content: str | bytes) -> str:
    Path(path).write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def jsonl(path: str, *items: Any) -> str:
    return write(path, "".join(json.dumps(item) + "\n" for item in items))


# --- formats ------------------------------------------------------------------------------------------------

CELLS = [{"text": 'a "b", c', "y": "1"}, {"text": "zwei\nZeilen 🙂", "y": "0"}, {"text": "c", "y": "0.25"}]


def as_csv(delimiter: str = ",", table: list[dict[str, Any]] = CELLS) -> str:
    stream = io.StringIO(newline="")
    writer = csv.DictWriter(stream, table[0].keys(), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(table)
    return stream.getvalue()


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize(
    ("name", "content", "places"),
    [
        ("x.csv", as_csv(), ["x.csv:2", "x.csv:3", "x.csv:5"]),
        ("x.tsv", as_csv("\t"), ["x.tsv:2", "x.tsv:3", "x.tsv:5"]),
        ("x.json", json.dumps(CELLS, indent=2), ["x.json item 1", "x.json item 2", "x.json item 3"]),
        (
            "x.jsonl",
            "\n\n".join(map(json.dumps, CELLS)),
            ["x.jsonl:1", "x.jsonl:3", "x.jsonl:5"],
        ),
    ],
)
def test_text_formats(name: str, content: str, places: list[str], packed: bool) -> None:
    data = content.encode()
    path = Path(write(name + ".gz" * packed, gzip.compress(data) if packed else data))
    found = list(Table(path, resolve_format(path, None)).rows())
    assert [row for _, row in found] == CELLS
    assert [where for where, _ in found] == [place.replace(name, str(path)) for place in places]
    assert [e.labels["hate"] for e in examples(str(path))] == [1.0, 0.0, 0.25]
    assert [e.id for e in examples(str(path))] == ["s:0", "s:1", "s:2"]


def test_parquet_reads_only_the_mapped_columns() -> None:
    table = pa.table({"text": ["a", "b"], "y": [True, None], "vector": [[1.0], [2.0]]})
    pq.write_table(table, "x.parquet")
    found = list(Table(Path("x.parquet"), "parquet").rows(only={"text", "y"}))
    assert found == [
        ("x.parquet row 1", {"text": "a", "y": True}),
        ("x.parquet row 2", {"text": "b", "y": None}),
    ]
    assert [e.labels["hate"] for e in examples("x.parquet")] == [1.0, None]


def test_a_folder_of_grammars_keeps_templates_together() -> None:
    Path("g").mkdir()
    write(
        "g/h.yaml",
        "label: y\nslots: {n: [a, b]}\nharmful: [{id: t, surface: chat, text: 'x {n}'}]\n"
        "allowed: [{id: u, surface: chat, kind: news, text: fine}]\n",
    )
    found = examples("g", slices={"kind": {"column": "kind"}})
    assert sorted((e.id, e.group, e.labels["hate"], e.slices["kind"]) for e in found) == [
        ("s:t#0", "s:t", 1.0, "harmful"),
        ("s:t#1", "s:t", 1.0, "harmful"),
        ("s:u#0", "s:u", 0.0, "news"),
    ]
    assert "s:t" not in refusal("g", id="template") and "the id is already at g/h.yaml:3" in refusal(
        "g", id="template"
    )
    assert 'labels.hate: no column "yy"' in refusal("g", labels={"hate": "yy"})


def test_byte_order_marks() -> None:
    text = as_csv()
    assert len(examples(write("a.csv", b"\xef\xbb\xbf" + text.encode()))) == 3
    assert len(examples(write("b.csv", text.encode("utf-16")), encoding="utf-16")) == 3
    line = json.dumps(CELLS[0]).encode()
    assert len(examples(write("c.jsonl", b"\xef\xbb\xbf" + line))) == 1
    message = refusal(write("d.csv", b"\xef\xbb\xbf" + text.encode()), encoding="latin-1")
    assert "d.csv:1: the file says that it is UTF-8" in message
    assert "try: encoding: utf-8" in message


def test_line_ends_and_blank_lines() -> None:
    assert [e.text for e in examples(write("a.csv", "text,y\r\n\r\na,1\r\nb,0"))] == ["a", "b"]
    places = [w for w, _ in Table(Path("a.csv"), "csv").rows()]
    assert places == ["a.csv:3", "a.csv:4"]
    write("mac.csv", "text,y\ra,1\rb,0\r")
    assert [w for w, _ in Table(Path("mac.csv"), "csv").rows()] == ["mac.csv:2", "mac.csv:3"]
    write("odd.csv", 'text,y\n"a\rb",1\nc,0\n')  # a lone carriage return inside a field is no line to grep
    assert [w for w, _ in Table(Path("odd.csv"), "csv").rows()] == ["odd.csv:2", "odd.csv:3"]
    write("u.jsonl", '{"text": "a\u2028b", "y": 1}\n{"text": "c", "y": 1}\n')
    assert [w for w, _ in Table(Path("u.jsonl"), "jsonl").rows()] == ["u.jsonl:1", "u.jsonl:2"]


def test_a_file_without_header_and_with_free_quote_marks() -> None:
    write("x.txt", '"quoted" is how it starts\tBAD\nplain\tGOOD\n')
    mapped = {"hate": {"column": "judged", "map": {"BAD": 1, "GOOD": 0}}}
    fields = {"format": "tsv", "columns": ("text", "judged"), "labels": mapped}
    assert [e.labels["hate"] for e in examples("x.txt", quotes=False, **fields)] == [1.0, 0.0]
    assert "x.txt:1: text follows the quote mark" in refusal("x.txt", **fields)
    assert "quotes: false" in refusal("x.txt", **fields)
    ragged = refusal("x.txt", quotes=False, **(fields | {"columns": ("text", "judged", "more")}))
    assert "x.txt:1: 2 fields" in ragged and "as many as `columns` names" in ragged


def test_formats_are_told_by_the_name() -> None:
    assert resolve_format(Path("a.b.CSV"), None) == "csv"
    assert resolve_format(Path("a.ndjson.gz"), None) == "jsonl"
    assert resolve_format(Path("a.csv"), "tsv") == "tsv"
    assert resolve_format(Path("a.yaml"), None) == "grammar"
    Path("folder.csv").mkdir()
    assert resolve_format(Path("folder.csv"), None) == "grammar"
    for name in ("x.xlsx", "x", "x.parquet.gz"):
        message = refusal(write(name, "x"))
        assert message.startswith(f"{name}: the name does not tell the format")
        assert ".csv, .tsv, .json, .jsonl, .ndjson, .parquet, .yaml" in message


cell = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=30)


@settings(max_examples=60, deadline=None)
@given(st.lists(cell, min_size=1, max_size=8))
def test_what_is_written_comes_back(texts: list[str]) -> None:
    table = [{"n": str(n), "text": text} for n, text in enumerate(texts)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        with (path / "x.csv").open("w", encoding="utf-8", newline="") as stream:
            stream.write(as_csv(table=table))
        (path / "x.json").write_text(json.dumps(table, ensure_ascii=False), encoding="utf-8", newline="")
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in table)
        (path / "x.jsonl").write_text(lines, encoding="utf-8", newline="")
        pq.write_table(pa.Table.from_pylist(table), path / "x.parquet")
        for file in path.iterdir():
            found = Table(file, resolve_format(file, None)).rows()
            assert [row for _, row in found] == table, file.suffix


def test_memory_stays_flat() -> None:
    count = 20_000
    Path("x.jsonl").write_text(
        "".join(f'{{"k": "i{n}", "text": "text {n}", "y": 1}}\n' for n in range(count))
    )
    next(read("s", source("x.jsonl", id="k")))
    import numpy as np

    np.unique(np.zeros(2))
    tracemalloc.start()
    try:
        assert sum(1 for _ in read("s", source("x.jsonl", id="k"))) == count
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000  # 20,000 rows as objects would be over 10 MB


def test_a_field_may_be_long_and_is_ours_to_judge() -> None:
    path = write("x.csv", f'text,y\n"{"a" * 100_000}",1\n"{"b" * 200_000}",1\n')
    message = refusal(path)
    assert message.startswith("x.csv:3: 1 row has no usable text (1 longer than 100,000 characters)")
    assert len(examples(path, bad_rows="drop")) == 1


# --- files that are wrong -----------------------------------------------------------------------------------


def test_a_missing_file_names_its_likeness() -> None:
    Path("davidson").mkdir()
    write("davidson/labeled_data.csv", "text,y\na,1\n")
    message = refusal("davidson/labelled_data.csv")
    assert message.startswith("davidson/labelled_data.csv: no such file\n")
    assert '"labeled_data.csv"' in message
    message = refusal("davidsen/labeled_data.csv")
    assert "there is no folder davidsen" in message and '"davidson"' in message
    assert refusal("davidson/labelled_data").startswith("davidson/labelled_data: no such file")


def test_what_is_no_file() -> None:
    Path("folder").mkdir()
    write("folder/a.csv", "")
    message = refusal("folder", format="csv")
    assert message.startswith("folder: is a folder") and '"a.csv"' in message
    os.mkfifo("pipe.csv")
    assert "pipe.csv: is a pipe or a device" in refusal("pipe.csv")
    write("a.csv", "")
    assert "cannot be read: Not a directory" in refusal("a.csv/b.csv")


def test_a_file_we_may_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    write("x.csv", "text,y\na,1\n")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert refusal("x.csv") == "x.csv: cannot be read: Permission denied"
    with pytest.raises(InputError, match="Permission denied"):
        content_digest(source("x.csv"))


@pytest.mark.parametrize("name", ["x.csv", "x.tsv", "x.json", "x.jsonl", "x.parquet"])
def test_empty_files(name: str) -> None:
    assert refusal(write(name, "")).startswith(f"{name}: is empty")
    if name != "x.parquet":
        assert refusal(write(name, "\n\n")).startswith(f"{name}: is empty")


def test_files_without_rows() -> None:
    pq.write_table(pa.table({"text": pa.array([], pa.string()), "y": pa.array([], pa.int8())}), "x.parquet")
    for path in (write("x.csv", "text,y\n"), write("x.json", "[]"), "x.parquet"):
        assert refusal(path).startswith(f"{path}: has no rows")


def test_bytes_of_another_encoding() -> None:
    content = "text,y\n" + "plain,1\n" * 20_000 + f"{SECRET} café,1\n"
    message = refusal(write("x.csv", content.encode("latin-1")))
    offset = content.encode("latin-1").index(b"\xe9")
    assert message.startswith(f"x.csv:20002: byte 0xe9 (at offset {offset:,}) is not utf-8")
    assert "encoding: latin-1" in message and "cp1252" in message
    assert len(examples("x.csv", encoding="latin-1")) == 20_001
    packed = write("x.csv.gz", gzip.compress(content.encode("latin-1")))
    assert "x.csv.gz:20002" in refusal(packed) and "of the unpacked file" in refusal(packed)
    message = refusal(write("y.csv", "text,y\né,1\n"), encoding="ascii")
    assert "y.csv:2: byte 0xc3 (at offset 7) is not ascii" in message and "encoding: utf-8" in message


@pytest.mark.parametrize("encoding", ["utf-16", "UTF-32"])
def test_a_wide_encoding_without_its_mark(encoding: str) -> None:
    path = write("x.csv", "text,y\na,1\n".encode(f"{encoding}-le"))
    message = refusal(path, encoding=encoding)
    assert message.startswith("x.csv: the file has no byte order mark") and f"{encoding}-le" in message
    assert len(examples(path, encoding=f"{encoding}-le")) == 1


def test_an_encoding_that_is_not_one_of_files() -> None:
    for encoding in ("undefined", "hex"):
        message = refusal(write("x.csv", "text,y\na,1\n"), encoding=encoding)
        assert message.startswith("x.csv: ") and encoding in message


def test_a_character_cut_at_the_end_or_at_a_chunk() -> None:
    whole = "text,y\n" + "é" * 100_000 + ",1\n"
    assert "x.csv:3" in refusal(write("x.csv", whole.encode() + b"a,1 \xc3"))
    start = b"text,y\n" + b"a" * (65_536 - 8)  # the first half of the character ends the first chunk
    message = refusal(write("y.csv", start + b"\xe2\x82x,1\n"))
    assert "y.csv:2: byte 0xe2 (at offset 65,535)" in message


def test_files_that_are_something_else() -> None:
    write("x.csv", "text,y\na,1\n".encode("utf-16"))
    assert "try: encoding: utf-16" in refusal("x.csv")
    write("x.csv", "text,y\na,1\n".encode("utf-16-le"))
    message = refusal("x.csv")
    assert "x.csv:1: a NUL byte, character 2 of the line" in message and "encoding: utf-16" in message
    assert "end in .gz" in refusal(write("x.csv", gzip.compress(b"text,y\na,1\n")))
    assert "spreadsheet" in refusal(write("x.csv", b"PK\x03\x04\x14\x00\x00\xff\n"))
    pq.write_table(pa.table({"text": ["a"] * 50}), "x.csv")
    assert "format: parquet" in refusal("x.csv")


def test_nul_bytes() -> None:
    assert "x.csv:3: a NUL byte" in refusal(write("x.csv", f"text,y\na,1\n{SECRET}\0,1\n"))
    assert "x.jsonl:1: a NUL byte" in refusal(write("x.jsonl", '{"text": "\0"}'))


def test_ragged_rows_are_gathered() -> None:
    path = write("x.csv", 'text,y\na,1\n"b\nc",1,2\nd\ne,1\n' + f"{SECRET},1,1\n" * 30)
    lines = refusal(path).splitlines()
    assert lines[0] == "x.csv:3: 3 fields, 31 times; also 7, 8, 9, 10, 11, 12, 13, 14, 15 ..."
    assert lines[1] == "    expected: 2, as many as the header"
    assert lines[2] == "    try: quote the fields that hold ','"
    assert lines[3] == "x.csv:5: 1 fields"
    assert len(lines) == 6
    short = "".join("a" + ",b" * (n + 1) + "\n" for n in range(1, 25))
    assert refusal(write("y.csv", "text,y\n" + short)).splitlines()[-1] == "y.csv: and 4 more problems"


def test_quote_marks_that_are_never_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    path = write("x.csv", f'text,y\na,1\n"{SECRET},1\nb,0\n')
    message = refusal(path)
    assert message.startswith("x.csv:3: a quote mark opens a field here and is never closed")
    monkeypatch.setattr(delimited, "FIELD_LIMIT", 1000)
    message = refusal(write("y.csv", 'text,y\na,1\n"' + "b,0\n" * 500))
    assert message.startswith("y.csv:3: a field of over 1,000 characters")


@pytest.mark.parametrize(("mark", "shown"), [(";", "';'"), ("\t", r'"\t"'), ("|", "'|'")])
def test_another_delimiter(mark: str, shown: str) -> None:
    path = write("x.csv", as_csv(mark))
    message = refusal(path)
    assert message.startswith('x.csv:1: the header is a single field, without the column "text"')
    assert f"try: delimiter: {shown}" in message
    assert len(examples(path, delimiter=mark)) == 3


def test_delimiters_are_for_delimited_files() -> None:
    for path in ("x.jsonl", "https://host/x.jsonl?token=1"):  # told by the name: no row, no network
        with pytest.raises(ValidationError, match="delimiter, quotes given for a jsonl file"):
            source(path, delimiter=";", quotes=False)
    assert source("x.jsonl", delimiter=";", format="csv").delimiter == ";"
    Path("g").mkdir()
    assert refusal("g", delimiter=";").startswith("g: delimiter given for a grammar")


def test_columns_are_names_of_a_files_columns() -> None:
    with pytest.raises(ValidationError, match='`columns` names "text" more than once'):
        source("x.csv", columns=["text", "text", "y"])
    with pytest.raises(ValidationError, match=r'text: `columns` names no "text"; labels.hate: .*"y"'):
        source("x.csv", columns=["a"])


def test_missing_columns_are_told_at_once_and_before_the_rows() -> None:
    path = write("x.csv", f"Text,hate_speech,offensive,count\n{SECRET},9,9,1\n")
    labels = {"hate": {"votes": ["hate_speach", "offensive"], "of": "counts"}, "harassment": "nothing"}
    with pytest.raises(InputError) as caught:
        read("s", source(path, labels=labels, slices={"lang": {"column": "lang"}}))
    told = [(p.where, p.what, p.remedy) for p in caught.value.problems]
    assert told == [
        ("x.csv:1", 'text: no column "text"', '"Text"'),
        ("x.csv:1", 'labels.hate.votes: no column "hate_speach"', '"hate_speech"'),
        ("x.csv:1", 'labels.hate.of: no column "counts"', '"count"'),
        ("x.csv:1", 'labels.harassment: no column "nothing"', ""),
        ("x.csv:1", 'slices.lang: no column "lang"', ""),
    ]
    assert caught.value.problems[0].expected == 'one of "Text", "hate_speech", "offensive", "count"'


def test_a_header_that_is_a_text_is_not_shown() -> None:
    message = refusal(write("x.csv", f"{SECRET * 4},1\na,0\n"))
    assert "(a name of 80 characters)" in message


def test_columns_of_jsonl_may_begin_late_but_not_never() -> None:
    path = jsonl("x.jsonl", {"text": "a"}, {"text": "b", "y": 1})
    assert [e.labels["hate"] for e in examples(path)] == [None, 1.0]
    assert 'labels.hate: no column "z"' in refusal(path, labels={"hate": "z"})


def test_a_repeated_column() -> None:
    message = refusal(write("x.csv", "text,y,y\na,1,0\n"))
    assert message.startswith('x.csv:1: the header names "y" more than once')
    assert len(examples(write("y.csv", "text,y,,\na,1,,\n"))) == 1
    pq.write_table(pa.Table.from_arrays([pa.array(["a"])] * 2, ["text", "text"]), "x.parquet")
    assert 'the columns "text" occur more than once' in refusal("x.parquet")


def test_broken_json() -> None:
    message = refusal(write("x.json", f'[{{"text": "{SECRET}"}},\n {{"text": oops}}]'))
    assert message == "x.json:2:11: broken JSON: Expecting value"
    assert "format: jsonl" in refusal(write("x.json", '{"text": "a"}\n{"text": "b"}\n'))
    assert "x.json:1: the file holds an object" in refusal(write("x.json", '{"rows": []}'))
    assert "nested too deep" in refusal(write("x.json", "[" * 200_000))
    message = refusal(write("x.json", json.dumps([{"text": "a", "y": 1}, SECRET, None, 3])))
    assert [line for line in message.splitlines() if line[0] != " "] == [
        "x.json item 2: is a text",
        "x.json item 3: is null",
        "x.json item 4: is a number",
    ]


def test_broken_jsonl() -> None:
    good = '{"text": "a", "y": 1}'
    message = refusal(
        write("x.jsonl", f'{good}\n{{"text": "{SECRET}\n{good}\n["{SECRET}"]\n{{"text": tru}}\n')
    )
    assert [line for line in message.splitlines() if line[0] != " "] == [
        "x.jsonl:2:31: broken JSON: Invalid control character at",
        "x.jsonl:4: is an array",
        "x.jsonl:5:10: broken JSON: Expecting value",
    ]
    assert "format: json" in refusal(write("x.jsonl", json.dumps(CELLS)))
    assert "format: json" in refusal(write("x.jsonl", json.dumps(CELLS, indent=1)))
    assert "x.jsonl:1: broken JSON: nested" in refusal(write("x.jsonl", '{"text": ' + "9" * 5000 + "}\n"))


def test_broken_gzip() -> None:
    whole = gzip.compress(("text,y\n" + "".join(f"{n} {n * n},1\n" for n in range(50_000))).encode())
    message = refusal(write("x.csv.gz", whole[: len(whole) // 2]))
    assert message.startswith("x.csv.gz:") and "the gzip file ends too early" in message
    assert "is not whole, or not gzip" in refusal(write("x.csv.gz", "text,y\na,1\n"))
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 0xFF
    assert "the gzip file is not whole, or not gzip" in refusal(write("x.csv.gz", bytes(damaged)))


def test_broken_parquet() -> None:
    pq.write_table(pa.table({"text": ["a"] * 5000, "y": list(range(5000))}), "x.parquet")
    whole = Path("x.parquet").read_bytes()
    assert "x.parquet: is not whole, or not Parquet" in refusal(write("x.parquet", whole[:-10]))
    assert "x.parquet: is not whole, or not Parquet" in refusal(write("x.parquet", f"text\n{SECRET}\n"))
    damaged = bytearray(whole)
    damaged[4:60] = b"\xff" * 56
    assert "broken Parquet" in refusal(write("x.parquet", bytes(damaged)))


# --- texts --------------------------------------------------------------------------------------------------


def test_bad_texts_stop_or_are_left_out() -> None:
    bad = [{"text": ""}, {"text": " \n"}, {"text": None}, {}, {"text": 5}, {"text": "\ud800"}]
    path = jsonl("x.jsonl", {"text": "a", "y": 1}, *bad, {"text": "b", "y": "oops"}, *[{"text": ""}] * 10)
    message = refusal(path)
    assert (
        "x.jsonl:2: 16 rows have no usable text (12 empty, 2 missing, 1 not a string, "
        "1 with half a character (a lone surrogate)); also 3, 4, 5, 6, 7, 9, 10, 11, 12 ..."
    ) in message
    assert "try: set bad_rows: drop to leave such rows out" in message
    assert 'x.jsonl:8: labels.hate: column "y" has values' in message
    path = jsonl("y.jsonl", {"text": "a", "y": 1}, *bad, {"text": "b", "y": 0})
    reading = read("s", source(path, bad_rows="drop"))
    assert [(e.id, e.text) for e in reading] == [("s:0", "a"), ("s:7", "b")]
    assert (reading.rows, reading.dropped) == (8, 6)
    assert reading.left_out["empty"] == 2


def test_nothing_usable_is_an_error() -> None:
    message = refusal(jsonl("x.jsonl", {"text": "", "y": 1}, {"y": 1}), bad_rows="drop")
    assert message.startswith("x.jsonl: no usable row among 2: 1 empty, 1 missing")


# --- ids, groups, slices ------------------------------------------------------------------------------------


def test_ids_and_their_repetition() -> None:
    path = jsonl("x.jsonl", *({"k": k, "text": "a", "y": 1} for k in ("x", 7, 8.0, "1.0")))
    assert [e.id for e in examples(path, id="k")] == ["s:x", "s:7", "s:8", "s:1.0"]
    keys = ["x", "y", "x", 7, "7", "x", ""]
    path = jsonl("y.jsonl", *({"k": k, "text": SECRET, "y": 1} for k in keys))
    message = refusal(path, id="k")
    assert [line for line in message.splitlines() if line[0] != " "] == [
        'y.jsonl:7: the id column "k" is empty',
        "y.jsonl:3: the id is already at y.jsonl:1",
        "y.jsonl:5: the id is already at y.jsonl:4",
    ]
    path = jsonl("z.jsonl", *({"k": "max.mustermann@example.com", "text": "a", "y": 1} for _ in range(2)))
    assert "mustermann" not in refusal(path, id="k")


def test_groups() -> None:
    table = [("A  b", "u1", "t1"), ("a\tB", "", "t1"), ("c", "", ""), ("d", None, 3)]
    path = jsonl("x.jsonl", *({"text": t, "u": u, "t": n, "y": 1} for t, u, n in table))
    by_text = [e.group for e in examples(path)]
    assert by_text[0] == by_text[1] != by_text[2]
    assert by_text[0].startswith("text:") and len(by_text[0]) == 5 + 16
    assert [e.group for e in examples(path, group="u")] == ["s:u1", *by_text[1:]]
    assert [e.group for e in examples(path, group=("u", "t"))] == ["s:u1|t1", "s:|t1", by_text[2], "s:|3"]


def test_slices() -> None:
    path = jsonl("x.jsonl", {"text": "a", "y": 1, "l": " de ", "n": 2.0}, {"text": "b", "y": 1, "l": ""})
    found = examples(path, slices={"kind": "x", "lang": {"column": "l"}, "n": {"column": "n"}})
    assert [dict(e.slices) for e in found] == [{"kind": "x", "lang": "de", "n": "2"}, {"kind": "x"}]
    path = jsonl("y.jsonl", {"text": "a", "y": 1, "l": [SECRET]})
    message = refusal(path, slices={"lang": {"column": "l"}})
    assert "y.jsonl:1: id, group, split, slice or item: a list instead of one value" in message
    path = jsonl("z.jsonl", {"text": "a", "y": "\ud800\x1b", "l": "\ud800"})
    assert "z.jsonl:1: id, group or slice: half a character" in refusal(path, slices={"l": {"column": "l"}})
    path = jsonl("z.jsonl", *({"text": "a", "y": "\ud800\x1b"} for _ in range(2)))
    assert r'"\ud800\u001b" (2 rows)' in refusal(path)  # messages can be printed


# --- labels -------------------------------------------------------------------------------------------------


def cells(said: Any, *values: Any) -> list[float | None]:
    path = jsonl("cells.jsonl", *({"text": "a", "y": value} for value in values))
    return [e.labels["hate"] for e in examples(path, labels={"hate": said})]


def test_a_column_of_probabilities() -> None:
    assert cells("y", 1, 0.5, "0.25", " 1.0 ", True, "False", "TRUE") == [1, 0.5, 0.25, 1, 1, 0, 1]
    assert cells("y", None, "", "  ", float("nan"), 0) == [None, None, None, None, 0]


@pytest.mark.parametrize("value", [1.5, -1, "yes", "nan", "inf", "1_0", [1], {}, 10**400])
def test_values_that_are_no_probability(value: Any) -> None:
    path = jsonl("x.jsonl", {"text": SECRET, "y": 1}, {"text": SECRET, "y": value})
    message = refusal(path)
    assert message.startswith('x.jsonl:2: labels.hate: column "y" has values that are no probability')


def test_a_map() -> None:
    said = {"column": "y", "map": {"1": 1, "0": 0, "unsure": None, "true": 0.9, "": 0.1}}
    assert cells(said, 1, "1", "1.0", 1.0, " 1 ", 0, "unsure", True, "True", "", None) == [
        *(1, 1, 1, 1, 1, 0, None, 0.9, 0.9, 0.1, 0.1)
    ]
    assert cells({"column": "y", "map": {"a": 1}}, "a", None, "") == [1, None, None]
    assert cells({"column": "y", "map": {1: 1, 0.0: 0}}, "1", "0") == [1, 0]  # as YAML reads unquoted keys
    assert cells({"column": "y", "map": {True: 1, False: 0}}, "True", False) == [1, 0]
    long = {"column": "y", "map": {"12345678901234567": 1, "12345678901234568": 0}}
    assert cells(long, "12345678901234568.0") == [0]


def test_values_without_a_mapping_are_counted() -> None:
    values = ["hateful"] * 3 + ["Hateful"] * 2 + ["unsafe"] + [SECRET * 3] + ["safe"]
    path = jsonl("x.jsonl", *({"text": SECRET, "y": value} for value in values))
    message = refusal(path, labels={"hate": {"column": "y", "map": {"hateful": 1, "safe": 0}}})
    assert message.splitlines() == [
        'x.jsonl:4: labels.hate: column "y" has values that `map` does not list: '
        '"Hateful" (2 rows), 2 values in one row each (x.jsonl:6, x.jsonl:7)',
        '    expected: one of "hateful", "safe"',
        '    try: "hateful" for "Hateful"; list them under labels.hate.map (null is unknown)',
    ]
    path = jsonl("y.jsonl", *({"text": "a", "y": f"{SECRET} {n}"} for n in range(1500)))
    assert "over 50 different ones, in 1,500 rows" in refusal(path)


def test_a_value_of_one_row_is_never_shown() -> None:
    """A column of texts named by mistake: each stands once, however few they are."""
    path = jsonl("x.jsonl", *({"text": "a", "y": f"{SECRET}{n}", "k": f"{SECRET}{n}"} for n in range(12)))
    wrong = [
        {"labels": {"hate": "y"}},
        {"labels": {"hate": {"column": "y", "map": {"nobody-may-read": 1}}}},
        {"labels": {"hate": {"votes": "y", "of": "k"}}},
        {"labels": {}, "all_negative": True, "split": {"column": "y", "map": {"train": "train"}}},
    ]
    for fields in wrong:
        message = refusal(path, **fields)
        assert message.startswith("x.jsonl:1: ") and ("x.jsonl:10 ..." in message or "also 2, 3" in message)
        assert message.count("x.jsonl:1:") == 1 and "more problems" not in message


def test_votes() -> None:
    table = [(1, 2), ("3", "4"), (0, 3), (2, 2), ("", ""), (1, None), (0.1 + 0.2, 0.3)]
    path = jsonl("x.jsonl", *({"text": "a", "y": y, "of": of} for y, of in table))
    found = examples(path, labels={"hate": {"votes": "y", "of": "of"}})
    assert [e.labels["hate"] for e in found] == [0.5, 0.75, 0.0, 1.0, None, None, 1.0]
    write("x.csv", "text,a,b,n\nt,1,1,4\n")
    assert examples("x.csv", labels={"hate": {"votes": ["a", "b"], "of": "n"}})[0].labels == {"hate": 0.5}


def test_wrong_votes_are_told_by_their_kind() -> None:
    table = [(1, 2), (1, 0), (-1, 2), (3, 2), ("", 2), ("many", 2), (1, "x" * 30), (True, 2), (1, -2)]
    path = jsonl("x.jsonl", *({"text": SECRET, "y": y, "of": of} for y, of in table))
    message = refusal(path, labels={"hate": {"votes": "y", "of": "of"}})
    assert [line for line in message.splitlines() if line[0] != " "] == [
        'x.jsonl:2: labels.hate: column "of" is not above 0, 2 times; also 9',
        'x.jsonl:3: labels.hate: column "y" is below 0',
        'x.jsonl:4: labels.hate: column "of" is below y',
        'x.jsonl:5: labels.hate: column "y" is empty',
        'x.jsonl:6: labels.hate: column "y" is no number, 2 times; also 8',
        'x.jsonl:7: labels.hate: column "of" is no number',
    ]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"labels": {"hate": "text"}}, "labels.hate reads the text column"),
        ({"id": "text"}, "id reads the text column"),
        ({"slices": {"lang": {"column": "text"}}}, "slices.lang reads the text column"),
        ({"labels": {"hate": {"column": "y", "map": {"a": 2}}}}, "less than or equal to 1"),
        ({"labels": {"hate": {"votes": [], "of": "n"}}}, "at least 1 item"),
        ({"encoding": "utf-9"}, "not a known encoding"),
        ({"labels": {}}, "say labels, or all_negative: true"),
        ({"format": "hub"}, "format"),
        ({"path": "file://x.csv"}, "expected file:// and an absolute path"),
        ({"turns": "c", "share": 0.1, "rows": 2}, "either text or turns; say either share or rows"),
    ],
)
def test_mappings_that_cannot_be_right(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        source(fields.pop("path", "x.csv"), **fields)


# --- digests and real data ----------------------------------------------------------------------------------


def test_digests_follow_content_and_names() -> None:
    write("a.csv", "text,y\na,1\n")
    first = content_digest(source("a.csv"))
    assert first == content_digest(source(write("b.csv", "text,y\na,1\n"), id="y"))
    assert first != content_digest(source(write("b.csv", "text,y\na,0\n")))
    Path("g/de").mkdir(parents=True)
    write("g/a.yaml", "a")
    write("g/de/b.yaml", "b")
    digest = content_digest(source("g"))
    write("g/notes.md", "not part of it")
    assert content_digest(source("g")) == digest
    Path("g/de/b.yaml").rename("g/b.yaml")
    assert content_digest(source("g")) != digest
    with pytest.raises(InputError, match="no such file"):
        content_digest(source("none.csv"))


@pytest.mark.skipif(not (DATA / "davidson").is_dir(), reason=f"the davidson tweets are not in {DATA}")
def test_davidson() -> None:
    labels = {
        "hate": {"votes": "hate_speech", "of": "count"},
        "harassment": {"votes": ["hate_speech", "offensive_language"], "of": "count"},
    }
    path = str(DATA / "davidson" / "labeled_data.csv")
    found = examples(path, text="tweet", labels=labels, slices={"lang": "en", "surface": "comment"})
    assert len(found) == 24_783 == len({e.id for e in found})
    hate = [e.labels["hate"] for e in found]
    assert sum(h > 0.5 for h in hate if h is not None) == 1_422
    assert sum(h == 0.5 for h in hate) == 7
    assert sum((e.labels["harassment"] or 0) > 0.5 for e in found) == 20_620
    assert found[0].slices == {"lang": "en", "surface": "comment"}
