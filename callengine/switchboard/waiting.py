"""What is made ready for calls that come in, between the answer to their webhook and their media stream."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import attrs
import trio

from callengine.call.prewarm import Prewarm
from callengine.programs import Cast
from callengine.switchboard.owner import Owner


class _Start(Protocol):
    def __call__(self, work: Callable[..., Awaitable[object]], *arguments: Any) -> None: ...


@attrs.define(eq=False)
class _Waiting:
    """A call that was let in."""

    left: trio.Event = attrs.field(factory=trio.Event)
    """It is not waited for any more."""
    prewarm: Prewarm | None = None
    here: bool = False
    """Whether that is because it is here."""


class Waiting:
    """Calls that were let in and are not here yet. ``start`` runs a task for each of them.

    Its nursery outlives the call: what the call takes over is closed when the call leaves it.
    """

    def __init__(self, owner: Owner, start: _Start, patience: float) -> None:
        self._owner = owner
        self._start = start
        self._patience = patience
        self._calls: dict[str, _Waiting] = {}

    def expect(self, key: str, carrier: str, cast: Cast, call_id: str) -> None:
        """Make ready what this call needs, unless that is being done: carriers repeat their webhooks."""
        if key not in self._calls and cast.agent.prewarm:
            self._calls[key] = waiting = _Waiting()
            self._start(self._hold, key, waiting, carrier, cast, call_id)

    def arrived(self, key: str) -> Prewarm | None:
        """The call is here: what is ready for it. It is closed by `Prewarm.close`."""
        waiting = self._calls.pop(key, None)
        if waiting is None:
            return None
        waiting.here = waiting.prewarm is not None
        waiting.left.set()
        return waiting.prewarm

    def left(self, key: str) -> None:
        """The call will not come."""
        if (waiting := self._calls.pop(key, None)) is not None:
            waiting.left.set()

    def none_come(self) -> None:
        """No call will."""
        for key in list(self._calls):
            self.left(key)

    async def _hold(self, key: str, waiting: _Waiting, carrier: str, cast: Cast, call_id: str) -> None:
        try:
            if waiting.left.is_set():
                return
            async with self._owner.prewarmed(carrier, cast, call_id) as prewarm:
                if prewarm is None or waiting.left.is_set():
                    return
                waiting.prewarm = prewarm
                with trio.move_on_after(self._patience):
                    await waiting.left.wait()
                if waiting.here:
                    await prewarm.closed.wait()
                waiting.prewarm = None
        finally:
            if self._calls.get(key) is waiting:
                del self._calls[key]
