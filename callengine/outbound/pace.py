"""How fast, and how many at once: the caps of dialling."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from callengine.errors import ConfigurationError


class Pace:
    """Caps on how many things go on at once, and on how soon one may start after another.

    Whoever comes first is served first. ``per_second`` may be ``math.inf``: then starts need no distance.

    Made anywhere, also outside of Trio; it may be used by one event loop after another, not by two at once.
    """

    def __init__(self, per_second: float, at_once: int) -> None:
        if not per_second > 0:
            raise ConfigurationError(f"per_second is {per_second}: give a number above 0, such as 1 or 0.5")
        if at_once < 1:
            raise ConfigurationError(f"at_once is {at_once}: give 1 or more")
        self._gap = 1 / per_second
        self._next = 0.0
        self._room = trio.Semaphore(at_once)
        self._gate = trio.Lock()

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hold one of ``at_once`` places; the body starts at least ``1 / per_second`` seconds after the last one did.

        Cancelling somebody who still waits costs the others no time.
        """
        async with self._gate:  # one at a time, so that nobody overtakes where several places come free at once
            # Never longer than a gap from now: another run of Trio has another clock.
            await trio.sleep_until(min(self._next, trio.current_time() + self._gap))
            await self._room.acquire()
            self._next = trio.current_time() + self._gap
        try:
            yield
        finally:
            self._room.release()
