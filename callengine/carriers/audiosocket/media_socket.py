"""The one owner of an AudioSocket connection: it plays the call's audio as a carrier would, and returns its marks."""

from __future__ import annotations

import math
import uuid
from contextlib import suppress

import trio

from callengine.audio.resample import RATES as USABLE_RATES
from callengine.carriers.audiosocket import wire
from callengine.carriers.audiosocket.codec import CLEAR, ECHO, MARK, MEDIA, start_message
from callengine.carriers.audiosocket.playout import MAX_QUEUED, Overfull, PacedPlayout
from callengine.errors import CallEngineError, SocketClosed
from callengine.services.transport import Outbox, SocketTransport, StreamTransport, Transport

ABNORMAL = 1006
"""What the other media sockets call a connection that broke (RFC 6455, section 7.4.1)."""
PROTOCOL_ERROR = 1002
"""What they call a peer that does not speak the protocol."""

RATE_TIMEOUT = 0.5
"""Seconds after the UUID in which the first audio says at what rate the call runs; without any it is 8 kHz. Asterisk
sends a frame every 20 ms as soon as the caller's telephone does."""

SEND_TIMEOUT = 5.0
"""Seconds that a frame may take to leave: Asterisk reads all the time, so a peer that does not is gone."""

CLOSE_TIMEOUT = 1.0
"""Seconds that a polite close may take in all: a frame that is leaving, our hang-up, the peer's close."""

_BROKEN = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)
_HUNG_UP = bytes((wire.HANG_UP,))


