"""A suite: texts to judge a model with, never to train on; what its file says.

A suite's file names sources as a recipe does. Its rows are in two parts: `dev` may guide a choice, `test` is
opened once, on the selected checkpoint. Rows whose source claims neither are of the test part.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from train.data.source import Source, content_digest
from train.files import canonical_json, sha256_bytes
from train.spec import Spec

PREFIX = "suite."
Part = Literal["dev", "test"]
Kind = Literal["texts", "functional", "conversations", "swaps"]
_READ_BY = {"functional": "functionality", "swaps": "term"}
"""Kind -> the slice that its own figures are of."""


class Suite(Spec):
    schema_: Literal[1] = Field(alias="schema")
    """Version of the suite format: 1."""
    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=60)
    """Lower-case letters, digits and `-`; metric keys hold it, as in suite.functional/hate/recall. Not
    ending in -dev, which is the name of its dev part."""
    about: str
    """What it tests and who wrote it, in a sentence that the report shows."""
    kind: Kind = "texts"
    """What is made of it beside the figures of every set. functional: figures by the slice `functionality`.
    conversations: how early one is found, turn by turn, against the slice `onset`. swaps: how scores change
    with the slice `term` inside a group."""
    functionalities: str | None = None
    """A file that says what each functionality tests; the report shows it."""
    sources: dict[str, Source] = Field(min_length=1)
    """Files and what their columns say, as in a recipe; `split` may map to dev and test."""

    @field_validator("name")
    @classmethod
    def _no_part(cls, value: str) -> str:
        if value.endswith("-dev"):
            raise ValueError(f"'{value}': NAME-dev is what the dev part of a suite NAME is called")
        return value

    @model_validator(mode="after")
    def _only_judges(self) -> Self:
        for name, source in self.sources.items():
            if odd := sorted(source.claims() - {"any", "dev", "test"}):
                raise ValueError(f"sources.{name}: {', '.join(odd)} is no part of a suite; dev and test are")
            if source.share or source.rows or source.max_repeats:
                raise ValueError(f"sources.{name}: share, rows and max_repeats are for training")
        return self

    @model_validator(mode="after")
    def _says_what_it_is_read_by(self) -> Self:
        if (needed := _READ_BY.get(self.kind)) is not None:
            for name, source in self.sources.items():
                if needed not in source.slices:
                    raise ValueError(f"sources.{name}: a suite of kind {self.kind} needs the slice {needed}")
        return self

    def set_name(self, part: Part) -> str:
        """As metric keys have it: suite.functional, or suite.functional-dev."""
        return f"{PREFIX}{self.name}" + ("-dev" if part == "dev" else "")

    def digest(self) -> str:
        """Hash of what it says and of its files' contents, wherever they lie."""
        said = self.model_dump(
            mode="json", by_alias=True, exclude={"functionalities": True, "sources": {"__all__": {"path"}}}
        )
        contents = {name: content_digest(source) for name, source in self.sources.items()}
        return sha256_bytes(canonical_json([said, contents]).encode())


def _known(kind: str) -> str:
    from train.suites.perturbations import SINGLE

    if unknown := [part for part in kind.split("+") if part not in SINGLE]:
        raise ValueError(f"'{unknown[0]}' is no perturbation; {', '.join(SINGLE)} are")
    return kind


Perturbed = Annotated[str, AfterValidator(_known)]
"""A perturbation of train/suites/perturbations.py, or several joined by `+`."""


class Suites(Spec):
    """Paths of suite files, or the suites themselves."""

    dev: tuple[Suite, ...] = ()
    """Their dev parts are judged at each checkpoint, for `select.subject_to`."""
    test: tuple[Suite, ...] = ()
    """Their test parts are judged once, on the selected checkpoint, at its operating points."""

    @model_validator(mode="after")
    def _told_apart(self) -> Self:
        for part, suites in (("dev", self.dev), ("test", self.test)):
            names = [suite.name for suite in suites]
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(f"{part}: two suites are called {', '.join(twice)}")
        return self
