"""The lines of a text file: unpacked, decoded, numbered; or the place where that fails, and what to do."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

from train.data.findings import Findings


class Lines:
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
        except UnicodeDecodeError:
            line_number, offset, byte = _bad_byte(path, self._encoding)
            unpacked = " of the unpacked file" if path.suffix.lower() == ".gz" else ""
            what = f"byte {byte} (at offset {offset:,}{unpacked}) is not {self._encoding}"
            remedy = _disguise(path) or _other_encoding(self._encoding)
            found.stop(f"{path}:{line_number}", what, f"text in {self._encoding}", remedy)
        except UnicodeError:  # of the encoding as such: it begins with a mark, or decodes nothing
            wide = {"utf-16", "utf-32"} & {codecs.lookup(self._encoding).name}
            lacks = "has no byte order mark" if wide else f"is not {self._encoding}"
            remedy = (
                f"encoding: {self._encoding}-le or {self._encoding}-be, or utf-8"
                if wide
                else "encoding: utf-8"
            )
            found.stop(str(path), f"the file {lacks}", f"text in {self._encoding}", remedy)
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
