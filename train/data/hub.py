"""A split of a dataset on the Hugging Face hub, or of a local dataset folder, as rows."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from train.data.findings import is_folder, missing
from train.data.values import Row
from train.errors import InputError, Problem
from train.files import cache_folder, sha256_bytes, sha256_file

if TYPE_CHECKING:
    import datasets

PREFIX = "hub:"
_FORM = re.compile(
    r"hub:(?P<name>[^:@]+)(@(?P<revision>[0-9a-f]{40}))?(:(?P<config>[^:/@]+))?:(?P<split>\w+)"
)
EXPECTED = "hub:OWNER/NAME@COMMIT:SPLIT or hub:OWNER/NAME@COMMIT:CONFIG:SPLIT; COMMIT is 40 hex digits"


@dataclass(frozen=True)
class Address:
    """`hub:OWNER/NAME@COMMIT[:CONFIG]:SPLIT`; a folder (begins with `.` or `/`) needs no commit."""

    name: str
    revision: str | None
    config: str | None
    split: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ValueError, whose text says what was expected."""
        match = _FORM.fullmatch(text)
        if match is None:
            raise ValueError(f"expected {EXPECTED}")
        found = cls(match["name"], match["revision"], match["config"], match["split"])
        if found.revision is None and not found.is_folder:
            raise ValueError(f"a hub id without a commit: what it names can change; expected {EXPECTED}")
        return found

    @property
    def is_folder(self) -> bool:
        return self.name.startswith((".", "/", "~"))

    def must_be_there(self) -> None:
        """Raises InputError where a local folder is missing; of the hub nothing is asked."""
        folder = Path(self.name).expanduser()
        if self.is_folder and not is_folder(folder):
            raise InputError(missing(folder))

    def digest(self) -> str:
        """The commit, config and split; of a folder, its files' names and bytes. Raises InputError."""
        self.must_be_there()
        if not self.is_folder:
            return f"hub:{self.name}@{self.revision}:{self.config}:{self.split}"
        folder = Path(self.name).expanduser()
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        parts = [f"{path.relative_to(folder).as_posix()}\0{sha256_file(path)}\n" for path in files]
        return sha256_bytes("".join([*parts, f"{self.config}:{self.split}"]).encode())

    def columns(self) -> list[str]:
        return list(self._split.column_names)

    def rows(self, only: Collection[str] | None = None) -> Iterator[Row]:
        """(place, row) with the columns `only`; the numbers of a class column are the class's names."""
        import datasets

        found = self._split
        if only is not None:
            found = found.select_columns([name for name in found.column_names if name in only])
        names = {
            column: feature.names
            for column, feature in found.features.items()
            if isinstance(feature, datasets.ClassLabel)
        }
        for number, row in enumerate(found, 1):
            cells: dict[str, Any] = dict(row)
            for column, of in names.items():
                value = cells[column]
                cells[column] = of[value] if isinstance(value, int) and 0 <= value < len(of) else None
            yield f"{PREFIX}{self.name}:{self.split} row {number}", cells

    @property
    def _split(self) -> datasets.Dataset:
        import datasets

        name = str(Path(self.name).expanduser()) if self.is_folder else self.name
        where = f"{PREFIX}{self.name}:{self.split}"
        try:
            with _quiet():
                found = datasets.load_dataset(
                    name,
                    self.config,
                    split=self.split,
                    revision=self.revision,
                    # what is prepared of a folder holds texts: it belongs beside our own
                    cache_dir=str(cache_folder() / "datasets") if self.is_folder else None,
                )
        except ValueError as error:  # its text names splits and configurations, never a row
            raise InputError(Problem(where, str(error).splitlines()[0], EXPECTED)) from None
        except (OSError, RuntimeError, datasets.exceptions.DatasetsError) as error:
            what = f"cannot be loaded ({type(error.__cause__ or error).__name__})"
            remedy = (
                "look at its files: all need the same columns, of the same types"
                if self.is_folder
                else "look at the id, the commit and the network; HF_HUB_OFFLINE=1 keeps to what is cached"
            )
            raise InputError(Problem(where, what, "a dataset that `datasets` can load", remedy)) from None
        if not isinstance(found, datasets.Dataset):
            raise InputError(Problem(where, "is not one split", "the name of a split, such as train"))
        return found


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the progress bars of `datasets`, unless they were off already."""
    import datasets

    before = datasets.is_progress_bar_enabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if before:
            datasets.enable_progress_bars()
