"""What Hypercorn sees of a connection: a stream with the few attributes that it uses."""

from __future__ import annotations

from typing import Any

import trio

from callengine.services.handshake import RequestHead

SEND_TIMEOUT = 10.0
"""Seconds that a client may take over each `SEND_SIZE` bytes of a response."""
SEND_SIZE = 65_536
"""Bytes: at the slowest, 6.5 kB/s, less than a telephone line's modem carried."""

MAX_QUEUED = 10
"""Messages that may wait for the application before no more is read from the client (Hypercorn's own default)."""


class Wire:
    """A Trio stream that first hands out what was already read of it.

    Three things differ from the stream itself, because of how Hypercorn 0.18.0 works on Trio:

    - Sends are bounded, and end when the connection is aborted: Hypercorn sends inside a shield without a bound.
    - Reading waits while the application has much unread (see `throttle`). Hypercorn's bounded queue cannot be used:
      an application that answers without reading a large body would wait for ever for room in its own queue.
    - A request can be taken away from Hypercorn (see `hand_back`): it then sees the end of the stream, and neither
      writes to the connection nor closes it.

    Errors: as those of `trio.SocketStream`; a client that does not read is a `trio.BrokenResourceError`, and the
    connection is closed.
    """

    def __init__(self, stream: trio.SocketStream, initial: bytes, send_timeout: float = SEND_TIMEOUT) -> None:
        self.handed_back: RequestHead | None = None
        self._stream = stream
        self._initial = initial
        self._send_timeout = send_timeout
        self._reading = trio.CancelScope()
        self._queue: trio.MemoryReceiveChannel[Any] | None = None
        self._room = trio.lowlevel.ParkingLot()
        self._closed = False

    # --- for Hypercorn ------------------------------------------------------------------------------------------

    @property
    def socket(self) -> trio.socket.SocketType:
        return self._stream.socket

    async def receive_some(self, max_bytes: int) -> bytes:
        if self._initial:
            await trio.lowlevel.checkpoint()
            data, self._initial = self._initial[:max_bytes], self._initial[max_bytes:]
            return data
        with trio.CancelScope() as self._reading:
            while self._queue is not None and self._queue.statistics().current_buffer_used >= MAX_QUEUED:
                await self._room.park()
            if self.handed_back is None:
                return bytes(await self._stream.receive_some(max_bytes))
        if self._closed:
            raise trio.ClosedResourceError("closed by the server")
        return b""

    async def send_all(self, data: bytes) -> None:
        for start in range(0, len(data), SEND_SIZE):
            with trio.move_on_after(self._send_timeout) as bound:
                await self._stream.send_all(data[start : start + SEND_SIZE])
            if bound.cancelled_caught:
                self.abort()
                raise trio.BrokenResourceError("the client does not read")

    async def send_eof(self) -> None:
        if self.handed_back is None:
            await self._stream.send_eof()

    async def aclose(self) -> None:
        self.abort()
        await trio.lowlevel.checkpoint()

    # --- for us -------------------------------------------------------------------------------------------------

    def throttle(self, queue: trio.MemoryReceiveChannel[Any]) -> None:
        """From now on read only while there is room in this queue, whose reader tells by `made_room`."""
        self._queue = queue

    def release(self, queue: trio.MemoryReceiveChannel[Any]) -> None:
        """Read on, whatever is in this queue. A later request's queue is not meant."""
        if self._queue is queue:
            self._queue = None
            self.made_room()

    def made_room(self) -> None:
        self._room.unpark_all()

    def hand_back(self, head: RequestHead) -> None:
        """Take this request, of which nothing was answered yet, and with it the connection, away from Hypercorn."""
        self.handed_back = head
        self._reading.cancel()

    def abort(self) -> None:
        """Close the connection at once, unless it was handed back. Whoever reads or sends gets an error."""
        if self.handed_back is None:
            self._closed = True
            self._stream.socket.close()
            self._reading.cancel()
