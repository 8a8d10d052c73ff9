"""A file of any known format to its rows: (where, {column: value}), one at a time.

CSV, TSV, JSONL and Parquet are streamed: memory holds a line or a batch, not the file. A JSON array has no
place to stop before its end and is read whole. What is wrong with the file is said with its place and never
with its content: these files hold what people wrote.
"""

from __future__ import annotations

import codecs
import csv
import difflib
import gzip
import io
import json
import stat
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Literal, NoReturn

from train.errors import InputError, Problem

Format = Literal["csv", "tsv", "json", "jsonl", "parquet", "grammar"]
Row = tuple[str, dict[str, Any]]

SHOWN = 20  # problems of one file that are spelled out; the rest are counted
FIELD_LIMIT = 1 << 24  # characters; a longer CSV field is a quote mark that nobody closed
SAMPLE = 1000  # rows of a JSON file that tell its columns
_DELIMITERS = {"csv": ",", "tsv": "\t"}


def rows(
    path: Path,
    format: Format,
    delimiter: str | None,
    encoding: str,
    *,
    names: Sequence[str] | None = None,
    quotes: bool = True,
    only: Collection[str] | None = None,
    found: Findings | None = None,
) -> Iterator[Row]:
    """Yield (where, row) in file order.

    where: "x.csv:41" (line a record starts at), "x.json item 12", "x.parquet row 12", counted from 1.
    names: the columns of a CSV or TSV file without a header line. quotes: whether quote marks enclose fields.
    only: the columns to read from Parquet. found: where to note problems of single rows; they are raised at
    the end of the file when it is not given. Problems that end the reading are raised at once, as InputError.
    """
    mine = Findings(path)
    notes = mine if found is None else found
    if format == "grammar":
        from train.data import grammar

        yield from grammar.rows(path)
        return
    must_be_file(path)
    if format == "parquet":
        stream = _parquet(path, only, notes)
    elif format == "json":
        stream = _json(path, encoding, notes)
    elif format == "jsonl":
        stream = _jsonl(path, encoding, notes)
    else:
        mark = delimiter or _DELIMITERS[format]
        stream = _delimited(_records(path, mark, encoding, quotes, notes), path, mark, names, notes)
    any_row = False
    for row in stream:
        any_row = True
        yield row
    if not any_row and not notes:
        notes.stop(str(path), "has no rows", remedy="check that the download or export was complete")
    mine.close()


def columns(
    path: Path,
    format: Format,
    delimiter: str | None,
    encoding: str,
    *,
    names: Sequence[str] | None = None,
    quotes: bool = True,
) -> list[str]:
    """The columns of a file: its header or schema; for JSON and JSONL the keys of its first 1,000 items."""
    notes = Findings(path)
    if format == "parquet":
        must_be_file(path)
        return _parquet_columns(path, notes)
    if format in _DELIMITERS:
        must_be_file(path)
        records = _records(path, delimiter or _DELIMITERS[format], encoding, quotes, notes)
        return _header(records, path, names, notes)
    sample = islice(rows(path, format, delimiter, encoding, found=notes), SAMPLE)
    keys = dict.fromkeys(key for _, row in sample for key in row)
    if not keys:
        notes.close()
    return list(keys)


class Findings:
    """The problems of one file, to be raised together: the first ones in full, the rest as a number."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._problems: list[Problem] = []
        self._more = 0

    def __bool__(self) -> bool:
        return bool(self._problems)

    def add(self, where: str, what: str, expected: str = "", remedy: str = "") -> None:
        if len(self._problems) < SHOWN:
            self._problems.append(Problem(where, what, expected, remedy))
        else:
            self._more += 1

    def stop(self, where: str, what: str, expected: str = "", remedy: str = "") -> NoReturn:
        """Raise now: nothing after this place can be read."""
        raise InputError([*self._all(), Problem(where, what, expected, remedy)])

    def close(self) -> None:
        if self._problems:
            raise InputError(self._all())

    def _all(self) -> list[Problem]:
        more = [Problem(str(self._path), f"and {self._more:,} more problems")] if self._more else []
        return [*self._problems, *more]


def must_be_file(path: Path) -> None:
    """Raise InputError unless `path` is a file that can be looked at."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise InputError(missing(path)) from None
    except OSError as error:
        raise InputError(Problem(str(path), f"cannot be read: {error.strerror}")) from None
    if stat.S_ISDIR(mode):
        inside = [name for name in _names(path) if not name.startswith(".")]
        remedy = f"one file in it: {quoted(inside)}" if inside else ""
        raise InputError(Problem(str(path), "is a folder", "a file", remedy))
    if not stat.S_ISREG(mode):
        raise InputError(Problem(str(path), "is a pipe or a device", "a file: it is read more than once"))


