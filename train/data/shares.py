"""What can be said of an epoch's parts and of the splits before any row is read."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from train.data.source import Source
from train.data.split import ANY, NAMES

Complaint = tuple[str, str, str]
"""What, what was expected, what to try."""


def impossible(sources: Mapping[str, Source]) -> Iterator[Complaint]:
    """Why no rows, whatever they are, could fill the splits and an epoch."""
    claims = {name: source.claims() for name, source in sources.items()}
    claimed = set().union(*claims.values())
    if ANY not in claimed and (empty := [name for name in NAMES if name not in claimed]):
        what = f"no source brings rows into {', '.join(empty)}"
        remedy = "`any` for rows that data.split may divide, or a path for each of these splits"
        yield what, "rows in train, dev, calibration and test", remedy
    trained = {name: source for name, source in sources.items() if claims[name] & {ANY, "train"}}
    for name, source in sources.items():
        if name not in trained and (source.rows or source.share):
            yield nothing_to_train_on(name, source)
    shares = [source.share for source in trained.values() if source.share is not None]
    if complaint := unfit(shares, len(shares) < len(trained)):
        yield complaint


def nothing_to_train_on(name: str, source: Source) -> Complaint:
    field = "rows" if source.rows else "share"
    what = f"{name} has no training row to fill its `{field}` with"
    return what, "a source with rows in train", "take `rows` or `share` back"


def unfit(shares: Collection[float], others: bool) -> Complaint | None:
    """Why these parts of an epoch do not add up; others: whether there are sources without one."""
    part = sum(shares)
    whole = part > 1 - 1e-9
    if part > 1 + 1e-9 or (whole and others):
        beside = ", beside sources without one" if others else ""
        what = f"the shares are {part:.3g} of an epoch{beside}"
        return what, "below 1, or exactly 1 where every source has one", "smaller shares"
    if shares and not whole and not others:
        what = f"the shares are {part:.3g} of an epoch, and no source fills the rest"
        return what, "exactly 1, or a source without `share`", "larger shares"
    return None
