"""A polite stop: signals set a flag, the loop ends at a whole update."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType

HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)  # SIGUSR1: Slurm's warning before the time limit


class StopSignals:
    """Within this context the first signal is noted in `received`; a second Ctrl-C interrupts at once.

    Where one stands within another, the outer learns at the inner one's end what that has noted.
    """

    def __init__(self) -> None:
        self.received: int | None = None

    def __bool__(self) -> bool:
        return self.received is not None

    def __enter__(self) -> StopSignals:
        self._before = {number: signal.signal(number, self._note) for number in HANDLED}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
            outer = getattr(handler, "__self__", None)
            if isinstance(outer, StopSignals) and outer.received is None:
                outer.received = self.received

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = number
