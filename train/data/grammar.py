"""Template grammars to rows: sentences with slots, expanded to a few texts each, the same ones every time.

A grammar is a YAML file of harmful templates and the allowed ones beside them; a folder of them is one
source. Its rows carry `id` (`<template>#<k>`), `template`, `text`, `kind`, `surface`, the files' slices, and
a column for every label that a file of the folder defines: 1, 0, or None for unknown.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, ValidationError

from train.data.findings import Findings, is_folder, must_be_file, nearest, quoted
from train.data.values import Row, collapsed
from train.errors import InputError, Problem
from train.spec import Spec

HARMFUL = "harmful"  # the `kind` of every harmful template
RESERVED = ("id", "template", "text", "kind", "surface")
_SLOT = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")

# `[13, 14]` is what a person writes for ages; other unquoted values (1.10, true) would change on the way.
Value = Annotated[str, BeforeValidator(lambda v: str(v) if type(v) is int else v), Field(min_length=1)]


class Template(Spec):
    id: str = Field(pattern=r"^[^\s#]+$")
    """Names the template in every row made from it; unique in the folder."""
    surface: str = Field(min_length=1)
    """Where such a text is written: comment, chat, caption, ... A free word."""
    text: str = Field(min_length=1)
    """What is said, with {slots}. A slot that occurs twice takes the same value twice."""
    also: tuple[str, ...] = ()
    """Further labels that the text carries."""
    unknown: tuple[str, ...] = ()
    """Labels on which the text is neither a positive nor a negative."""


class Allowed(Template):
    kind: str = Field(min_length=1)
    """Why it is allowed: counterspeech, recovery, news, idiom, ..."""


class Grammar(Spec):
    label: str | None
    """What the harmful templates carry; null for a file of allowed texts only."""
    slices: dict[str, str] = Field(default_factory=dict)
    """Slice -> the value of every text of this file."""
    per_template: int = Field(default=6, ge=1)
    """Most texts made from one template."""
    slots: dict[str, tuple[Value, ...]] = Field(default_factory=dict)
    """Slot -> what may stand there."""
    harmful: tuple[Template, ...] = ()
    allowed: tuple[Allowed, ...] = ()


def rows(path: Path) -> Iterator[Row]:
    """Yield (where, row) of all files under `path`, in the order of their names.

    The whole folder is read and expanded first: every problem in it is raised before the first row.
    """
    found = Findings(path)
    parsed = [grammar for file in files(path) if (grammar := _parse(file, found))]
    _check(parsed, found)
    found.close()
    labels = sorted({p.grammar.label for p in parsed if p.grammar.label})
    slices = sorted({name for p in parsed for name in p.grammar.slices})
    table = [row for p in parsed for row in _expanded(p, labels, slices)]
    _check_repeats(table, found)
    found.close()
    yield from table


def files(path: Path) -> list[Path]:
    """The grammar files of a folder, at any depth, in the order of their names; or the one file given."""
    if not is_folder(path):
        must_be_file(path)
        return [path]
    inside = [p for p in path.rglob("*.y*ml") if "/." not in f"/{p.relative_to(path).as_posix()}"]
    if short := [p for p in inside if p.suffix == ".yml"]:
        raise InputError([Problem(str(p), "would be left out", "a name that ends in .yaml") for p in short])
    if not inside:
        raise InputError(Problem(str(path), "the folder has no grammar", "files that end in .yaml"))
    return sorted(inside, key=lambda p: p.relative_to(path).as_posix())


def expand(template: str, text: str, slots: dict[str, tuple[str, ...]], most: int) -> list[str]:
    """At most `most` different fillings of `text`: a function of these arguments alone, at any size of slots.

    More are drawn by asking for more: the first ones stay.
    """
    names = list(dict.fromkeys(_SLOT.findall(text)))
    sizes = [len(slots[name]) for name in names]
    texts = []
    for number in _drawn(prod(sizes), most, random.Random(template)):
        values = {}
        for name, size in zip(names, sizes, strict=True):
            number, index = divmod(number, size)
            values[name] = slots[name][index]
        texts.append(_SLOT.sub(lambda match, values=values: values[match[1]], text).strip())  # type: ignore[misc]
    return texts


def _drawn(size: int, most: int, rng: random.Random) -> Iterator[int]:
    """Different numbers below `size`: the first steps of a shuffle that keeps only the places it touched."""
    moved: dict[int, int] = {}
    for i in range(min(size, most)):
        j = rng.randrange(i, size)
        yield moved.get(j, j)
        moved[j] = moved.get(i, i)


@dataclass(frozen=True)
class _Parsed:
    path: Path
    grammar: Grammar
    line: Callable[..., int]  # of a place in the file: line("slots", "name")

    def where(self, *place: str | int) -> str:
        return f"{self.path}:{self.line(*place)}"

    def templates(self) -> Iterator[tuple[str, Template]]:
        """(where, template), harmful ones first."""
        for part in ("harmful", "allowed"):
            for index, template in enumerate(getattr(self.grammar, part)):
                yield self.where(part, index), template


def _expanded(parsed: _Parsed, labels: list[str], slices: list[str]) -> Iterator[Row]:
    grammar = parsed.grammar
    for where, template in parsed.templates():
        harmful = not isinstance(template, Allowed)
        carried = {*template.also, grammar.label} if harmful else set(template.also)
        cells = {name: None if name in template.unknown else float(name in carried) for name in labels}
        texts = expand(template.id, template.text, grammar.slots, grammar.per_template)
        for k, text in enumerate(texts):
            yield (
                where,
                {
                    "id": f"{template.id}#{k}",
                    "template": template.id,
                    "text": text,
                    "kind": template.kind if isinstance(template, Allowed) else HARMFUL,
                    "surface": template.surface,
                    **{name: grammar.slices.get(name) for name in slices},
                    **cells,
                },
            )


def _check(parsed: list[_Parsed], found: Findings) -> None:
    labels = {p.grammar.label for p in parsed if p.grammar.label}
    ids: dict[str, str] = {}
    for file in parsed:
        _check_names(file, labels, found)
        _check_slots(file, found)
        for where, template in file.templates():
            if (first := ids.setdefault(template.id, where)) != where:
                found.add(where, f"template {template.id} is already at {first}", "an id used once")
            _check_labels(where, template, file.grammar.label, labels, found)


def _check_names(file: _Parsed, labels: set[str], found: Findings) -> None:
    grammar = file.grammar
    if not grammar.harmful and not grammar.allowed:
        found.add(file.where(), "no templates", "`harmful`, `allowed` or both")
    if grammar.harmful and grammar.label is None:
        found.add(file.where("label"), "label: null, but there are harmful templates", "the label they carry")
    if grammar.label in RESERVED:
        found.add(file.where("label"), f"label: {grammar.label} is the name of a column", "another name")
    for name in grammar.slices:
        if name in RESERVED or name in labels:
            found.add(file.where("slices", name), f"slice {name} is the name of a column", "another name")


def _check_slots(file: _Parsed, found: Findings) -> None:
    slots = file.grammar.slots
    used = set()
    for where, template in file.templates():
        names = set(_SLOT.findall(template.text))
        used |= names
        for name in sorted(names - set(slots)):
            near = nearest(name, slots)
            remedy = f"{{{near}}}" if near else f"add {name} to `slots`"
            found.add(where, f"template {template.id}: no slot {{{name}}}", f"one of {quoted(slots)}", remedy)
        if re.search(r"[{}]", _SLOT.sub("", template.text)):
            found.add(where, f"template {template.id}: a brace that is no slot's", "{slot}, or no brace")
    for name, values in slots.items():
        where = file.where("slots", name)
        if name not in used:
            found.add(where, f"slot {name} is used by no template", remedy="use it or remove it")
        if not values:
            found.add(where, f"slot {name} has no values", "at least one")
        if len(set(values)) < len(values):
            found.add(where, f"slot {name} lists a value twice", "each value once")
        if any(re.search(r"[{}]", value) for value in values):
            found.add(where, f"slot {name}: a brace in a value", "values without slots of their own")


def _check_labels(where: str, template: Template, own: str | None, labels: set[str], found: Findings) -> None:
    for part, names in (("also", template.also), ("unknown", template.unknown)):
        for name in names:
            if name not in labels:
                near = nearest(name, labels)
                found.add(
                    where,
                    f"template {template.id}: {part} names {name}, which no file defines",
                    f"one of {quoted(sorted(labels))}",
                    near or "",
                )
    carried = {*template.also} if isinstance(template, Allowed) else {*template.also, own}
    for name in sorted({*template.unknown} & carried):
        found.add(where, f"template {template.id}: {name} is both carried and unknown", "one of the two")
    if isinstance(template, Allowed) and template.kind == HARMFUL:
        found.add(where, f"template {template.id}: kind {HARMFUL} among `allowed`", "why it is allowed")


def _check_repeats(table: list[Row], found: Findings) -> None:
    seen: dict[str, Row] = {}
    told = set()
    for where, row in table:
        first_where, first = seen.setdefault(collapsed(row["text"]), (where, row))
        pair = (row["template"], first["template"])
        if first is not row and pair not in told:
            told.add(pair)
            what = f"{row['id']} reads the same as {first['id']} at {first_where}"
            found.add(where, what, "texts that differ in more than case and spaces")


def _parse(path: Path, found: Findings) -> _Parsed | None:
    """The file as a Grammar, or None with its problems noted."""
    from ruamel.yaml import YAML
    from ruamel.yaml.constructor import DuplicateKeyError
    from ruamel.yaml.error import MarkedYAMLError, YAMLError
    from ruamel.yaml.reader import ReaderError

    tree: Any = None
    try:
        content = path.read_bytes()
        text = content.decode("utf-8-sig")
        tree = YAML().load(text)  # the round-trip loader: it knows the lines
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        what = f"byte 0x{content[error.start]:02x} (at offset {error.start:,}) is not utf-8"
        found.add(f"{path}:{line}", what, "text in utf-8", "save the file as UTF-8")
        return None
    except OSError as error:
        found.add(str(path), f"cannot be read: {error.strerror}")
        return None
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        found.add(f"{path}:{line}", f"control character {error.character:#x}", "text without it")
        return None
    except YAMLError as error:
        # ruamel quotes both values of a repeated key: its own words must not reach a message
        repeated = isinstance(error, DuplicateKeyError)
        what = "a key twice" if repeated else str(getattr(error, "problem", None) or "not readable")
        mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
        found.add(f"{path}:{mark.line + 1}" if mark else str(path), f"broken YAML: {what}")
        return None
    if tree is None:
        found.add(str(path), "is empty", "a grammar")
        return None
    try:
        grammar = Grammar.model_validate(tree)
    except ValidationError as error:
        for problem in error.errors(include_input=False, include_url=False):
            place = problem["loc"]
            what = f"{'.'.join(map(str, place)) or 'the file'}: {problem['msg']}"
            found.add(f"{path}:{_line(tree, place)}", what, remedy=_intended(problem["type"], place))
        return None
    return _Parsed(path, grammar, lambda *place: _line(tree, place))


def _intended(error: str, place: tuple[str | int, ...]) -> str:
    if error == "string_type":
        return "quote the value"
    if error != "extra_forbidden":
        return ""
    kinds: dict[str | int, type[Spec]] = {"harmful": Template, "allowed": Allowed}
    fields = kinds.get(place[0], Grammar) if len(place) > 1 else Grammar
    near = nearest(str(place[-1]), fields.model_fields)
    return near or f"one of {quoted(fields.model_fields)}"


def _line(tree: Any, place: tuple[str | int, ...]) -> int:
    """Line of a place in a loaded file; of what holds it, if the place itself is not there."""
    line = 0
    for step in place:
        try:
            known = tree.lc
            line = (known.key if isinstance(tree, dict) else known.item)(step)[0]
            tree = tree[step]
        except (AttributeError, LookupError, TypeError):
            break
    return line + 1
