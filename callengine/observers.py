"""Who watches an engine: listeners told at the end of calls, and streams of what happens."""

from __future__ import annotations

import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import trio

from callengine.journal import Record
from callengine.outcome import Outcome
from callengine.telephony import IncomingMessage, MessageProgress, RecordingReady

if TYPE_CHECKING:
    from callengine.call.call import Call

log = logging.getLogger(__name__)

STREAM = 1000
"""Records that a stream of events holds for a reader that is slow."""

Listener: TypeAlias = Callable[[Outcome], Awaitable[None] | None]
MessageListener: TypeAlias = Callable[[IncomingMessage], Awaitable[str | None] | str | None]
RecordingListener: TypeAlias = Callable[[RecordingReady], Awaitable[None] | None]
DeliveryListener: TypeAlias = Callable[[MessageProgress], Awaitable[None] | None]


class Observers:
    """An engine's observers. None of them can harm a call: what they raise is logged, what they miss is counted."""

    def __init__(self) -> None:
        self._start_listeners: list[Callable[[Call], None]] = []
        self._listeners: list[Listener] = []
        self.message_listeners: list[MessageListener] = []
        self.recording_listeners: list[RecordingListener] = []
        self.delivery_listeners: list[DeliveryListener] = []
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
            await _tell(listener, outcome, timeout, f"call {outcome.call_id}")

    async def message_received(self, message: IncomingMessage, timeout: float) -> str | None:
        """Tell the listeners of a text message; returns the first answer that one of them gives."""
        answer: str | None = None
        for listener in self.message_listeners:
            said = await _tell(listener, message, timeout, f"message {message.message_id}")
            answer = answer or said
        return answer

    async def recording_ready(self, recording: RecordingReady, timeout: float) -> None:
        """Tell the listeners of a recording."""
        for listener in self.recording_listeners:
            await _tell(listener, recording, timeout, f"call {recording.call_id}")

    async def message_progressed(self, progress: MessageProgress, timeout: float) -> None:
        """Tell the listeners what became of a text message."""
        for listener in self.delivery_listeners:
            await _tell(listener, progress, timeout, f"message {progress.message_id}")

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


async def _tell(listener: Callable[[Any], Any], what: object, timeout: float, about: str) -> Any:
    """Tell one listener; returns its answer, None where it fails or takes too long."""
    answer: Any = None
    with trio.move_on_after(timeout) as waited:
        try:
            answer = listener(what)
            if inspect.isawaitable(answer):
                answer = await answer
        except Exception:
            log.exception("%s: the listener %r failed", about, listener)
            return None
    if waited.cancelled_caught:
        log.warning("%s: the listener %r took more than %g s", about, listener, timeout)
        return None
    return answer
