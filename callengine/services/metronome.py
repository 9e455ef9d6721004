"""The metronome: one ticker on an absolute grid for everything that is due in 20 ms steps.

A task a call that sleeps until its next frame costs 37 us a frame, a slot shared by all calls 7 (``python -m
benchmarks.micro`` measures both). It sleeps until the next due slot, and not at all while nothing is due.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import TypeAlias

import trio

Run: TypeAlias = Callable[[float], None]
"""What is due: called with the time of the tick. Must be quick, must not raise: one call's fault is that call's."""

SLOT = 0.005
"""Seconds a slot. Between 2.5 and 5 ms the lateness of 200 calls is the same; see ``python -m benchmarks.micro``."""

log = logging.getLogger(__name__)


class Metronome:
    """Runs what is due, sends first: in a slot everything asked for by `send_at` runs before what `call_at` asked for.

    The grid is absolute, so lateness never adds up. ``run`` must be running, in the engine's nursery.
    """

    def __init__(self, slot: float = SLOT) -> None:
        self.slot = slot
        self._due: dict[int, tuple[list[Run], list[Run]]] = {}
        self._sleep = trio.CancelScope()

    def send_at(self, when: float, run: Run) -> None:
        """Run this once, in the slot at or after ``when``, before the slot's other work."""
        self._add(when, run, 0)

    def call_at(self, when: float, run: Run) -> None:
        """Run this once, in the slot at or after ``when``."""
        self._add(when, run, 1)

    def _add(self, when: float, run: Run, order: int) -> None:
        index = math.ceil(when / self.slot - 1e-6)
        bucket = self._due.get(index)
        if bucket is None:
            bucket = self._due[index] = ([], [])
            self._sleep.deadline = min(self._sleep.deadline, index * self.slot)
        bucket[order].append(run)

    async def run(self) -> None:
        """Tick for ever."""
        while True:
            deadline = min(self._due) * self.slot if self._due else math.inf
            with trio.CancelScope(deadline=deadline) as self._sleep:
                await trio.sleep_forever()
            self._run_due(trio.current_time())

    def _run_due(self, now: float) -> None:
        reached = math.floor(now / self.slot + 1e-6)
        due = [self._due.pop(index) for index in sorted(self._due) if index <= reached]
        for order in (0, 1):
            for bucket in due:
                for run in bucket[order]:
                    try:
                        run(now)
                    except Exception:
                        log.exception("work of the metronome failed; the other calls go on")