def missing(path: Path) -> Problem:
    """The problem of a file that is not there, with the names most like it."""
    absent = path
    while not is_folder(absent.parent) and absent.parent != absent:
        absent = absent.parent
    what = "no such file" if absent == path else f"no such file: there is no folder {absent}"
    near = nearest(absent.name, _names(absent.parent))
    return Problem(str(path), what, remedy=f"{quoted([near])}, which is there" if near else "")


def is_folder(path: Path) -> bool:
    """Whether it is a folder that we may know of; `Path.is_dir` raises where we may not."""
    try:
        return path.is_dir()
    except OSError:
        return False


def _names(folder: Path) -> list[str]:
    try:
        return sorted(p.name for p in folder.iterdir())
    except OSError:
        return []


def nearest(word: str, words: Iterable[str]) -> str | None:
    """The word that was probably meant."""
    by_small = {w.casefold(): w for w in words}
    match = difflib.get_close_matches(word.casefold(), by_small, n=1)
    return by_small[match[0]] if match else None


def quoted(names: Iterable[str], most: int = 30) -> str:
    """Names for a message. A long one may be a user's text (a header that is none) and is not shown."""
    first = list(islice(names, most + 1))
    shown = [
        in_quotes(name) if len(name) <= 60 and name.count(" ") < 3 else f"(a name of {len(name)} characters)"
        for name in first[:most]
    ]
    return ", ".join(shown) + (", ..." if len(first) > most else "")


def in_quotes(text: str) -> str:
    """Text for a terminal: control characters and half characters are escaped."""
    return json.dumps(text, ensure_ascii=False).encode(errors="backslashreplace").decode()


def collapsed(text: str) -> str:
    """Case-folded, white space collapsed: texts that agree in this are the same text to a reader."""
    return " ".join(text.casefold().split())


# --- delimited text -----------------------------------------------------------------------------------------


def _delimited(
    records: Iterator[tuple[int, list[str]]],
    path: Path,
    delimiter: str,
    names: Sequence[str] | None,
    found: Findings,
) -> Iterator[Row]:
    header = _header(records, path, names, found) if names is None else list(names)
    width = len(header)
    expected = f"{width}, as many as the header" if names is None else f"{width}, as many as `columns` names"
    remedy = f"quote the fields that hold {delimiter!r}"
    if width == 1 and names is None and (hint := other_delimiter(header)):
        remedy = hint
    for line, fields in records:
        if len(fields) == width:
            yield f"{path}:{line}", dict(zip(header, fields, strict=True))
        else:
            found.add(f"{path}:{line}", f"{len(fields)} fields", expected, remedy)


def other_delimiter(header: Sequence[str]) -> str:
    """What to set when a header that came out as one field holds another delimiter."""
    marks = {";": "';'", "\t": r'"\t"', "|": "'|'", ",": "','"}
    marks = {mark: shown for mark, shown in marks.items() if len(header) == 1 and mark in header[0]}
    return f"delimiter: {marks[max(marks, key=header[0].count)]}" if marks else ""


def _header(
    records: Iterator[tuple[int, list[str]]], path: Path, names: Sequence[str] | None, found: Findings
) -> list[str]:
    first = next(records, None)
    if first is None:
        found.stop(str(path), "is empty", remedy="check that the download or export was complete")
    if names is not None:
        return list(names)
    line, header = first
    repeated = sorted({name for name in header if name and header.count(name) > 1})
    if repeated:
        what = f"the header names {quoted(repeated)} more than once"
        found.stop(f"{path}:{line}", what, "each name once", "columns: [...], if the file has no header line")
    return header


