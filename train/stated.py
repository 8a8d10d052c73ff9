"""What a file states, all of it: merged over what it extends, variables filled in, paths made absolute.

What enters: the path of a YAML file and overrides. What leaves: one tree that still knows where each value
was stated, ready to be built into a spec. Relative paths start from the file that states them; those that
begin with a variable or come from the command line, from the working directory.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from functools import reduce
from pathlib import Path

from train.document import COMMAND_LINE, Node, display, merge, parse, read
from train.errors import Problem

_VARIABLE = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")

Env = Mapping[str, str]


def reading_order(problem: Problem) -> tuple[bool, str, int]:
    file, _, line = problem.where.rpartition(":")
    return (not file, file, int(line) if line.isdigit() else 0)


def with_parents(
    path: Path, env: Env, problems: list[Problem], stated: Node | None = None, children: tuple[Path, ...] = ()
) -> Node | None:
    """The file's tree merged over all it extends, a list's first undermost; None if one is unreadable."""
    tree = read(path, problems, stated, "extends")
    if tree is None:
        return None
    chain = (*children, path.resolve())
    extends = tree.section().pop("extends", None)
    parents = [] if extends is None else extends.items() or [extends]
    merged: list[Node | None] = []
    for parent in (expanded(parent, env, problems, "extends") for parent in parents):
        target = Path(str(absolute(parent).value))
        inherited = None
        if not isinstance(parent.value, str):
            expected = "a path, or a list of paths"
            problems.append(Problem(parent.where, f"extends: {parent.shown()}", expected))
        elif target.resolve() in chain:
            circle = (*chain[chain.index(target.resolve()) :], target)
            what = f"extends: goes in a circle: {' -> '.join(display(link) for link in circle)}"
            problems.append(Problem(parent.where, what))
        elif not parent.broken:
            inherited = with_parents(target, env, problems, parent, chain)
        merged.append(inherited)
    layers = [layer for layer in (*merged, tree) if layer]
    return reduce(_over, layers) if len(layers) == len(merged) + 1 else None


def _over(parent: Node, child: Node) -> Node:
    return merge(parent, child, one_of=("epochs", "steps"))


def overridden(tree: Node, override: str, problems: list[Problem]) -> Node:
    """The tree with one `key.path=value` from the command line merged over it."""
    name, equals, value = override.partition("=")
    if not equals or not all(name.split(".")):
        problems.append(Problem(COMMAND_LINE, f"'{override}'", "key.path=value, such as train.lr=3e-4"))
        return tree
    flaws: list[Problem] = []
    node = parse(value, lambda _: COMMAND_LINE, Path.cwd(), flaws)
    problems += [replace(flaw, what=f"{name}: {flaw.what}") for flaw in flaws]
    return tree if node is None or flaws else placed(tree, name, node, problems)


def placed(tree: Node, name: str, node: Node, problems: list[Problem]) -> Node:
    """The tree with a value merged over it at `name`, such as train.lr."""
    keys = name.split(".")
    for n in range(1, len(keys)):
        outer = tree.get(*keys[:n])
        if outer and not isinstance(outer.value, dict | None):
            what = f"{name}: {'.'.join(keys[:n])} is {outer.shown()} ({outer.where}), not a section"
            problems.append(Problem(node.where, what, f"{'.'.join(keys[:n])}=value"))
            return tree
    for key in reversed(keys):
        node = Node({key: node}, node.where, node.folder)
    return _over(tree, node)


def expanded(tree: Node, env: Env, problems: list[Problem], path: str = "") -> Node:
    """The tree with `${env:NAME}` and `${env:NAME:-default}` replaced; as in a shell, empty is unset."""
    if isinstance(tree.value, dict):
        inner = {k: expanded(n, env, problems, f"{path}.{k}".strip(".")) for k, n in tree.value.items()}
        return replace(tree, value=inner)
    if isinstance(tree.value, list):
        return replace(tree, value=[expanded(node, env, problems, path) for node in tree.value])
    if not isinstance(tree.value, str) or "${" not in tree.value:
        return tree
    text = _VARIABLE.sub(lambda match: env.get(match[1]) or match[2] or "", tree.value)
    unset = [m[1] for m in _VARIABLE.finditer(tree.value) if not env.get(m[1]) and m[2] is None]
    if unset:
        remedy = f"export {unset[0]}=..., or write ${{env:{unset[0]}:-a default}}"
        problems.append(Problem(tree.where, f"{path}: the variable {unset[0]} is not set", remedy=remedy))
    elif "${" in text:
        expected = "${env:NAME} or ${env:NAME:-default}"
        problems.append(Problem(tree.where, f"{path}: {tree.shown()} holds an unknown ${{...}}", expected))
    folder = Path.cwd() if tree.value.startswith("${env:") else tree.folder
    return replace(tree, value=text, folder=folder, broken=bool(unset) or "${" in text)


def is_folder(base: str) -> bool:
    return base.startswith((".", "/", "~"))


def absolute(node: Node) -> Node:
    path = Path(str(node.value))
    with suppress(RuntimeError):  # ~somebody who has no home here
        path = path.expanduser()
    return replace(node, value=os.path.normpath(node.folder / path))


def policy_in_place(node: Node, problems: list[Problem]) -> Node:
    """The policy's own tree in place of its path, so that its problems name lines of its file."""
    return read(Path(str(absolute(node).value)), problems, node, "policy") or replace(node, broken=True)


def source_in_place(node: Node) -> Node:
    """A source's path made absolute where it names a place on this machine."""
    path = str(node.value)
    if not path or path.startswith("package:") or "://" in path:
        return node
    if not path.startswith("hub:"):
        return absolute(node)
    name, _, rest = path.removeprefix("hub:").partition(":")
    if not is_folder(name):
        return node
    return replace(node, value=f"hub:{absolute(replace(node, value=name)).value}:{rest}")
