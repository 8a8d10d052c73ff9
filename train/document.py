"""YAML files as trees that remember where each value was stated, and the specs built from them.

What enters: a file or an override. What leaves: nodes to merge and change, then a spec, and every problem
with its file:line. Nothing here knows what a recipe is.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode
from ruamel.yaml.nodes import Node as YamlNode

from train.errors import Problem

COMMAND_LINE = "command line"
LARGEST = 256 * 1024  # bytes; a recipe or a policy is some pages of text
_MOST_NODES = 50_000  # aliases of aliases turn a page of text into billions of values

S = TypeVar("S", bound=BaseModel)
Where = Callable[[int], str]  # line, from 1 -> "recipes/x.yaml:12"


@dataclass(frozen=True)
class Node:
    """A value, where it was stated, and the folder that its relative paths start from."""

    value: dict[str, Node] | list[Node] | str | int | float | bool | None
    where: str
    folder: Path
    broken: bool = False
    """Already complained about: what its value would have led to is not worth a second complaint."""

    def get(self, *path: str | int) -> Node | None:
        node: Node | None = self
        for key in path:
            match node:
                case Node(value=dict(section)):
                    node = section.get(str(key))
                case Node(value=list(items)) if isinstance(key, int) and key < len(items):
                    node = items[key]
                case _:
                    return None
        return node

    def section(self, *path: str) -> dict[str, Node]:
        """The keys of the mapping at `path`; nothing where there is none."""
        node = self.get(*path)
        return node.value if node and isinstance(node.value, dict) else {}

    def items(self, *path: str) -> list[Node]:
        """The items of the list at `path`; nothing where there is none."""
        node = self.get(*path)
        return node.value if node and isinstance(node.value, list) else []

    def plain(self) -> Any:
        """The value as pydantic gets it. Booleans are given as text, or `lr: true` would be a rate of 1."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return str(self.value).lower() if isinstance(self.value, bool) else self.value

    def shown(self) -> str:
        """The value in a message: short, on one line."""
        if isinstance(self.value, dict):
            return "a section" if self.value else "an empty section"
        if isinstance(self.value, list):
            return f"a list of {len(self.value)}"
        if isinstance(self.value, str):
            return f"'{self.value}'" if len(self.value) <= 80 else f"'{self.value[:77]}...'"
        return "empty (null)" if self.value is None else json.dumps(self.value)


# ---- reading -------------------------------------------------------------------------------------------


def read(path: Path, problems: list[Problem], stated: Node | None = None, key: str = "") -> Node | None:
    """The mapping that a YAML file holds, or None after adding to `problems` why there is none.

    stated, key: where the path was named, when another file names it; default: on the command line.
    """
    name = display(path)
    where, named = (stated.where, f"{key}: {name}") if stated else (COMMAND_LINE, name)

    def refuse(what: str, remedy: str = "") -> Node | None:
        problems.append(Problem(where, f"{named} {what}", "a YAML file", remedy))
        return None

    try:
        if path.is_dir():
            return refuse("is a folder")
        if not path.exists():
            return refuse("does not exist", siblings(path))
        if not path.is_file():
            return refuse("is a pipe or a device")
        if (size := path.stat().st_size) > LARGEST:
            return refuse(f"is {size / 2**20:.1f} MB; a recipe or a policy is at most {LARGEST // 1024} KB")
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        return refuse(f"cannot be read: {(error.strerror or 'error').lower()}")
    except UnicodeDecodeError:
        return refuse("is not text in UTF-8")
    tree = parse(text, lambda line: f"{name}:{line}", path.parent.absolute(), problems)
    if tree is not None and not isinstance(tree.value, dict):
        found = "is empty" if tree.value is None else f"holds {tree.shown()} at the top"
        problems.append(Problem(f"{name}:1", f"the file {found}", "lines of the form `key: value`"))
        return None
    return tree


