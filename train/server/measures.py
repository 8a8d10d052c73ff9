"""What the server counts, for Prometheus: how many, how fast, what was flagged. No text, no id."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Measures:
    def __init__(self, labels: Sequence[str]) -> None:
        self._labels, self._registry = tuple(labels), CollectorRegistry()
        where = self._registry
        self._requests = Counter(
            "teensafe_requests", "Requests by answer.", ["route", "status"], registry=where
        )
        self._texts = Counter("teensafe_texts", "Texts that were scored and answered.", registry=where)
        self._flags = Counter("teensafe_flags", "Flags of answered texts.", ["label"], registry=where)
        self.waiting = Gauge("teensafe_queue_texts", "Texts that wait for the model.", registry=where)
        self._sizes = Histogram(
            "teensafe_batch_texts", "Texts of a batch.", registry=where, buckets=(1, 2, 4, 8, 16, 32, 64, 128)
        )
        self._queued = self._seconds("teensafe_queue_seconds", "Longest wait of a batch's texts.")
        self._model = self._seconds("teensafe_model_seconds", "Time of a batch in the model.")
        self._whole = self._seconds("teensafe_request_seconds", "Time of a request.", "route")
        for label in self._labels:
            self._flags.labels(label)  # shown as 0 before the first

    def _seconds(self, name: str, says: str, *by: str) -> Histogram:
        return Histogram(name, says, by, registry=self._registry, buckets=_SECONDS)

    def batch(self, queued: float, seconds: float, texts: int) -> None:
        self._queued.observe(queued)
        self._model.observe(seconds)
        self._sizes.observe(texts)

    def request(self, route: str, status: int, seconds: float) -> None:
        self._requests.labels(route, status).inc()
        self._whole.labels(route).observe(seconds)

    def answered(self, flags: Sequence[np.ndarray]) -> None:
        """flags: bool [L] of each text."""
        self._texts.inc(len(flags))
        for label, count in zip(self._labels, np.sum(flags, axis=0), strict=True):
            self._flags.labels(label).inc(int(count))

    def text(self) -> bytes:
        return generate_latest(self._registry)
