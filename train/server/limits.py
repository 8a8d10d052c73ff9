"""What the server takes on, and how long anybody waits."""

from __future__ import annotations

from pydantic import Field, ValidationInfo, field_validator

from train.spec import Spec


class Limits(Spec):
    body: int = Field(default=1 << 20, gt=0)
    """Bytes of a request."""
    texts: int = Field(default=64, gt=0)
    """Texts of a request."""
    characters: int = Field(default=20_000, gt=0)
    """Of a text. What the model does not read costs time all the same."""
    queue: int = Field(default=1024, gt=0, validate_default=True)
    """Texts that wait for the model, over all requests; a request that does not fit is told to come again."""
    batch: int = Field(default=32, gt=0)
    """Texts that the model takes at once."""
    wait: float = Field(default=0.002, ge=0)
    """Seconds that the first text of a batch waits for others."""
    timeout: float = Field(default=10.0, gt=0)
    """Seconds from the arrival of a request to its answer."""
    drain: float = Field(default=30.0, gt=0)
    """Seconds that accepted requests have once the server was told to stop."""

    @field_validator("queue")
    @classmethod
    def _holds_a_request(cls, queue: int, stated: ValidationInfo) -> int:
        if queue < stated.data.get("texts", 0):
            raise ValueError("fewer than the texts of one request, which would never fit")
        return queue
