"""The one owner of a carrier's WebSocket: sends that never block, receives that hand out whole messages."""

from __future__ import annotations

from contextlib import suppress

import trio

from callengine.errors import SocketClosed
from callengine.services.transport import Outbox, SocketTransport, StreamTransport, Transport
from callengine.services.websocket import ABNORMAL, MAX_MESSAGE, Message, ServerConnection, text_frame

MAX_UNSENT = 262_144
"""Bytes that may wait for a peer that does not read: some 17 s of audio, in messages of 20 ms."""

CLOSE_TIMEOUT = 1.0
"""Seconds that a polite close may take in all: what waits, our close frame, the peer's."""

_BROKEN = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)


class WebSocketMediaSocket:
    """A `callengine.ports.MediaSocket` on a stream whose upgrade was just answered.

    ``initial`` is what had already been read behind the request's head. ``max_message`` (bytes) bounds what the peer
    may send, ``max_unsent`` (bytes) what may wait for it, ``close_timeout`` (seconds) how long `aclose` takes at most.

    Resources: the socket owns the stream from here on; `aclose` or `close_nowait` releases it. Start `run` in the
    owner's nursery: it sends what the kernel would not take at once (on an in-memory stream: everything), sleeps
    otherwise, and returns when the socket is closed.

    Errors: `SocketClosed` with the peer's code and reason; with 1002, 1007 or 1009 where the peer broke the protocol
    (it was told so); with 1006 where the connection broke, the peer did not read, or the socket was closed here.
    """

    def __init__(
        self,
        stream: trio.abc.HalfCloseableStream,
        *,
        initial: bytes = b"",
        max_message: int = MAX_MESSAGE,
        max_unsent: int = MAX_UNSENT,
        close_timeout: float = CLOSE_TIMEOUT,
    ) -> None:
        self._transport: Transport = (
            SocketTransport(stream) if isinstance(stream, trio.SocketStream) else StreamTransport(stream)
        )
        self._connection = ServerConnection(max_message)
        self._initial = initial
        self._max_unsent = max_unsent
        self._close_timeout = close_timeout
        self._outbox = Outbox()
        self._work = trio.lowlevel.ParkingLot()
        self._writing = trio.Lock()
        self._unwritable: tuple[int, str] | None = None
        self._unreadable: tuple[int, str] | None = None
        self._closing = False
        self._closed = trio.Event()
        self._receiving = False
        self._reader_left = trio.Event()

    # --- sending ------------------------------------------------------------------------------------------------

    def send_nowait(self, message: bytes, *, discardable: bool = False) -> None:
        """Send a text message; see `callengine.ports.MediaSocket`."""
        if self._unwritable is not None:
            raise SocketClosed(*self._unwritable)
        self._send(text_frame(message), discardable)

    def discard_unsent(self) -> int:
        """Throw away the discardable messages of which no byte has left; returns how many."""
        return self._outbox.discard()

    async def run(self) -> None:
        """Send what waits, whenever something does. Returns when the socket is closed."""
        while not self._closed.is_set():
            if self._outbox:
                await self._flush()
            else:
                await self._work.park()

    def _send(self, frame: bytes, discardable: bool = False) -> None:
        outbox, sent = self._outbox, 0
        if not outbox:
            try:
                sent = self._transport.write(frame)
            except _BROKEN as error:
                raise self._lose_sends(error) from error
            if sent == len(frame):
                return
        outbox.push(frame, discardable)
        if sent:
            outbox.advance(sent)
        if outbox.size > self._max_unsent:
            self._shut(ABNORMAL, f"peer does not read: {outbox.size} bytes wait")
            raise SocketClosed(*self._unwritable or (ABNORMAL, ""))
        self._work.unpark()

    async def _flush(self) -> None:
        """Send until nothing waits, or nothing can be sent any more."""
        async with self._writing:
            try:
                await self._transport.drain(self._outbox)
            except _BROKEN as error:
                self._lose_sends(error)

    def _lose_sends(self, error: Exception) -> SocketClosed:
        """The connection broke under a send. Reading goes on to its end: the peer's last words may still be there."""
        self._outbox.clear()
        self._unwritable = self._unwritable or (ABNORMAL, _cause(error))
        return SocketClosed(*self._unwritable)

    # --- receiving ----------------------------------------------------------------------------------------------

    async def receive(self) -> list[Message]:
        """Wait for messages; see `callengine.ports.MediaSocket`. Pings and close frames are answered here."""
        if self._receiving:
            raise trio.BusyResourceError("another task is receiving from this socket")
        if self._closing and self._unreadable is None:
            raise SocketClosed(*self._unwritable or (ABNORMAL, ""))
        self._receiving = True
        try:
            while self._unreadable is None:
                if messages := await self._read():
                    return messages
            raise SocketClosed(*self._unreadable)
        finally:
            self._receiving = False
            if self._closing:  # only then somebody may wait for it
                self._reader_left.set()

    async def _read(self) -> list[Message]:
        """One read's messages. The end of the connection is noted, not raised."""
        if self._initial:
            await trio.lowlevel.checkpoint()
            data, self._initial = self._initial, b""
        else:
            try:
                data = await self._transport.read()
            except _BROKEN as error:
                self._end(ABNORMAL, _cause(error))
                return []
        if not data:
            self._end(ABNORMAL, "connection lost: it ended without a close frame")
            return []
        connection = self._connection
        messages = connection.feed(data)
        for frame in connection.replies():
            try:
                self._send(frame)
            except SocketClosed:
                break  # noted; what the peer said before counts all the same
        if connection.end is not None:
            self._end(*connection.end)
        return messages

    def _end(self, code: int, reason: str) -> None:
        self._unwritable = self._unwritable or (code, reason)
        self._unreadable = self._unreadable or (code, reason)

    # --- closing ------------------------------------------------------------------------------------------------

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """Close politely within ``close_timeout``: what waits, our close frame, the peer's, the connection. Idempotent.

        What the peer says meanwhile is lost, unless a task is inside `receive`. Cancelled, it closes at once. A second
        task that closes waits for the first. Raises ValueError for a code that must not be sent, closing all the same.
        """
        if self._closing or self._closed.is_set():
            await self._closed.wait()
            return
        self._closing = True
        try:
            with trio.move_on_after(self._close_timeout):
                self._say_goodbye(code, reason)
                await self._flush()
                if self._connection.failed:
                    await self._linger()
                else:
                    await self._await_goodbye()
        finally:
            self.close_nowait()

    def close_nowait(self) -> None:
        """Close the connection at once, without a word. Idempotent."""
        self._shut(ABNORMAL, "closed here")

    def _say_goodbye(self, code: int, reason: str) -> None:
        frame = self._connection.close(code, reason)
        if self._unwritable is None:
            with suppress(SocketClosed):
                self._send(frame)
            self._unwritable = (code, reason)

    async def _await_goodbye(self) -> None:
        if self._receiving:
            await self._reader_left.wait()
        while self._unreadable is None:
            await self._read()

    async def _linger(self) -> None:
        """Let the peer read why it failed: closing with its bytes unread would reset the connection under our words."""
        with suppress(*_BROKEN):
            await self._transport.send_eof()
            while await self._transport.read():
                pass

    def _shut(self, code: int, reason: str) -> None:
        self._end(code, reason)
        self._outbox.clear()
        self._transport.close()
        self._closed.set()
        self._work.unpark()


def _cause(error: Exception) -> str:
    if isinstance(error, trio.ClosedResourceError):
        return "closed here"
    return f"connection lost: {getattr(error, 'strerror', None) or error}"
