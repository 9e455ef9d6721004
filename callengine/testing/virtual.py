"""Running a test in virtual time, the same way every time.

Trio's order of runnable tasks is random on purpose. For a test to give the same facts each time, its private switch
for deterministic scheduling is set here and its random source is seeded; nowhere else. A test pins both names.
"""

from __future__ import annotations

import math
import os
import random
from collections.abc import Awaitable, Callable
from typing import Any

import trio
import trio.testing

SEED_VARIABLE = "CALLENGINE_TEST_SEED"
"""Another seed gives another order of tasks: what works in one order only is a bug."""


def seed_scheduler(seed: int) -> None:
    """Make Trio run tasks in an order that only this seed decides."""
    trio._core._run._ALLOW_DETERMINISTIC_SCHEDULING = True  # type: ignore[misc]
    trio._core._run._r = random.Random(seed)


class StandStill:
    """Keeps a virtual clock from jumping while threads are in code of their own, as it does not wait for threads.

    Called with +1 for a thread that goes, and with -1 for one that is back.
    """

    def __init__(self) -> None:
        self._away = 0

    def __call__(self, change: int) -> None:
        self._away += change
        clock = trio.lowlevel.current_clock()
        if isinstance(clock, trio.testing.MockClock):
            clock.autojump_threshold = math.inf if self._away else 0


def run_virtual(function: Callable[..., Awaitable[Any]], *args: Any, **kwargs: Any) -> Any:
    """``trio.run`` on a clock that jumps over every wait (the ``run=`` of pytest-trio)."""
    seed_scheduler(int(os.environ.get(SEED_VARIABLE, "0")))
    kwargs["clock"] = trio.testing.MockClock(autojump_threshold=0)
    return trio.run(function, *args, **kwargs)
