"""What is sent to Weights & Biases, and how."""

from __future__ import annotations

from typing import Literal

from train.spec import Spec


class Tracking(Spec):
    """None of this changes a run's identity."""

    wandb: Literal["auto", "online", "offline", "disabled"] = "auto"
    """auto: online when a key is configured, else offline. The WANDB_MODE variable overrides auto."""
    project: str = "teensafe"
    entity: str | None = None
    group: str | None = None
    """Runs to be compared share a group; default: the recipe's name."""
    artifacts: Literal["best-and-last", "best", "none"] = "best-and-last"
    """Checkpoints that go to W&B; adapters and head, never trainer state or text."""