def _records(
    path: Path, delimiter: str, encoding: str, quotes: bool, found: Findings
) -> Iterator[tuple[int, list[str]]]:
    """(line it starts at, fields) of each record; blank lines are skipped."""
    csv.field_size_limit(FIELD_LIMIT)
    lines = _Lines(path, encoding, "", found)
    quoting: Literal[0, 3] = csv.QUOTE_MINIMAL if quotes else csv.QUOTE_NONE
    reader = csv.reader(lines, delimiter=delimiter, quoting=quoting, strict=True)
    start = 1
    try:
        for fields in reader:
            if fields:
                yield start, fields
            start = lines.number + 1
    except csv.Error as error:
        message = str(error)
        if "end of data" in message:
            what = "a quote mark opens a field here and is never closed"
        elif "field limit" in message:
            what = f"a field of over {FIELD_LIMIT:,} characters: perhaps a quote mark that is never closed"
        else:
            what = "text follows the quote mark that closes a field"
        remedy = (
            "double the quote marks inside a quoted field; or, if they enclose nothing here, quotes: false"
        )
        found.stop(f"{path}:{start}", what, remedy=remedy)


class _Lines:
    """The lines of a text file, unpacked and decoded; `number` is the line last given out.

    newline: "" also splits at a lone carriage return, "\\n" does not (as `open` has it).
    """

    def __init__(self, path: Path, encoding: str, newline: str, found: Findings) -> None:
        self.number = 0
        self._path, self._encoding, self._newline, self._found = path, encoding, newline, found

    def __iter__(self) -> Iterator[str]:
        path, found = self._path, self._found
        try:
            with (
                _opened(path) as raw,
                io.TextIOWrapper(raw, encoding=self._encoding, newline=self._newline) as stream,
            ):
                classic = True  # only carriage returns so far: they are the line ends
                for line in stream:
                    if classic and line.endswith("\n"):
                        classic = False
                    if self.number == 0:
                        line = self._without_mark(line)
                    if classic or line.endswith("\n") or not line.endswith("\r"):
                        self.number += 1
                    if "\0" in line:
                        self._stop_at_nul(line)
                    yield line
        except UnicodeError:
            line_number, offset, byte = _bad_byte(path, self._encoding)
            unpacked = " of the unpacked file" if path.suffix.lower() == ".gz" else ""
            what = f"byte {byte} (at offset {offset:,}{unpacked}) is not {self._encoding}"
            remedy = _disguise(path) or _other_encoding(self._encoding)
            found.stop(f"{path}:{line_number}", what, f"text in {self._encoding}", remedy)
        except LookupError:
            found.stop(str(path), f"encoding {self._encoding} is unknown", "utf-8, cp1252, latin-1, ...")
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            broken = "ends too early" if isinstance(error, EOFError) else "is not whole, or not gzip"
            where = f"{path}:{self.number}" if self.number else str(path)
            found.stop(where, f"the gzip file {broken}", remedy="fetch it again; test it with gzip -t")
        except OSError as error:
            found.stop(str(path), f"cannot be read: {error.strerror or type(error).__name__}")

    def _stop_at_nul(self, line: str) -> NoReturn:
        what = f"a NUL byte, character {line.index(chr(0)) + 1} of the line"
        remedy = _disguise(self._path) or "encoding: utf-16, if the file is; or remove the NUL bytes"
        self._found.stop(f"{self._path}:{self.number}", what, "text", remedy)

    def _without_mark(self, line: str) -> str:
        if line.startswith("\xef\xbb\xbf"):  # a UTF-8 byte order mark, read as another encoding
            what = f"the file says that it is UTF-8, encoding: {self._encoding}"
            self._found.stop(f"{self._path}:1", what, remedy="encoding: utf-8")
        return line.removeprefix("\ufeff")


def _opened(path: Path) -> gzip.GzipFile | io.BufferedReader:
    return gzip.open(path, "rb") if path.suffix.lower() == ".gz" else path.open("rb")


def _bad_byte(path: Path, encoding: str) -> tuple[int, int, str]:
    """(line, offset, byte in hex) of the first byte that does not decode."""
    decoder = codecs.getincrementaldecoder(encoding)()
    line, offset = 1, 0
    with _opened(path) as raw:
        while True:
            chunk = raw.read(1 << 16)
            state = decoder.getstate()
            try:
                line += decoder.decode(chunk, not chunk).count("\n")
            except UnicodeDecodeError as error:
                start = error.start - len(state[0])  # the decoder had kept the beginning of a character
                decoder.setstate(state)
                line += decoder.decode(chunk[: max(start, 0)]).count("\n")
                return line, offset + start, f"0x{error.object[error.start]:02x}"
            if not chunk:
                return line, offset, "at the end"
            offset += len(chunk)


