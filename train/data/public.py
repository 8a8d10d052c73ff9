"""The public sources this project knows: whose they are, what they label, which bytes they are.

The catalogue is public.yaml beside this file; nothing here touches the network.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from train.document import COMMAND_LINE, build, did_you_mean, read
from train.errors import InputError, Problem
from train.spec import Spec

CATALOGUE = Path(__file__).with_name("public.yaml")

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]  # of one file or folder
Inside = Annotated[
    str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)*$")
]
Link = Annotated[str, StringConstraints(pattern=r"^https://\S+$")]


class PublicFile(Spec):
    """One published file, known to the last byte."""

    at: Inside
    """Its path in the upstream repository."""
    rows: int = Field(gt=0)
    bytes: int = Field(gt=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class PublicSource(Spec):
    """A published data set: what its licence asks to be said of it, and its files."""

    labels: str
    """What it labels, in a line."""
    rows: str
    """What a row is."""
    language: str
    use: Literal["train", "evaluate"]
    """evaluate: to measure with, never to train on."""
    licence: str
    """As a recipe names it in `licence:`."""
    licence_link: Link
    cite: str
    """Authors, year, title: whom the licence wants named."""
    paper: Link
    repository: Inside
    """owner/name on GitHub."""
    commit: str = Field(pattern=r"^[0-9a-f]{40}$")
    files: dict[Name, PublicFile] = Field(min_length=1)
    """Name under DIR/<source>/ -> file."""

    @property
    def page(self) -> str:
        return f"https://github.com/{self.repository}/tree/{self.commit}"

    def address(self, file: str) -> str:
        """Where the pinned commit has a file."""
        return f"https://raw.githubusercontent.com/{self.repository}/{self.commit}/{self.files[file].at}"


class Catalogue(Spec):
    schema_: Literal[1] = Field(alias="schema")
    sources: dict[Name, PublicSource]


def catalogue() -> dict[str, PublicSource]:
    """Every known source by name. Raises InputError where public.yaml is damaged."""
    problems: list[Problem] = []
    tree = read(CATALOGUE, problems)
    found = build(Catalogue, tree, problems) if tree else None
    if found is None:
        raise InputError(problems)
    return found.sources


def chosen(names: Sequence[str]) -> dict[str, PublicSource]:
    """The sources of these names; without any, all. Raises InputError that lists every unknown name."""
    known = catalogue()
    unknown = [name for name in dict.fromkeys(names) if name not in known]
    if unknown:
        what = "no public source is named"
        raise InputError(
            [Problem(COMMAND_LINE, f"{what} {name!r}", "", did_you_mean(name, known)) for name in unknown]
        )
    return {name: known[name] for name in (names or known)}


def data_folder() -> Path:
    """`$TEENSAFE_DATA`, default ./data: where recipes look for public sources."""
    return Path(os.environ.get("TEENSAFE_DATA") or "data")


def listing(sources: dict[str, PublicSource]) -> Iterator[str]:
    """Lines for a person: three a source."""
    from rich.filesize import decimal

    for name, source in sources.items():
        rows = sum(file.rows for file in source.files.values())
        size = decimal(sum(file.bytes for file in source.files.values()))
        use = "" if source.use == "train" else "  evaluate only"
        yield f"{name:<19} {rows:>6,} rows  {source.language}  {source.licence:<12} {size:>8}{use}"
        yield f"    {source.labels} ({source.rows})"
        yield f"    {source.page}"


def notice(name: str, source: PublicSource) -> str:
    """SOURCE.md, kept beside the files: licences ask that author, licence and origin stay with a copy."""
    use = {"train": "to train and to evaluate", "evaluate": "only to evaluate"}[source.use]
    files = "\n".join(
        f"| `{file}` | `{known.at}` | {known.rows:,} | {known.bytes:,} | `{known.sha256}` |"
        for file, known in source.files.items()
    )
    return f"""\
# {name}

Fetched by `teensafe data fetch`, unchanged. The texts hold real abuse.

- labels: {source.labels}
- language: {source.language}
- use: {use}
- licence: {source.licence}, {source.licence_link}
- cite: {source.cite} {source.paper}
- upstream: {source.page}

| file | upstream path | rows | bytes | sha256 |
|---|---|---|---|---|
{files}

Rows are {source.rows}.
"""