def parse(text: str, where: Where, folder: Path, problems: list[Problem]) -> Node | None:
    """The tree of a YAML 1.2 text, or None after a syntax error."""
    yaml = YAML(typ="safe", pure=True)
    budget = iter(range(_MOST_NODES))

    def problem(line: int, what: str, expected: str = "", remedy: str = "") -> None:
        problems.append(Problem(where(line), what, expected, remedy))

    def convert(yaml_node: YamlNode, line: int) -> Node:
        if next(budget, None) is None:
            raise RecursionError
        if isinstance(yaml_node, ScalarNode):
            sound = len(problems)
            value = scalar(yaml_node, line)
            return Node(value, where(line), folder, broken=len(problems) > sound)
        if isinstance(yaml_node, SequenceNode):
            items = [convert(item, item.start_mark.line + 1) for item in yaml_node.value]
            return Node(items, where(line), folder)
        section: dict[str, Node] = {}
        for key, value in yaml_node.value if isinstance(yaml_node, MappingNode) else ():
            at = key.start_mark.line + 1
            if not isinstance(key, ScalarNode):
                problem(at, "a key is a list or a section", "a word")
            elif known := section.get(key.value):
                problem(at, f"{key.value}: stated twice; first at {known.where}", remedy="keep one")
            else:
                section[key.value] = convert(value, at)
        return Node(section, where(line), folder)

    def scalar(yaml_node: ScalarNode, line: int) -> str | int | float | bool | None:
        written: str = yaml_node.value
        match str(yaml_node.tag).removeprefix("tag:yaml.org,2002:"):
            case "null":
                return None
            case "bool":
                return written.lower() == "true"
            case "int" | "float":
                try:
                    number: int | float = yaml.constructor.construct_object(yaml_node)
                except ValueError:
                    problem(line, f"'{written[:40]}' is not a number")
                    return None
                if isinstance(number, float) and not math.isfinite(number):
                    problem(line, f"{written} is not a finite number", remedy="null where there is no limit")
                    return None
                return number
            case _:  # a date is text here, and so is what carries a tag: nothing is built from a tag
                return written

    try:
        root = yaml.compose(text)
        return Node(None, where(1), folder) if root is None else convert(root, root.start_mark.line + 1)
    except RecursionError:
        problem(1, "too many or too deeply nested values, or an alias that holds itself")
    except MarkedYAMLError as error:
        problem(*_syntax(error))
    except YAMLError as error:  # a control character
        position = getattr(error, "position", 0)
        problem(text.count("\n", 0, position) + 1, "a character that YAML does not allow", "plain text")
    return None


def _syntax(error: MarkedYAMLError) -> tuple[int, str, str, str]:
    """Line, what is wrong, what was expected, and what to try, from the parser's words."""
    line = error.problem_mark.line + 1 if error.problem_mark else 1
    opened = error.context_mark.line + 1 if error.context_mark else line
    words = f"{error.context or ''} {error.problem or ''}"
    if "end of stream" in words or "stream end" in words:
        return opened, "a bracket or a quote is opened here and never closed", "its closing partner", ""
    if "mapping values are not allowed" in words:
        return (
            line,
            "a `:` where YAML expects none",
            "one `key: value` a line",
            "indent evenly, or quote the text",
        )
    if "'\\t'" in words:
        return line, "a tab", "spaces", "indent with two spaces a level"
    if "cannot start any token" in words:
        return line, "a value begins with a character that YAML reserves", "", "put the text in quotes"
    if "could not find expected ':'" in words:
        return opened, "a line without `:`", "`key: value`", ""
    if "another document" in words:
        return line, "a second document begins (`---`)", "one document a file", ""
    return line, f"not valid YAML: {error.problem}", "", "check brackets, quotes and indentation"


