"""Who watches an engine: listeners told at the end of calls, and streams of what happens."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import trio

from callengine.journal import Record
from callengine.outcome import Outcome

if TYPE_CHECKING:
    from callengine.call.call import Call

log = logging.getLogger(__name__)

STREAM = 1000
"""Records that a stream of events holds for a reader that is slow."""

Listener: TypeAlias = Callable[[Outcome], Awaitable[None] | None]


class Observers:
    """An engine's observers. None of them can harm a call: what they raise is logged, what they miss is counted."""

    def __init__(self) -> None:
        self._start_listeners: list[Callable[[Call], None]] = []
        self._listeners: list[Listener] = []
        self._streams: list[trio.MemorySendChannel[Record]] = []
        self.dropped = 0
        """Records that a stream had no room for."""

    @property
    def watched(self) -> bool:
        """Whether somebody reads events now."""
        return bool(self._streams)

    @property
    def watchers(self) -> tuple[Callable[[Record], None], ...]:
        """What a call's journal tells its records to."""
        return (self._publish,)

    def add_start_listener(self, listener: Callable[[Call], None]) -> Callable[[Call], None]:
        """Tell it of every call as it starts."""
        self._start_listeners.append(listener)
        return listener

    def call_started(self, call: Call) -> None:
        """Tell the listeners, which do not wait."""
        for listener in self._start_listeners:
            try:
                listener(call)
            except Exception:
                log.exception("call %s: the listener %r failed", call.id, listener)

    def add_listener(self, listener: Listener) -> Listener:
        """Tell it the outcome of every call."""
        self._listeners.append(listener)
        return listener

    async def call_ended(self, outcome: Outcome, timeout: float) -> None:
        """Tell the listeners, one after the other, each for at most ``timeout`` seconds."""
        for listener in self._listeners:
            with trio.move_on_after(timeout) as waited:
                try:
                    answer: Any = listener(outcome)
                    if answer is not None:
                        await answer
                except Exception:
                    log.exception("call %s: the listener %r failed", outcome.call_id, listener)
            if waited.cancelled_caught:
                log.warning("call %s: the listener %r took more than %g s", outcome.call_id, listener, timeout)

    @asynccontextmanager
    async def events(self) -> AsyncIterator[trio.MemoryReceiveChannel[Record]]:
        """A stream of all records from now on."""
        send, receive = trio.open_memory_channel[Record](STREAM)
        self._streams.append(send)
        try:
            with receive:
                yield receive
        finally:
            self._streams.remove(send)
            send.close()

    def _publish(self, record: Record) -> None:
        for stream in self._streams:
            try:
                stream.send_nowait(record)
            except (trio.WouldBlock, trio.BrokenResourceError):  # the reader is slow, or on its way out
                self.dropped += 1