def _disguise(path: Path) -> str:
    """What to do about a file that is no text file at all, from its first bytes."""
    with _opened(path) as raw:
        head = raw.read(4)
    remedies: dict[bytes, str] = {
        b"\xff\xfe": "encoding: utf-16",
        b"\xfe\xff": "encoding: utf-16",
        b"\x1f\x8b": "the file is packed with gzip: let its name end in .gz",
        b"PK\x03\x04": "the file is a zip archive or a spreadsheet: unpack it, or export it as CSV",
        b"PAR1": "format: parquet",
    }
    return next((remedy for magic, remedy in remedies.items() if head.startswith(magic)), "")


def _other_encoding(encoding: str) -> str:
    if codecs.lookup(encoding).name in ("utf-8", "utf-8-sig"):
        return "encoding: cp1252 or encoding: latin-1, whichever shows the accents right; or save it as UTF-8"
    return "encoding: utf-8"


# --- JSON ---------------------------------------------------------------------------------------------------


def _json(path: Path, encoding: str, found: Findings) -> Iterator[Row]:
    text = "".join(_Lines(path, encoding, "\n", found))
    if not text.strip():
        found.stop(str(path), "is empty", remedy="check that the download or export was complete")
    try:
        items = json.loads(text)
    except json.JSONDecodeError as error:
        remedy = "format: jsonl, if each line is an object of its own" if error.msg == "Extra data" else ""
        found.stop(f"{path}:{error.lineno}:{error.colno}", f"broken JSON: {error.msg}", remedy=remedy)
    except (RecursionError, ValueError):
        found.stop(str(path), "broken JSON: nested too deep, or a number of thousands of digits")
    del text
    if not isinstance(items, list):
        found.stop(f"{path}:1", f"the file holds {_kind(items)}", "an array of objects: [{...}, {...}]")
    for number, item in enumerate(items, 1):
        if isinstance(item, dict):
            yield f"{path} item {number}", item
        else:
            found.add(f"{path} item {number}", f"is {_kind(item)}", "an object: {...}")


def _jsonl(path: Path, encoding: str, found: Findings) -> Iterator[Row]:
    lines = _Lines(path, encoding, "\n", found)
    first = True
    for line in lines:
        if line.isspace():
            continue
        try:
            item = json.loads(line)
        except json.JSONDecodeError as error:
            where = f"{path}:{lines.number}:{error.colno}"
            if first and line.strip() in ("[", "{"):
                found.stop(
                    where, "broken JSON: one value over several lines", "one object a line", "format: json"
                )
            found.add(where, f"broken JSON: {error.msg}", "one object a line")
        except (RecursionError, ValueError):
            found.add(f"{path}:{lines.number}", "broken JSON: nested too deep, or thousands of digits")
        else:
            if isinstance(item, dict):
                yield f"{path}:{lines.number}", item
            else:
                remedy = "format: json" if first and isinstance(item, list) else ""
                found.add(f"{path}:{lines.number}", f"is {_kind(item)}", "an object: {...}", remedy)
        first = False
    if first:
        found.stop(str(path), "is empty", remedy="check that the download or export was complete")


def _kind(value: object) -> str:
    kinds: Mapping[type, str] = {
        list: "an array",
        dict: "an object",
        str: "a text",
        bool: "true or false",
        type(None): "null",
    }
    return kinds.get(type(value), "a number")


# --- Parquet ------------------------------------------------------------------------------------------------


def _parquet(path: Path, only: Collection[str] | None, found: Findings) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    _parquet_columns(path, found)
    number = 0
    try:
        with pq.ParquetFile(path) as file:
            wanted = None if only is None else sorted(only)
            for batch in file.iter_batches(batch_size=1024, columns=wanted):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{path} row {number}", row
    except (pa.ArrowException, OSError, ValueError) as error:
        after = f"{path} row {number + 1}" if number else str(path)
        found.stop(after, f"broken Parquet ({type(error).__name__})", remedy="write or fetch the file again")


def _parquet_columns(path: Path, found: Findings) -> list[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    if path.stat().st_size == 0:
        found.stop(str(path), "is empty", remedy="check that the download or export was complete")
    try:
        names: list[str] = pq.read_schema(path).names
    except (pa.ArrowException, OSError, ValueError) as error:
        remedy = "fetch the file again, or set format: to what it is"
        found.stop(str(path), f"is not whole, or not Parquet ({type(error).__name__})", remedy=remedy)
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        found.stop(str(path), f"the columns {quoted(repeated)} occur more than once", "each name once")
    return names
