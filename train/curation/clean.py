"""A normalised copy beside each text, and a log of what changed: mojibake mended, disguises undone.

The text itself stays as it was written: people and models are shown it, and a recipe says itself how texts
are normalised for its model. The copy is what rows are compared by.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Literal

from train.data.normalise import normaliser
from train.example import TURN
from train.spec import Spec

if TYPE_CHECKING:
    import pyarrow as pa

    from train.curation.rows import Counts

Step = Literal["ftfy", "zero-width", "nfkc", "confusables"]


class Clean(Spec):
    steps: tuple[Step, ...] = ("ftfy", "zero-width", "nfkc", "confusables")
    """What is done to the copy, in this order. ftfy mends text that was decoded wrongly and HTML entities;
    the others are a recipe's own steps of these names."""


def clean(table: pa.Table, spec: Clean) -> tuple[pa.Table, Counts]:
    """Adds `normal`, the copy, and `changed`, the steps that altered it."""
    import pyarrow as pa

    steps = [(name, _mended if name == "ftfy" else normaliser((name,))) for name in spec.steps]
    normal, changed = [], []
    counts: Counter[str] = Counter()
    for text in table.column("text").to_pylist():
        altered = []
        for name, step in steps:
            before, text = text, step(text)
            if text != before:
                altered.append(name)
        normal.append(text)
        changed.append(altered)
        counts.update(f"changed.{name}" for name in altered)
    table = table.append_column("normal", pa.array(normal, pa.string()))
    return table.append_column("changed", pa.array(changed, pa.list_(pa.string()))), counts


def _mended(text: str) -> str:
    """Without mojibake, HTML entities and control characters. Width, ligatures, quotes and composition are
    left to the steps that know about scripts."""
    from ftfy import TextFixerConfig, fix_text

    said = TextFixerConfig(
        fix_latin_ligatures=False,
        fix_character_width=False,
        uncurl_quotes=False,
        normalization=None,
        explain=False,
    )
    return TURN.join(fix_text(turn, said) for turn in text.split(TURN))  # it would remove TURN