def display(path: Path) -> str:
    """The path as a person at this working directory would type it."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except (ValueError, OSError):
        return str(path)


def siblings(path: Path) -> str:
    """Where to look instead of a path that does not exist."""
    known = next(folder for folder in (*path.absolute().parents, Path("/")) if folder.is_dir())
    if known != path.absolute().parent:
        return f"{display(known)} exists; {path.absolute().relative_to(known).parts[0]} in it does not"
    try:
        names = {other.stem: other.name for other in known.iterdir()}  # endings would liken all names
    except OSError:
        return ""
    near = difflib.get_close_matches(path.stem, names, n=1)
    return f"did you mean {names[near[0]]}?" if near else ""


def did_you_mean(word: str, options: Iterable[str]) -> str:
    """A remedy: the option that `word` probably was, or the few there are."""
    if close := difflib.get_close_matches(word, options := sorted(options), n=1):
        return f"did you mean {close[0]}?"
    return f"one of {', '.join(options)}" if 0 < len(options) <= 20 else ""


# ---- changing ------------------------------------------------------------------------------------------


def merge(parent: Node, child: Node, one_of: Collection[str] = ()) -> Node:
    """Child over parent: sections of one `kind` key by key; anything else, lists too, is replaced.

    one_of: keys that exclude each other; a child that states one of them takes back the parent's.
    """
    if not isinstance(parent.value, dict) or not isinstance(child.value, dict):
        return child
    kinds = parent.get("kind"), child.get("kind")
    if kinds[0] and kinds[1] and kinds[0].value != kinds[1].value:
        return child
    merged = dict(parent.value)
    if any(key in one_of and node.value is not None for key, node in child.value.items()):
        merged = {key: node for key, node in merged.items() if key not in one_of}
    for key, node in child.value.items():
        merged[key] = merge(merged[key], node, one_of) if key in merged else node
    # an override states one key of a section: what the section lacks is still to be mended in its file
    return replace(parent if child.where == COMMAND_LINE else child, value=merged)


def change(tree: Node, path: tuple[str, ...], how: Callable[[Node], Node]) -> Node:
    """The tree with `how` done to the text at `path`, where there is one; `*`: every key or item."""
    if not path:
        return how(tree) if isinstance(tree.value, str) and not tree.broken else tree
    if isinstance(tree.value, list):
        items = [change(node, path[1:], how) if path[0] == "*" else node for node in tree.value]
        return replace(tree, value=items)
    keys = {key: change(node, path[1:], how) for key, node in tree.section().items() if path[0] in (key, "*")}
    return replace(tree, value=tree.value | keys) if isinstance(tree.value, dict) else tree


# ---- building ------------------------------------------------------------------------------------------

Model = type[BaseModel]
Place = tuple[str | int, ...]
Errors = list[tuple[Place, Mapping[str, Any]]]  # what is left of the location, pydantic's error

_EXPECTED = {  # by pydantic's error type, or its first word
    "float": "a number",
    "int": "a whole number",
    "finite": "a finite number",
    "bool": "true or false",
    "string": "text",
    "tuple": "a list",
    "dict": "a section of `key: value` lines",
    "model": "a section of `key: value` lines",
    "greater_than": "a number above {gt:g}",
    "greater_than_equal": "a number of at least {ge:g}",
    "less_than": "a number below {lt:g}",
    "less_than_equal": "a number of at most {le:g}",
    "too_short": "{min_length} or more entries",
    "too_long": "{max_length} or fewer entries",
    "string_too_short": "text, at least {min_length} long",
    "string_too_long": "text, at most {max_length} long",
    "literal_error": "{expected}",
}


def build(spec: type[S], tree: Node, problems: list[Problem]) -> S | None:
    """The spec that the tree describes, or None after adding every reason why there is none."""
    try:
        return spec.model_validate(tree.plain())
    except ValidationError as invalid:
        lighter = _without_refused_nulls(spec, tree, [error["loc"] for error in invalid.errors()])
        if lighter is not tree:
            return build(spec, lighter, problems)
        for path, problem in _settle(spec, tree, [(e["loc"], e) for e in invalid.errors()], ()):
            around = (tree.get(*path[:n]) for n in range(len(path) + 1))
            told = problem in problems or any(node.broken for node in around if node)
            if not told or problem.what.endswith("unknown key"):
                problems.append(problem)
        return None


def _without_refused_nulls(spec: Model, tree: Node, refused: Iterable[Place]) -> Node:
    """On the command line null takes back what files say: where it is no value itself, the default holds."""
    for place in refused:
        path: list[str] = []
        for key in map(str, place):  # pydantic adds the names of a union's members
            path += [key] if tree.get(*path, key) is not None else []
        node, (_, fields) = tree.get(*path), _described(spec, tree, tuple(path))
        stated_there = node is not None and node.value is None and node.where == COMMAND_LINE
        if stated_there and fields and not any(field.is_required() for field in fields):
            tree = _without(tree, path)
    return tree


def _without(tree: Node, path: Sequence[str]) -> Node:
    """The tree without the key at `path`."""
    section = tree.section()
    rest = {path[0]: _without(section[path[0]], path[1:])} if len(path) > 1 else {}
    return replace(tree, value={key: node for key, node in section.items() if key != path[0]} | rest)


def _settle(spec: Model, tree: Node, errors: Errors, path: Place) -> list[tuple[Place, Problem]]:
    """One problem for each thing to mend; of a union, only what concerns the member that was probably meant.

    Pydantic puts the name of the union's member it tried into the location: a part that is no key.
    """
    deeper = any(rest for rest, _ in errors)  # pydantic counts only items that are sound: too few then
    found = [
        (path, _problem(spec, tree, error, path))
        for rest, error in errors
        if not rest and not (deeper and error["type"] == "too_short" and len(tree.items(*map(str, path))) > 0)
    ]
    members: list[list[tuple[Place, Problem]]] = []
    for first in dict.fromkeys(rest[0] for rest, _ in errors if rest):
        below: Errors = [(rest[1:], error) for rest, error in errors if rest and rest[0] == first]
        missing = all(error["type"] == "missing" and not rest for rest, error in below)
        if missing or tree.get(*path, first) is not None:
            found += _settle(spec, tree, below, (*path, first))
        else:
            members.append(_settle(spec, tree, below, path))
    if right_shape := [member for member in members if all(len(at) > len(path) for at, _ in member)]:
        found += sorted(right_shape, key=len)[0]
    elif members:
        tried = [problem for member in members for _, problem in member]
        expected = ", or ".join(dict.fromkeys(problem.expected for problem in tried))
        remedy = next((problem.remedy for problem in tried if problem.remedy), "")
        found.append((path, replace(tried[0], expected=expected, remedy=remedy)))
    return found


def _problem(spec: Model, tree: Node, error: Mapping[str, Any], path: Place) -> Problem:
    """Pydantic's error in words for whoever writes the file."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == "missing" and isinstance(path[-1], int):  # it is the list that is too short
        path = path[:-1]
    if kind.startswith("union_tag"):  # reported at the section, but it is about its `kind`
        path = (*path, context["discriminator"].strip("'"))
    node, parent = tree.get(*path), tree.get(*path[:-1]) or tree
    name = "".join(f" item {key + 1}" if isinstance(key, int) else f".{key}" for key in path).strip(".")
    models, fields = _described(spec, tree, path)
    meaning = next((" ".join(f.description.split()).rstrip(".") for f in fields if f.description), "")
    choices = " or ".join(f"'{field.default}'" for field in fields) if kind.startswith("union_tag") else ""
    meaning = re.sub("^[A-Z](?=[a-z ])", lambda first: first[0].lower(), meaning)

    if kind == "missing" and node is not None:
        return Problem(node.where, f"{name}: {node.shown()}", meaning)
    if kind in ("missing", "union_tag_not_found"):
        expected = f"{path[-1]}: {choices or meaning}" if choices or meaning else ""
        return Problem(parent.where, f"{name} is missing", expected)
    if node is None or kind == "value_error":
        said = context.get("error", error["msg"])
        return Problem((node or parent).where, f"{name}: {said}".removeprefix(": "))
    if kind == "extra_forbidden":
        known = {key for model in _described(spec, tree, path[:-1])[0] for key, _ in _keys(model)}
        return Problem(node.where, f"{name}: unknown key", "", did_you_mean(str(path[-1]), known))

    sentence = _EXPECTED.get(kind) or _EXPECTED.get(kind.partition("_")[0]) or error["msg"]
    expected = choices or sentence.format(**context)
    remedy = ""
    if kind == "model_type":
        keys = [key for m in models if m.__name__ == context["class_name"] for key, _ in _keys(m)]
        if 0 < len(keys) < 4:
            expected = f"a section with {' and '.join(keys)}"
        elif meaning:
            expected = f"{expected} ({meaning})"
    patterns = [m.pattern for field in fields for m in field.metadata if getattr(m, "pattern", None)]
    if patterns and kind.startswith("string"):
        expected = meaning or f"text that matches {patterns[0]}"
    elif options := re.findall("'([^']*)'", expected):
        remedy = next(iter(difflib.get_close_matches(str(node.value), options, n=1)), "")
    elif kind == "string_type" and isinstance(node.value, int | float):
        remedy = "put it in quotes"
    if node.value is None:
        remedy = "give it a value, or delete the line"
    return Problem(node.where, f"{name}: {node.shown()}", expected, remedy)


def _described(spec: Model, tree: Node, path: Place) -> tuple[list[Model], list[FieldInfo]]:
    """The specs that may stand at `path`, and the fields that describe it."""
    types: list[Any] = [spec]
    fields: list[FieldInfo] = []
    for key in path:
        fields = [field for t in types if _is_model(t) for name, field in _keys(t) if name == key]
        inner = [get_args(t)[-1 if get_origin(t) is dict else 0] for t in types if get_args(t)]
        types = [t for annotation in [*inner, *(f.annotation for f in fields)] for t in _members(annotation)]
    models = [t for t in types if _is_model(t)]
    kind = tree.get(*path, "kind")
    meant = [m for m in models if kind and (f := dict(_keys(m)).get("kind")) and f.default == kind.value]
    return meant or models, fields


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _keys(model: Model) -> list[tuple[str, FieldInfo]]:
    """The keys of a spec as a file states them."""
    return [(field.alias or name, field) for name, field in model.model_fields.items()]


def _members(annotation: Any) -> list[Any]:
    """The types of a union, or the type itself."""
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _members(parts[0])
    return [t for part in parts for t in _members(part)] if origin in (Union, UnionType) else [annotation]
