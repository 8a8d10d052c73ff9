"""What in a mixture would teach a model something else than its labels say: counted before it is trained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from train.data.corpus import Corpus
from train.data.mixture import Mixture

SOURCE_ALONE = 0.9
"""AUROC of the source alone from which a label is told of: what a good classifier reaches by reading, so that
reading has little to add. Collections that are merely unlike stay below: .80 in the public mixture."""
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


@dataclass(frozen=True)
class Side:
    """What one source shows of a label in training: its positive and negative cells, and the same in the
    examples of an epoch, where a source may be seen more or less than once."""

    source: str
    positives: int
    negatives: int
    seen_positive: float
    seen_negative: float

    @property
    def rate(self) -> float:
        """Share of positives among the cells seen; .5 where there are none."""
        seen = self.seen_positive + self.seen_negative
        return self.seen_positive / seen if seen else 0.5


def sides(corpus: Corpus, mixture: Mixture) -> dict[str, list[Side]]:
    """By label: the side of each source that knows it in train. Rows united to one example share it."""
    train = corpus.splits() == "train"
    example = corpus.united[train]
    repeats = np.zeros(len(example))
    for name in mixture.quota:
        repeats[corpus.source[example] == name] = mixture.repeats(name)
    of, said = corpus.of[train], corpus.said[train]
    found: dict[str, list[Side]] = {}
    for column, label in enumerate(corpus.labels):
        positive, negative = said[:, column] > 0.5, said[:, column] < 0.5
        known = positive | negative
        sharers = np.bincount(example[known], minlength=len(corpus.row))[example]
        seen = repeats / np.maximum(1, sharers)
        found[label] = [
            Side(
                name,
                int((mine & positive).sum()),
                int((mine & negative).sum()),
                float(seen[mine & positive].sum()),
                float(seen[mine & negative].sum()),
            )
            for name in dict.fromkeys(of[known])
            for mine in [of == name]
        ]
    return found


def source_alone(found: Sequence[Side]) -> float | None:
    """AUROC of guessing a label by nothing but the source: the score of an example is the rate of positives
    of its source, its weight how often it is seen. None without a positive or without a negative.
    """
    from sklearn.metrics import roc_auc_score

    seen = [*(side.seen_positive for side in found), *(side.seen_negative for side in found)]
    if not sum(seen[: len(found)]) or not sum(seen[len(found) :]):
        return None
    truth = [True] * len(found) + [False] * len(found)
    return float(roc_auc_score(truth, [side.rate for side in found] * 2, sample_weight=seen))


def one_sided(found: Sequence[Side]) -> Iterator[tuple[Side, str, float]]:
    """Sources that bring a label's positives without its negatives, or the other way round: (side, which,
    the share of all those that are seen).

    A model then learns to tell the source from the others. Seen before this project on edos: given with
    positives alone for hate, its texts got a mean score of .87 from a fine-tuned MiniLM, hateful or not.
    """
    positives, negatives = sum(side.seen_positive for side in found), sum(s.seen_negative for s in found)
    for side in found:
        if side.positives + side.negatives < ENOUGH:
            continue
        of_positives = side.seen_positive / positives if positives else 0.0
        of_negatives = side.seen_negative / negatives if negatives else 0.0
        share = side.positives / (side.positives + side.negatives)
        if share > ONE_SIDED and of_positives >= OF_POSITIVES and of_negatives < 1 and negatives:
            yield side, "positives", of_positives
        elif 1 - share > ONE_SIDED and of_negatives >= OF_NEGATIVES and of_positives < 1 and positives:
            yield side, "negatives", of_negatives


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
    corpus: Corpus,
    sided: Mapping[str, Sequence[Side]],
    unknown: Mapping[str, Mapping[str, float]],
    emoji: tuple[float, int],
) -> Iterator[str]:
    """A line for each hazard: what was counted, why it matters, what to do.

    sided, unknown, emoji: what `sides`, `unknown_tokens` and `unknown_emoji` found.
    """
    yield from untrained(corpus)
    for label, found in sided.items():
        alone = source_alone(found)
        if alone is not None and alone >= SOURCE_ALONE:
            yield (
                f"{label}: the source alone tells positives from negatives with AUROC {alone:.2f} "
                f"({_most(found)}): a model learns the source, not the label; map positives and negatives "
                "from the same source, or give such sources a smaller share"
            )
            continue
        for side, only, share in one_sided(found):
            other = "negatives" if only == "positives" else "positives"
            yield (
                f"{label}: {side.source} brings {share:.0%} of the {only} seen "
                f"({side.positives:,} positive, {side.negatives:,} negative cells), next to no {other}: a "
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


def untrained(corpus: Corpus) -> Iterator[str]:
    """A line for each label that sources declare and that is not trained."""
    for label, counted in corpus.untrained.items():
        yield (
            f"{label}: declared, and not trained: no example of the train split is positive (above 0.5); "
            f"{counted}; correct its mapping in data.sources, or take it out"
        )


def _most(found: Sequence[Side]) -> str:
    """The cells of the sources that bring a tenth of the positives or of the negatives seen."""
    positives, negatives = sum(side.seen_positive for side in found), sum(s.seen_negative for s in found)
    told = [
        side
        for side in sorted(found, key=lambda side: -side.rate)
        if side.seen_positive >= 0.1 * positives or side.seen_negative >= 0.1 * negatives
    ]
    return "; ".join(
        f"{side.source}: {side.positives:,} positive, {side.negatives:,} negative" for side in told
    )
