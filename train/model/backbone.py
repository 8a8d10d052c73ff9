"""The pretrained encoder: where it comes from and how it is loaded."""

from __future__ import annotations

from pydantic import Field

from train.spec import Spec


class Backbone(Spec):
    base: str
    """`package:NAME/FOLDER`, a folder (begins with `.`, `/` or `~`), or a hub id (needs `revision`)."""
    revision: str | None = Field(default=None, pattern="^[0-9a-f]{40}$")
    """Commit of a hub id, 40 hex digits; a branch moves, a commit does not."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """Hidden, attention and adapter dropout alike."""
