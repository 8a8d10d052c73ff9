"""What a recipe resolves to on this machine: content hashes, a corpus, and from them the run's identity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import train
from train.checks import check
from train.data.corpus import Corpus, build
from train.data.encoding import Encoder
from train.data.mixture import Mixture, mix
from train.data.plan import counts, passes
from train.data.source import content_digest
from train.errors import InputError, Problem
from train.files import canonical_json, sha256_bytes, sha256_file
from train.model.backbone import digest, load_tokenizer
from train.recipe import Recipe


@dataclass(frozen=True)
class Resolved:
    recipe: Recipe
    sources: dict[str, str]  # content digest by source
    base: str  # digest of the backbone
    tokenizer: Any
    corpus: Corpus
    mixture: Mixture

    @property
    def identity(self) -> str:
        """Hash of recipe content, input content, base model and policy: equal hash, equal run.

        Machine, paths, processes, micro-batch and tracking do not enter.
        """
        return sha256_bytes(canonical_json([self.recipe.identity(), self.sources, self.base]).encode())

    @property
    def run_name(self) -> str:
        return f"{self.recipe.name}-{self.identity[:8]}"

    def lock(self) -> dict[str, Any]:
        """The content of recipe.lock."""
        return {
            "schema": 1,
            "sha256": self.identity,
            "recipe": self.recipe.identity(),
            "sources": self.sources,
            "base": self.base,
            "labels": list(self.corpus.labels),
            "rows": counts(self.corpus),
            "mixture": passes(self.mixture),
            "left_out": self.corpus.left_out,
        }


def resolve(recipe: Recipe) -> Resolved:
    """Check, hash and read all a recipe names. Raises InputError with every problem found."""
    errors, _ = check(recipe)
    if errors:
        raise InputError(errors)
    sources = {name: content_digest(source) for name, source in recipe.data.sources.items()}
    base = digest(recipe.model)
    tokenizer = load_tokenizer(recipe.model, recipe.model.max_length.tokens)
    encoder = Encoder(tokenizer, recipe.model)
    corpus = build(recipe.data, recipe.labels, sources, encoder, recipe.problem)
    mixture = mix(
        recipe.data.trained,
        corpus.source[corpus.rows("train")],
        recipe.data.epoch_rows,
        recipe.data.seed,
        partial(recipe.problem, "data"),
    )
    return Resolved(recipe, sources, base, tokenizer, corpus, mixture)


def resolve_again(recipe: Recipe, locked: Mapping[str, Any]) -> Resolved:
    """`resolve` for a run whose recipe.lock says `locked`.

    Raises InputError where the recipe's data, base model or policy are no longer what the run was trained on.
    """
    resolved = resolve(recipe)
    if resolved.identity != locked["sha256"]:
        raise InputError(_moved(resolved, locked["sources"]))
    return resolved


def _moved(resolved: Resolved, was: Mapping[str, str]) -> list[Problem]:
    return [
        Problem(
            resolved.recipe.where("data", "sources", source, "path"),
            f"source {source} is not the file the run was trained on",
            f"content {str(was.get(source))[:12]}, found {digest[:12]}",
            "restore the file, or train again on this one",
        )
        for source, digest in resolved.sources.items()
        if was.get(source) != digest
    ] or [
        Problem("recipe.yaml", "the base model or the policy changed since the run", "those of recipe.lock")
    ]


def code_version() -> str:
    """The package's version and a hash of its source: two runs with equal code versions ran the same code."""
    root = Path(__file__).parent
    files = [[str(path.relative_to(root)), sha256_file(path)] for path in sorted(root.rglob("*.py"))]
    return f"{train.__version__}+{sha256_bytes(canonical_json(files).encode())[:12]}"
