"""A list of words a label: what most platforms begin with."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence, Set
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, StringConstraints

from train.baselines.attempt import SPLITS, Attempt
from train.document import COMMAND_LINE, build, did_you_mean, read
from train.errors import InputError, Problem
from train.files import canonical_json, sha256_bytes
from train.lock import Resolved
from train.spec import Spec

SHIPPED = Path(__file__).with_name("keywords.yaml")

Entry = Annotated[str, StringConstraints(pattern=r"^\S+( \S+)*$", max_length=100)]


class Keywords(Spec):
    schema_: Literal[1] = Field(alias="schema")
    """Version of the format: 1."""
    name: str
    labels: dict[str, dict[str, tuple[Entry, ...]]] = Field(min_length=1)
    """Label -> language -> words and phrases. Every text is held against those of all languages. `*` at the
    end of a word stands for any ending."""


def load(path: Path, labels: Sequence[str]) -> Keywords:
    """Raises InputError with every problem found; labels: those of the policy."""
    problems: list[Problem] = []
    tree = read(path, problems)
    found = build(Keywords, tree, problems) if tree else None
    for label, node in tree.section("labels").items() if tree else ():
        if label not in labels:
            remedy = did_you_mean(label, labels)
            problems.append(Problem(node.where, f"labels: the policy has no label '{label}'", "", remedy))
    if found is None or problems:
        raise InputError(problems or Problem(COMMAND_LINE, f"{path} is empty", "a list of keywords"))
    return found


def keywords(path: Path, folder: Path, resolved: Resolved) -> Attempt:
    """Nothing is fitted but the operating points; `folder` is not looked at. Raises InputError."""
    corpus = resolved.corpus
    listed = load(path, list(resolved.recipe.policy.labels))
    score = partial(logits, listed, corpus.labels)
    found = {split: score(corpus.texts(corpus.rows(split))) for split in SPLITS}
    digest = sha256_bytes(canonical_json(listed.model_dump(mode="json", by_alias=True)).encode())
    return Attempt(found, score, {"list": listed.name, "sha256": digest})


def logits(listed: Keywords, labels: Sequence[str], texts: Sequence[str]) -> np.ndarray:
    """log2(hits + 1/2), float [n, L]: below 0 without a hit, above it with one."""
    folded = [_folded(text) for text in texts]
    patterns = [
        _any_of({entry for of in listed.labels.get(label, {}).values() for entry in of}) for label in labels
    ]
    hits = [[sum(1 for _ in pattern.finditer(text)) for pattern in patterns] for text in folded]
    return np.log2(np.array(hits, dtype=np.float64).reshape(len(texts), len(labels)) + 0.5)


def _any_of(entries: Set[str]) -> re.Pattern[str]:
    """The longest first: an alternation takes the first that fits, and a phrase is one hit."""
    words = "|".join(map(_pattern, sorted(entries, key=lambda entry: (-len(entry), entry))))
    return re.compile(rf"(?<!\w)(?:{words})(?!\w)" if words else r"(?!)")


def _pattern(entry: str) -> str:
    return r"\s+".join(re.escape(word).replace(r"\*", r"\w*") for word in _folded(entry).split())


def _folded(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold().replace("’", "'")
