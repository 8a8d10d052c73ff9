"""What people's answers came back in, to votes: Label Studio's JSON, JSON-MIN or CSV, or a filled sheet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from train.curation.people import label_studio, sheet
from train.curation.people.votes import Vote, keep, table
from train.data.findings import Findings, must_be_file
from train.data.rows import Table, resolve_format
from train.files import sha256_file
from train.policy import Policy

if TYPE_CHECKING:
    import pyarrow as pa


def bring_in(path: Path, policy: Policy, folder: Path) -> int:
    """Keep the votes of a file for ever; how many it holds. Raises InputError as `votes` does."""
    found = votes(path, policy)
    keep(folder, found)
    return len(found)


def votes(path: Path, policy: Policy) -> pa.Table:
    """The table of votes.py. Raises InputError with every odd answer, its place and no more of it."""
    found = Findings(path)
    read = [vote._replace(file=path.name) for vote in _votes(path, policy, found)]
    if not read and not found:
        found.add(str(path), "holds no answer", "completed annotations, or yes, no and unsure in the labels")
    found.close()
    return table(read)


def _votes(path: Path, policy: Policy, found: Findings) -> Iterator[Vote]:
    must_be_file(path)
    digest = sha256_file(path)[:12]
    for where, row in Table(path, resolve_format(path, None)).rows(found=found):
        if "annotations" in row:
            read = label_studio.votes(where, row, policy, found)
        else:
            place = where.removeprefix(str(path))  # a copy under another name holds the same ballots
            read = sheet.votes(where, row, policy, found, f"{digest}{place}")
        for vote in read:
            try:
                f"{vote.item}{vote.annotator}{vote.ballot}{vote.policy}".encode()
            except UnicodeEncodeError:
                found.add(where, "half a character (a lone surrogate)", "whole characters")
            else:
                yield vote
