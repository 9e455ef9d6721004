"""The lifespan of an ASGI application around the server's (https://asgi.readthedocs.io/en/latest/specs/lifespan.html).

Hypercorn's own is not used: an application that returns at once from a lifespan scope, as it may, crashes it on Trio.
"""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio
from starlette.types import ASGIApp, Message

from callengine.cleanup import bounded_cleanup
from callengine.errors import ConfigurationError

_log = logging.getLogger(__name__)


@asynccontextmanager
async def lifespan(app: ASGIApp, *, shutdown_timeout: float) -> AsyncIterator[dict[str, Any]]:
    """Start the application up, and shut it down at the end; yields the state that it gives to its requests.

    An application without lifespan support is served all the same. The shutdown is not cut by a cancellation from
    outside, but takes ``shutdown_timeout`` seconds at most. Raises `ConfigurationError` where the start-up failed.
    """
    events = _Events()
    scope = bounded_cleanup(math.inf)  # its bound comes when the end does
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_run, app, events, scope)
        try:
            await events.started.wait()
            if events.failure is not None:
                raise ConfigurationError(f"the mounted application failed to start: {events.failure}")
            yield events.state
        finally:
            events.ending.set()
            scope.deadline = trio.current_time() + shutdown_timeout


class _Events:
    """What the application and the server tell each other."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}
        self.started = trio.Event()
        self.ending = trio.Event()
        self.failure: str | None = None
        self._received = 0

    async def receive(self) -> Message:
        self._received += 1
        if self._received == 1:
            return {"type": "lifespan.startup"}
        await self.ending.wait()
        if self._received > 2:
            await trio.sleep_forever()
        return {"type": "lifespan.shutdown"}

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind == "lifespan.startup.failed":
            lines = str(message.get("message", "")).strip().splitlines()  # Starlette sends a whole traceback
            self.failure = lines[-1] if lines else "it gave no reason"
        elif kind == "lifespan.shutdown.failed":
            _log.error("the mounted application's shutdown failed: %s", message.get("message", ""))
        if kind.startswith("lifespan.startup."):
            self.started.set()


async def _run(app: ASGIApp, events: _Events, scope: trio.CancelScope) -> None:
    with scope:
        try:
            await app({"type": "lifespan", "asgi": _ASGI, "state": events.state}, events.receive, events.send)
        except Exception as error:
            if events.failure is not None:
                _log.error("the mounted application failed to start", exc_info=error)
            elif events.started.is_set():
                _log.error("the mounted application's lifespan ended with an error", exc_info=error)
            else:
                _log.info("the mounted application has no lifespan: %s", type(error).__name__)
        finally:
            events.started.set()
    if scope.cancelled_caught:
        _log.warning("the mounted application did not shut down in time: it was cancelled")


_ASGI = {"version": "3.0", "spec_version": "2.0"}
