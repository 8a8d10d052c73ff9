"""What in a mixture would teach a model something else than its labels say: counted before it is trained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from train.data.corpus import Corpus

ENOUGH = 30
"""Known cells of a label below which a source says too little to be suspected."""
ONE_SIDED = 0.99
"""A source of whose cells more than this share are positive (or negative) has only one side to show."""
OF_POSITIVES, OF_NEGATIVES = 0.1, 0.5
"""A one-sided source is told of when it brings this share of a label's positives (or negatives)."""
UNKNOWN = 0.02
"""Share of unknown tokens from which a source, or a language, is told of."""
UNKNOWN_EMOJI = 0.2
AT_ONCE = 10_000
"""Texts held in memory together."""


def one_sided(corpus: Corpus) -> list[dict[str, Any]]:
    """Sources that bring a label's positives without its negatives, or the other way round, in train.

    A model then learns to tell the source from the others. Seen before this project on edos: given with
    positives alone for hate, its texts got a mean score of .87 from a fine-tuned MiniLM, hateful or not.
    """
    rows = corpus.rows("train")
    source = corpus.source[rows]
    found = []
    for column, label in enumerate(corpus.labels):
        target = corpus.targets[rows, column]
        positive, negative = target > 0.5, target < 0.5
        for name in dict.fromkeys(source):
            mine = source == name
            plus, minus = int((positive & mine).sum()), int((negative & mine).sum())
            if plus + minus < ENOUGH:
                continue
            share = plus / (plus + minus)
            of_positives, of_negatives = plus / max(1, positive.sum()), minus / max(1, negative.sum())
            only = "positives" if share > ONE_SIDED and minus < negative.sum() else ""
            if only and of_positives >= OF_POSITIVES:
                found.append(_told(label, name, only, plus, minus, float(of_positives)))
            elif 1 - share > ONE_SIDED and plus < positive.sum() and of_negatives >= OF_NEGATIVES:
                found.append(_told(label, name, "negatives", plus, minus, float(of_negatives)))
    return found


def _told(label: str, source: str, only: str, plus: int, minus: int, share: float) -> dict[str, Any]:
    return {
        "label": label,
        "source": source,
        "only": only,
        "positives": plus,
        "negatives": minus,
        "share": share,
    }


def unknown_tokens(corpus: Corpus) -> dict[str, dict[str, float]]:
    """Share of the tokens that are [UNK], special ones not counted: by source, and by slice `lang`.

    {} where the tokenizer has no unknown token: it spells everything out.
    """
    unknown = corpus.encoder.unknown
    if unknown is None:
        return {}
    of_row = np.searchsorted(corpus.offsets, np.flatnonzero(corpus.tokens == unknown), side="right") - 1
    count = np.bincount(of_row, minlength=len(corpus.offsets) - 1)[corpus.row]
    total = np.diff(corpus.offsets)[corpus.row] - corpus.encoder.specials
    kinds = {"source": corpus.source}
    if "slice.lang" in corpus.table.column_names:
        kinds["lang"] = corpus.column("slice.lang", np.arange(len(corpus.row)))
    return {
        kind: {
            str(value): float(count[of == value].sum() / max(1, total[of == value].sum()))
            for value in sorted({value for value in of if value is not None})
        }
        for kind, of in kinds.items()
    }


def unknown_emoji(corpus: Corpus) -> tuple[float, int]:
    """(share of the texts' emoji that become [UNK], how many emoji there are), counted one by one."""
    import emoji

    unknown = corpus.encoder.unknown
    counts: Counter[str] = Counter()
    for start in range(0, len(corpus.row), AT_ONCE):
        for text in corpus.texts(np.arange(start, min(start + AT_ONCE, len(corpus.row)))):
            if not text.isascii():
                counts.update(text)
    found = {character: count for character, count in counts.items() if emoji.is_emoji(character)}
    total = sum(found.values())
    if unknown is None or not total:
        return 0.0, total
    tokens = corpus.encoder(list(found))
    lost = sum(count for count, ids in zip(found.values(), tokens, strict=True) if unknown in ids)
    return lost / total, total


def warnings(
    corpus: Corpus, unknown: Mapping[str, Mapping[str, float]], emoji: tuple[float, int]
) -> Iterator[str]:
    """A line for each hazard: what was counted, why it matters, what to do.

    unknown, emoji: what `unknown_tokens` and `unknown_emoji` found.
    """
    for case in one_sided(corpus):
        other = "negatives" if case["only"] == "positives" else "positives"
        yield (
            f"{case['label']}: {case['source']} brings {case['share']:.0%} of the {case['only']} "
            f"({case['positives']:,} positive, {case['negatives']:,} negative cells), next to no {other}: a "
            f"model learns the source, not the label; map {other} from the same source, or leave it out"
        )
    for kind, shares in unknown.items():
        for value, share in shares.items():
            if share >= UNKNOWN:
                yield (
                    f"{kind} {value}: {share:.1%} of the tokens are unknown to this base's vocabulary; such "
                    "texts are judged by what is left: take a base for this language, or expect little"
                )
    share, total = emoji
    if share >= UNKNOWN_EMOJI:
        yield (
            f"emoji: {share:.0%} of {total:,} are unknown to this base's vocabulary; "
            "model.normalise: [emoji-names] spells them out"
        )