class AudioSocketMediaSocket:
    """A `callengine.ports.MediaSocket` on the stream that Asterisk opened; its codec is `AudioSocketCodec`.

    What is sent joins a playout of its own here: a frame leaves every 20 ms, marks come back out of `receive` when the
    audio before them has sounded, and a clear empties it and gives back all its marks. Nothing leaves while nothing is
    to be played. ``max_queued`` (seconds) bounds what may wait; ``send_timeout`` and ``close_timeout`` are seconds.

    Resources: the socket owns the stream from here on; `aclose` or `close_nowait` releases it. Start `run` in the
    owner's nursery: it sends, sleeps otherwise, and returns when the socket is closed.

    Errors: `SocketClosed` with 1002 where the peer does not speak this protocol, else with 1006. Where Asterisk closes
    the connection between two messages, that is its hang-up, and is told as one first.
    """

    def __init__(
        self,
        stream: trio.abc.HalfCloseableStream,
        *,
        max_queued: float = MAX_QUEUED,
        send_timeout: float = SEND_TIMEOUT,
        close_timeout: float = CLOSE_TIMEOUT,
    ) -> None:
        self._transport: Transport = (
            SocketTransport(stream) if isinstance(stream, trio.SocketStream) else StreamTransport(stream)
        )
        self._max_queued = max_queued
        self._send_timeout = send_timeout
        self._close_timeout = close_timeout
        self._messages = wire.MessageReader()
        self._inbox: list[tuple[bool, bytes]] = []
        self._opened = False
        self._kind = 0
        """Of the audio, both ways."""
        self._playout: PacedPlayout | None = None
        """There once the audio's rate is known."""
        self._outbox = Outbox()
        self._work = trio.lowlevel.ParkingLot()
        self._writing = trio.Lock()
        self._reading = trio.CancelScope()
        self._unwritable: tuple[int, str] | None = None
        self._unreadable: tuple[int, str] | None = None
        self._closing = False
        self._closed = trio.Event()
        self._receiving = False
        self._reader_left = trio.Event()

    # --- the beginning ----------------------------------------------------------------------------------------------

    async def open(self) -> str:
        """Wait until Asterisk has said whose this is, and at what rate; returns its UUID.

        The caller bounds it in time. `receive` does it too, where nobody has. Raises `SocketClosed`.
        """
        first = await self._first_message()
        if len(first) != 17 or first[0] != wire.UUID:
            raise self._refuse("the first message is no UUID: this port is for Asterisk's AudioSocket()")
        with trio.move_on_after(RATE_TIMEOUT):
            while not (kinds := [data[0] for _, data in self._inbox if data[0] in wire.RATES]):
                if self._unreadable is not None:
                    raise SocketClosed(*self._unreadable)
                await self._read()
        self._kind = kinds[0] if kinds else next(iter(wire.RATES))
        rate = wire.RATES[self._kind]
        if rate not in USABLE_RATES:
            raise self._refuse(f"{rate} Hz: have the dialplan use slin to slin{USABLE_RATES[-1] // 1000}")
        self._playout = PacedPlayout(rate, max_queued=self._max_queued)
        self._inbox.insert(0, (True, start_message(self._kind, first[1:])))
        self._opened = True
        return str(uuid.UUID(bytes=first[1:]))

    async def _first_message(self) -> bytes:
        while not self._inbox:
            if self._unreadable is not None:
                raise SocketClosed(*self._unreadable)
            await self._read()
        return self._inbox.pop(0)[1]

    def _refuse(self, why: str) -> SocketClosed:
        self._shut(PROTOCOL_ERROR, why)
        return SocketClosed(PROTOCOL_ERROR, why)

    # --- sending ------------------------------------------------------------------------------------------------------

    def send_nowait(self, message: bytes, *, discardable: bool = False) -> None:
        """Take a message of the codec's; see `callengine.ports.MediaSocket`. More than ``max_queued`` ends it."""
        del discardable  # a clear takes it back: nothing waits here but what a carrier would have already
        if self._unwritable is not None:
            raise SocketClosed(*self._unwritable)
        if self._playout is None:
            raise CallEngineError("nothing can be sent before the stream has started")
        now, kind, body = trio.current_time(), message[:1], message[1:]
        try:
            if kind == MEDIA:
                self._playout.media(now, body)
            elif kind == MARK:
                self._playout.mark(now, body)
            elif kind == CLEAR:
                self._echo(self._silence())
            else:
                raise CallEngineError("this message is none of AudioSocketCodec's")
        except Overfull as error:
            self._shut(ABNORMAL, str(error))
            raise SocketClosed(ABNORMAL, str(error)) from None
        self._work.unpark()

    def discard_unsent(self) -> int:
        """Nothing waits on this side of the playout: 0."""
        return 0

    async def run(self) -> None:
        """Send each frame at its time, and give each mark back at its own. Returns when the socket is closed."""
        while not self._closed.is_set():
            if self._outbox:
                await self._flush()
                continue
            playout = self._playout if self._unwritable is None else None
            due = math.inf if playout is None else playout.due
            if due > trio.current_time():
                with trio.move_on_at(due):
                    await self._work.park()
            elif playout is not None:
                self._play(playout)

    def _play(self, playout: PacedPlayout) -> None:
        """Hand over what is due by now."""
        frames, marks = playout.take(trio.current_time())
        self._echo(marks)
        for frame in frames:
            self._send(wire.message(self._kind, frame), discardable=True)

    def _send(self, message: bytes, *, discardable: bool) -> None:
        sent = 0
        if not self._outbox:
            try:
                sent = self._transport.write(message)
            except _BROKEN as error:
                self._lose_sends(error)
                return
        if sent < len(message):
            self._outbox.push(message, discardable)
            if sent:
                self._outbox.advance(sent)

    async def _flush(self) -> None:
        """Send until nothing waits, or nothing can be sent any more."""
        async with self._writing:
            with trio.move_on_after(self._send_timeout) as bound:
                try:
                    await self._transport.drain(self._outbox)
                except _BROKEN as error:
                    self._lose_sends(error)
        if bound.cancelled_caught:
            self._shut(ABNORMAL, f"peer does not read: a frame waited for {self._send_timeout:g} s")

    def _lose_sends(self, error: Exception) -> None:
        """The connection broke under a send. Reading goes on to its end: the peer's last words may still be there."""
        self._silence()
        self._outbox.clear()
        self._unwritable = self._unwritable or (ABNORMAL, _cause(error))

    def _silence(self) -> list[bytes]:
        """Forget what has not begun to leave; returns the marks that were pending."""
        self._outbox.discard()
        return [] if self._playout is None else self._playout.clear(trio.current_time())

    # --- receiving ----------------------------------------------------------------------------------------------------

    async def receive(self) -> list[tuple[bool, bytes]]:
        """Wait for messages; see `callengine.ports.MediaSocket`. Texts are this socket's own, such as marks."""
        if self._receiving:
            raise trio.BusyResourceError("another task is receiving from this socket")
        if self._closing and self._unreadable is None:
            raise SocketClosed(*self._unwritable or (ABNORMAL, ""))
        self._receiving = True
        try:
            if not self._opened and self._unreadable is None:
                await self.open()
            while not self._inbox:
                if self._unreadable is not None:
                    raise SocketClosed(*self._unreadable)
                await self._read()
            await trio.lowlevel.checkpoint()
            messages, self._inbox = self._inbox, []
            return messages
        finally:
            self._receiving = False
            if self._closing:  # only then somebody may wait for it
                self._reader_left.set()

    async def _read(self) -> None:
        """One read's messages, or less where a mark comes first. The end of the connection is noted, not raised."""
        data = None
        with trio.CancelScope() as self._reading:
            try:
                data = await self._transport.read()
            except _BROKEN as error:
                self._end(ABNORMAL, _cause(error))
                return
        if data:
            self._inbox += [(False, message) for message in self._messages.feed(data)]
        elif data is not None:
            if not self._messages.within_message:
                self._inbox.append((False, _HUNG_UP))
            self._end(ABNORMAL, "Asterisk closed the connection")

    def _echo(self, names: list[bytes]) -> None:
        if names:
            self._inbox += [(True, ECHO + name) for name in names]
            self._reading.cancel()

    def _end(self, code: int, reason: str) -> None:
        self._unwritable = self._unwritable or (code, reason)
        self._unreadable = self._unreadable or (code, reason)

    # --- closing ------------------------------------------------------------------------------------------------------

    async def aclose(self, code: int = 1000, reason: str = "") -> None:
        """Hang up within ``close_timeout``: our message, the peer's close, then the connection. Idempotent.

        What has not left by then is not played. The dialplan goes on from there. A second task that closes waits for
        the first. ``code`` and ``reason`` are for those who send afterwards; this wire has neither.
        """
        if self._closing or self._closed.is_set():
            await self._closed.wait()
            return
        self._closing = True
        try:
            with trio.move_on_after(self._close_timeout):
                if self._unwritable is None:
                    self._silence()
                    self._send(wire.message(wire.HANG_UP), discardable=False)
                    self._unwritable = (code, reason)
                    await self._flush()
                with suppress(*_BROKEN):
                    await self._transport.send_eof()
                await self._await_close()
        finally:
            self.close_nowait()

    def close_nowait(self) -> None:
        """Close the connection at once, without a word. Idempotent."""
        self._shut(ABNORMAL, "closed here")

    async def _await_close(self) -> None:
        """Read until the peer closes: with its bytes unread, closing would reset the connection under our message."""
        if self._receiving:
            await self._reader_left.wait()
        while self._unreadable is None:
            await self._read()
            self._inbox.clear()

    def _shut(self, code: int, reason: str) -> None:
        self._end(code, reason)
        self._silence()
        self._outbox.clear()
        self._transport.close()
        self._closed.set()
        self._work.unpark()


def _cause(error: Exception) -> str:
    if isinstance(error, trio.ClosedResourceError):
        return "closed here"
    return f"connection lost: {getattr(error, 'strerror', None) or error}"
