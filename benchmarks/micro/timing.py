"""How long a small thing takes."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import attrs

ROUNDS = 7
"""The best of so many: what others do on the machine only ever makes a round longer."""
ROUND = 0.04
"""Seconds of CPU a round, about."""


@attrs.frozen
class Row:
    """A figure, and what it is compared with: a floor (less cannot be), or a peer (another way to do it)."""

    name: str
    value: float
    unit: str
    against: str = ""
    other: float = math.nan

    @property
    def ratio(self) -> float:
        """How many times the other's value; for speeds, a fraction of the target."""
        return self.value / self.other


def each(work: Callable[[], object], *, of: int = 1) -> float:
    """Microseconds of CPU that one of ``of`` things in ``work`` takes."""
    work()
    before = time.thread_time()
    work()
    times = max(1, min(100_000, int(ROUND / max(1e-7, time.thread_time() - before))))
    return min(_round(work, times) for _ in range(ROUNDS)) / of * 1e6


def _round(work: Callable[[], object], times: int) -> float:
    before = time.thread_time()
    for _ in range(times):
        work()
    return (time.thread_time() - before) / times
