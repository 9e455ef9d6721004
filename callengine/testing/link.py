"""The wire between a simulated carrier and an engine: in memory, or a real WebSocket on loopback."""

from __future__ import annotations

from collections import deque
from typing import Protocol

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection

from callengine.errors import SocketClosed


class LinkClosed(Exception):
    """The engine closed the connection."""


class Link(Protocol):
    """The carrier's end."""

    async def send(self, message: bytes) -> None: ...

    async def receive(self) -> bytes:
        """The engine's next message. Raises `LinkClosed`."""

    async def close(self) -> None: ...

    def stall(self, seconds: float, *, to_engine: bool = True, to_carrier: bool = True) -> None:
        """Let nothing through for so long; then everything that was sent meanwhile arrives together."""

    def drop(self) -> None:
        """Break the connection without a word."""


class _Pipe:
    """One direction: messages that arrive in order, each after a delay."""

    def __init__(self) -> None:
        self._messages: deque[tuple[float, bytes]] = deque()
        self._arrival = trio.Event()
        self._last = 0.0
        self._stalled_until = 0.0
        self.closed: tuple[int, str] | None = None

    def put(self, message: bytes, at: float) -> None:
        self._last = max(self._last, at, self._stalled_until)
        self._messages.append((self._last, message))
        self._arrival.set()

    def stall(self, until: float) -> None:
        self._stalled_until = until
        self._messages = deque((max(at, until), message) for at, message in self._messages)

    def close(self, code: int, reason: str) -> None:
        if self.closed is None:
            self.closed = (code, reason)
            self._arrival.set()

    def discard_all(self) -> None:
        self._messages.clear()

    async def get(self) -> list[bytes]:
        """Everything that has arrived; waits for something. Empty when the pipe is closed and was read to its end."""
        await trio.lowlevel.checkpoint()
        while True:
            now = trio.current_time()
            ready: list[bytes] = []
            while self._messages and self._messages[0][0] <= now + 1e-9:
                ready.append(self._messages.popleft()[1])
            if ready:
                return ready
            if self._messages:
                await trio.sleep_until(self._messages[0][0])
                continue
            if self.closed is not None:
                return []
            self._arrival = trio.Event()
            await self._arrival.wait()


class MemorySocket:
    """The engine's end of a link in memory: a `callengine.ports.MediaSocket`."""

    def __init__(self, inbound: _Pipe, outbound: _Pipe, delay: float) -> None:
        self._inbound = inbound
        self._outbound = outbound
        self._delay = delay
        self.closed: tuple[int, str] | None = None
        """The code and reason that the engine closed it with."""
        self.sent: list[bytes] = []
        """Every message, in the order in which it left."""

    async def receive(self) -> list[tuple[bool, bytes]]:
        messages = await self._inbound.get()
        if not messages:
            raise SocketClosed(*(self._inbound.closed or (1006, "")))
        return [(True, message) for message in messages]

    def send_nowait(self, message: bytes, *, discardable: bool = False) -> None:
        del discardable  # nothing waits here
        if self.closed is not None or self._inbound.closed is not None:
            raise SocketClosed(*(self.closed or self._inbound.closed or (1006, "")))
        self.sent.append(message)
        self._outbound.put(message, trio.current_time() + self._delay)

    def discard_unsent(self) -> int:
        return 0

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        self._close(code, reason)
        await trio.lowlevel.checkpoint()

    def close_nowait(self) -> None:
        self._close(1006, "")

    def _close(self, code: int, reason: str) -> None:
        if self.closed is None:
            self.closed = (code, reason)
            self._inbound.close(code, reason)
            self._outbound.close(code, reason)


class MemoryLink:
    """The carrier's end in memory. ``delay`` is the one-way time in seconds; ``jitter`` adds to it, message by
    message, without changing their order."""

    def __init__(self, delay: float) -> None:
        to_engine, to_carrier = _Pipe(), _Pipe()
        self._to_engine, self._to_carrier = to_engine, to_carrier
        self._delay = delay
        self._waiting: deque[bytes] = deque()
        self.socket = MemorySocket(to_engine, to_carrier, delay)

    async def send(self, message: bytes) -> None:
        self._to_engine.put(message, trio.current_time() + self._delay)

    async def receive(self) -> bytes:
        if not self._waiting:
            self._waiting.extend(await self._to_carrier.get())
        if not self._waiting:
            raise LinkClosed
        return self._waiting.popleft()

    async def close(self) -> None:
        self._to_engine.close(1000, "")

    def stall(self, seconds: float, *, to_engine: bool = True, to_carrier: bool = True) -> None:
        until = trio.current_time() + seconds
        if to_engine:
            self._to_engine.stall(until)
        if to_carrier:
            self._to_carrier.stall(until)

    def drop(self) -> None:
        self._to_engine.discard_all()
        self._to_engine.close(1006, "connection lost")
        self._to_carrier.close(1006, "connection lost")


class WebSocketLink:
    """The carrier's end of a real WebSocket."""

    def __init__(self, connection: WebSocketConnection, stream: trio.abc.Stream) -> None:
        self._connection = connection
        self._stream = stream
        self._sends_from = self._reads_from = 0.0

    async def send(self, message: bytes) -> None:
        await trio.sleep_until(self._sends_from)
        try:
            await self._connection.send_message(message.decode())
        except ConnectionClosed as closed:
            raise LinkClosed from closed

    async def receive(self) -> bytes:
        try:
            message = await self._connection.get_message()
        except ConnectionClosed as closed:
            raise LinkClosed from closed
        await trio.sleep_until(self._reads_from)
        return message.encode() if isinstance(message, str) else message

    async def close(self) -> None:
        await self._connection.aclose(1000)

    def stall(self, seconds: float, *, to_engine: bool = True, to_carrier: bool = True) -> None:
        until = trio.current_time() + seconds
        if to_engine:
            self._sends_from = until
        if to_carrier:
            self._reads_from = until

    def drop(self) -> None:
        if isinstance(self._stream, trio.SocketStream):
            self._stream.socket.close()
