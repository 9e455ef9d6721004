"""A simulated carrier's webhooks on their way: late, twice, in another order, not at all."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import attrs
import httpx
import trio

from callengine.testing.clouds.reach import NotReached, Reach


@attrs.frozen
class Prepared:
    """A webhook, signed. ``fields`` is what it says, for people and tests."""

    url: str
    fields: Mapping[str, Any]
    headers: Mapping[str, str] = attrs.field(factory=dict)
    body: bytes = b""
    method: str = "POST"


@attrs.frozen
class Delivered:
    """A webhook that was sent: when, and what it was answered (None: it was lost, or nobody answered in time)."""

    at: float
    url: str
    fields: Mapping[str, Any]
    status: int | None
    body: bytes = b""


@attrs.frozen(kw_only=True)
class Manners:
    """How webhooks that tell something travel (those that ask for instructions are only ``delay`` late)."""

    delay: float = 0.05
    """Seconds, one way."""
    jitter: float = 0.0
    """Up to so many seconds more, evenly spread and seeded: deliveries overtake each other."""
    twice: bool = False
    """Each is delivered a second time, half a second later."""
    lose: Callable[[Prepared], bool] = lambda _: False
    """Which are never sent."""
    late: Callable[[Prepared], float] = lambda _: 0.0
    """Seconds more for some."""
    seed: int = 0


AGAIN = 0.5
"""Seconds to a second delivery of the same."""


class Deliveries:
    """Sends webhooks. ``timeout`` (seconds) is how long an answer is waited for, ``pauses`` how long before each other
    attempt, and ``again`` which answers (None: none came) make one."""

    def __init__(
        self,
        reach: Callable[[], Reach],
        *,
        timeout: float,
        pauses: tuple[float, ...],
        again: Callable[[int | None], bool],
        manners: Manners,
    ) -> None:
        self._reach = reach
        self._timeout = timeout
        self._pauses = pauses
        self._again = again
        self.manners = manners
        self._random = random.Random(manners.seed)
        self.sent: list[Delivered] = []
        self._under_way = 0
        self._arrived = trio.Event()

    def tell(self, nursery: trio.Nursery, prepare: Callable[[int], Prepared]) -> None:
        """Send one in the background. ``prepare`` makes it, for the attempt of this number (1, 2, ...)."""
        first = prepare(1)
        if self.manners.lose(first):
            self.sent.append(Delivered(trio.current_time(), first.url, first.fields, None))
            return
        wait = self.manners.delay + self._random.uniform(0, self.manners.jitter) + self.manners.late(first)
        for more in (0.0, AGAIN) if self.manners.twice else (0.0,):
            self._under_way += 1
            nursery.start_soon(self._send_later, wait + more, prepare)

    async def _send_later(self, wait: float, prepare: Callable[[int], Prepared]) -> None:
        try:
            await trio.sleep(wait)
            await self.ask(prepare)
        finally:
            self._under_way -= 1
            self._arrived.set()

    async def all_arrived(self) -> None:
        """Wait until nothing is under way."""
        while self._under_way:
            self._arrived = trio.Event()
            await self._arrived.wait()

    async def fetch(self, prepare: Callable[[int], Prepared]) -> httpx.Response | None:
        """Send one, and wait for its answer; None where there was none."""
        await trio.sleep(self.manners.delay)
        return await self.ask(prepare)

    async def ask(self, prepare: Callable[[int], Prepared]) -> httpx.Response | None:
        """Send one now, as often as it takes; returns the last answer."""
        response = None
        for attempt, pause in enumerate((0.0, *self._pauses), 1):
            await trio.sleep(pause)
            webhook = prepare(attempt)
            at = trio.current_time()
            response = None
            with trio.move_on_after(self._timeout), suppress(NotReached):
                response = await self._reach().request(webhook.method, webhook.url, webhook.headers, webhook.body)
            status = None if response is None else response.status_code
            body = b"" if response is None else response.content
            self.sent.append(Delivered(at, webhook.url, webhook.fields, status, body))
            if not self._again(status):
                return response
        return response
