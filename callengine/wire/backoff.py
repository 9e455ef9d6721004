"""How long to wait before something that failed is tried again: the only place that decides it."""

from __future__ import annotations

import random

import attrs


@attrs.define
class Backoff:
    """Pauses that grow. Each is drawn between half of its step and the whole of it, so that the calls of an engine,
    which all fail at the same moment, do not all come back at the same moment.
    """

    first: float = 0.25
    """Seconds of the first step; each step is twice the last one."""
    longest: float = 30.0
    """Seconds of the longest step."""
    failures: int = 0
    """In a row."""
    draw: random.Random = attrs.field(factory=random.Random, repr=False)

    def failed(self, retry_after: float | None = None) -> float:
        """It failed once more; returns the seconds to wait, at least those that the vendor asked for."""
        step = min(self.longest, self.first * 2.0 ** min(self.failures, 60))
        self.failures += 1
        return max(retry_after or 0.0, step * self.draw.uniform(0.5, 1.0))

    def succeeded(self) -> None:
        """It works again."""
        self.failures = 0
