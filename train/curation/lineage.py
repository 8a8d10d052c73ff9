"""A delivery in Weights & Biases: a dataset artifact of a run that used the sources, by their hashes
alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from train.curation.curation import Curation
from train.data.delivered import MANIFEST, read
from train.tracking.wandb_log import WandbLog, mode


def publish(curation: Curation, sources: Mapping[str, str], delivery: Path) -> None:
    """sources: content digests by name. Nothing is sent where W&B is disabled; offline it is kept beside the
    deliveries until `wandb sync`."""
    if mode(curation.track) == "disabled":
        return
    manifest = read(delivery)
    files = {file.path: file.sha256 for part in manifest.parts.values() for file in part.files.values()}
    about = {
        "version": manifest.version,
        "policy": manifest.policy,
        "contract": manifest.contract,
        "rows": {split: of["rows"] for split, of in manifest.counts.items()},
        "gates": {gate.gate: gate.held for gate in manifest.gates},
    }
    told = {
        name: {"sha256": digest, "licence": curation.data.sources[name].licence}
        for name, digest in sources.items()
    }
    log = WandbLog(
        curation.track,
        delivery.parent,
        manifest.full_name,
        {"name": curation.name, **about},
        job_type="curate",
    )
    try:
        log.data(curation.name, told)
        texts = {name: (delivery / name).read_text(encoding="utf-8") for name in (MANIFEST, "README.md")}
        log.delivery(curation.name, manifest.version, files, texts, about)
    finally:
        log.finish()
