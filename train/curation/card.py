"""README.md and CHANGES.md of a delivery: what is in it and how good it is, for people who decide to use
it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from train.curation.counting import SETS
from train.curation.curation import Curation
from train.data.delivered import Manifest
from train.data.split import NAMES
from train.report.markdown import templates


def card(
    manifest: Manifest,
    curation: Curation,
    found: Mapping[str, Any],
    coverage: Sequence[Mapping[str, Any]],
) -> str:
    """The dataset card, with Hugging Face's front matter. found: {stage: what it found}."""
    slices = manifest.counts.get("train", {}).get("slices", {})
    gone: dict[str, dict[str, int]] = {}
    for reasons in (found.get("gather", {}), manifest.stages["left_out"]):
        for source, why in reasons.items():
            gone.setdefault(source, {}).update(why)
    return (
        templates(Path(__file__).parent)
        .get_template("card.md.j2")
        .render(
            manifest=manifest,
            curation=curation,
            found=found,
            coverage=coverage,
            between=found.get("dedup", {}).get("between", []),
            gone={source: why for source, why in gone.items() if why},
            labels=sorted({label for part in manifest.parts.values() for label in part.labels}),
            languages=sorted(slices.get("lang", {})),
            splits=NAMES,
        )
    )


def changes(manifest: Manifest, previous: Manifest | None) -> str:
    """What differs from the version before, in numbers: rows, positives of each label, and how far people
    agree on it."""
    if previous is None:
        said = "It follows no version: nothing is compared, and no test row of another is kept from training."
        return f"# {manifest.full_name}\n\n{said}\n"
    lines = [f"# {previous.full_name} to {manifest.full_name}", ""]
    for what in ("policy", "contract"):
        then, now = (getattr(m, what) for m in (previous, manifest))
        if then != now:
            lines.append(f"- {what}: {then['name']} {then['version']} -> {now['name']} {now['version']}")
    lines += [f"- new part: {name}" for name in manifest.parts if name not in previous.parts]
    lines += [f"- part no longer here: {name}" for name in previous.parts if name not in manifest.parts]
    lines += ["", "| part | split | rows before | rows now |", "|---|---|---:|---:|"]
    lines += [
        f"| {name} | {split} | {a:,} | {b:,} |" for name, split, a, b in _rows(previous, manifest) if a != b
    ]
    lines += ["", "| label | split | positive of known before | now |", "|---|---|---:|---:|"]
    lines += [
        f"| {label} | {split} | {a} | {b} |" for label, split, a, b in _shares(previous, manifest) if a != b
    ]
    lines += ["", "| label | Krippendorff's alpha before | now |", "|---|---|---|"]
    for label in sorted(previous.agreement.keys() | manifest.agreement.keys()):
        before, after = (_alpha(m.agreement.get(label)) for m in (previous, manifest))
        if before != after:
            lines.append(f"| {label} | {before} | {after} |")
    return "\n".join(lines) + "\n"


def _alpha(one: Mapping[str, Any] | None) -> str:
    if one is None:
        return "no votes"
    if not one["sufficient"] or one["alpha"] is None:
        return "insufficient"
    between = "" if one["low"] is None else f" ({one['low']:.3f}–{one['high']:.3f})"
    return f"{one['alpha']:.3f}{between}, {one['votes']:,} votes"


def _rows(then: Manifest, now: Manifest) -> Iterator[tuple[str, str, int, int]]:
    for name in sorted(then.parts.keys() | now.parts.keys()):
        for split in NAMES:
            before, after = (
                m.parts[name].files[split].rows if name in m.parts and split in m.parts[name].files else 0
                for m in (then, now)
            )
            yield name, split, before, after


def _shares(then: Manifest, now: Manifest) -> Iterator[tuple[str, str, str, str]]:
    labels = {label for m in (then, now) for of in m.counts.values() for label in of["labels"]}
    for label in sorted(labels):
        for split in SETS:
            cells = [m.counts.get(split, {}).get("labels", {}).get(label) for m in (then, now)]
            before, after = (f"{c['positive']:,} of {c['known']:,}" if c else "none" for c in cells)
            yield label, split, before, after
