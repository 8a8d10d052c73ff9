"""Texts as the tokenizer is shown them: steps a recipe names, and that travel with the checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

Step = Literal["emoji-names"]


def normaliser(steps: Sequence[Step]) -> Callable[[str], str]:
    """The steps as one function, in the order given."""
    chosen = [_STEPS[step] for step in steps]

    def normalise(text: str) -> str:
        for step in chosen:
            text = step(text)
        return text

    return normalise


def emoji_names(text: str) -> str:
    """Emoji as words (Unicode CLDR short names): vocabularies such as BERT's hold hardly any of them.

    MiniLM's makes [UNK] of 960 of the 961 emoji in HatemojiBuild's test (measured, see recipes/README.md).
    """
    if text.isascii():
        return text
    import emoji

    return str(emoji.replace_emoji(text, lambda _, found: f" {_name(found)} "))


def _name(found: dict[str, str]) -> str:
    return found["en"].strip(":").replace("_", " ")


_STEPS: dict[Step, Callable[[str], str]] = {"emoji-names": emoji_names}
