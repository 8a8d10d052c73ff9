"""What a build says when it is done: lines for a person, a document for a program."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from train.curation import between
from train.curation.build import Way
from train.curation.stages import Done


def lines(way: Way, until: str) -> Iterator[str]:
    """A line a stage; of the stage that was asked for, all it found."""
    for name, done in way.done.items():
        yield f"{name}: {sum(shard.rows for shard in done.shards):,} rows; {_counted(done)}"
        if name == until == "dedup":
            yield from _similarity(done.found)
            yield from between.lines(done.found["between"])
        if name == until == "agree":
            yield from _agreed(done.found)
        if name == until == "label":
            yield from _labelled(done.found)
        if name == until == "audit":
            yield from _audited(done.found)
    for name, folder in way.queues.items():
        what = "texts that people differ on" if name == "disagreements" else "texts for people"
        yield f"{folder}: {what}; `teensafe data agree --votes FILE` brings back what they say"
    if until in ("check", "deliver") and not way.violations:
        contract = way.curation.contract
        yield f"check: {contract.name} {contract.version} is kept"
    if way.delivery:
        yield f"{way.delivery}: delivered; a recipe names it as delivered: {way.curation.full_name}"


def document(way: Way) -> dict[str, Any]:
    return {
        "delivery": str(way.delivery) if way.delivery else None,
        "queues": {name: str(folder) for name, folder in way.queues.items()},
        "stages": {name: {"counts": done.counts, "found": done.found} for name, done in way.done.items()},
        "violations": [
            {"rule": v.rule, "what": v.what, "count": v.count, "rows": list(v.rows)} for v in way.violations
        ],
    }


def _counted(done: Done) -> str:
    return ", ".join(f"{what} {n:,}" for what, n in done.counts.items()) or "nothing to count"


def _agreed(found: Any) -> Iterator[str]:
    for one in found:
        where = f"{one['label']}{' ' + one['slice'] if one['slice'] else ''}"
        kappas = [
            f", {name} kappa {one[key][value]:.3f}"
            for name, key, value in (("Cohen's median", "cohen", "median"), ("Fleiss'", "fleiss", "kappa"))
            if one[key] and one[key][value] is not None
        ]
        counts = f"{one['votes']:,} votes on {one['items']:,} items"
        yield f"{where}: alpha {_alpha(one)}{''.join(kappas)}; {counts}"


def _alpha(one: Any) -> str:
    if one["alpha"] is None:
        return "not defined"
    if not one["sufficient"]:
        return "insufficient"
    between = "no interval" if one["low"] is None else f"{one['low']:.3f} to {one['high']:.3f}"
    return f"{one['alpha']:.3f} ({between})"


def _labelled(found: Any) -> Iterator[str]:
    for one in found["judged"]:
        where = f"{one['labeller']} {one['label']}"
        if "least" not in one:
            yield f"{where}: not used, {one['why']} ({one['heard']} of {one['gold']} were answered)"
            continue
        said = ", ".join(f"{name} at least {low:.3f}" for name, low in one["least"].items())
        yield f"{where}: {'used' if one['accepted'] else 'not used'}; {said} on {one['heard']:,} gold rows"
    for name, one in found["labellers"].items():
        took = one["took"]
        yield f"{name}: answers of {took['prompt']:,} + {took['completion']:,} tokens"


def _audited(found: Any) -> Iterator[str]:
    for one in found:
        said = (
            "not judged: ranked too badly" if one["suspects"] is None else f"{one['suspects']:,} look wrong"
        )
        where, auroc = f"{one['source']} {one['label']}", f"AUROC out of fold {one['auroc']:.3f}"
        yield f"{where}: of {one['judged']:,} cells {said}; {auroc}"


def _similarity(found: Any) -> Iterator[str]:
    yield "similarity  found as a candidate"
    for similarity, probability in found["s_curve"]:
        yield f"      {similarity:.2f}  {probability:7.2%}"
