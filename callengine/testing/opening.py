"""How the sessions of scripted providers open."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from callengine.errors import ProviderError, ProviderFault


class Scripted:
    """What the scripted providers share: how many sessions are open, and how opening one goes."""

    name = "scripted"

    def __init__(self) -> None:
        self.open_delay = 0.0
        """Seconds that a session takes to open."""
        self.idle_limit = 0.0
        """Seconds for which a session may be opened before its call (see `callengine.ports.Parkable`)."""
        self.sessions = 0
        """Open now."""
        self.opened = 0
        """Opened so far."""
        self._refusals: deque[ProviderError] = deque()

    def refuses(self, times: int = 1, *, fault: ProviderFault = "retry") -> None:
        """The next sessions cannot be opened."""
        for _ in range(times):
            self._refusals.append(ProviderError(self.name, "connection refused", fault=fault))

    @asynccontextmanager
    async def _opened(self) -> AsyncIterator[None]:
        await trio.sleep(self.open_delay)
        if self._refusals:
            raise self._refusals.popleft()
        self.sessions += 1
        self.opened += 1
        try:
            yield
        finally:
            self.sessions -= 1
