"""The examples that the operating points are most wrong about; their texts are veiled until opened."""

from __future__ import annotations

from typing import Any

from train.policy import ESCALATED
from train.report.finished import Finished
from train.report.hardest import hardest, look_up, wrong_ids


def content(run: Finished) -> dict[str, Any]:
    wanted = wrong_ids([run.parts[table.name] for table in run.whole], run.policy)
    texts = look_up(run.folder, run.locked["sources"], wanted)
    sets = [(table, hardest(run.parts[table.name], run.policy, texts)) for table in run.whole]
    return {"sets": sets, "escalated": ESCALATED, "policy": run.policy}
