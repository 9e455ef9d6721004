"""How a media socket reaches its peer: frames that wait to leave, and the two kinds of connection that take them.

A plain socket is written and read through its file descriptor, which is public (`trio.SocketStream.socket.fileno()`),
with ``os.write`` and ``os.read``: Trio has set it non-blocking, and its own ``send`` can only be awaited. Sends are
thereby exact to the byte even when a waiting task is cancelled. The descriptor is asked for every time, never kept, so
that a stream which somebody closed cannot make us write to its number's next owner. This is for POSIX systems.

Any other Trio stream (in-memory ones in tests) has no way to be written without awaiting: all its frames wait for the
writer task.
"""

from __future__ import annotations

import os
import socket
from collections import deque
from typing import Protocol

import trio

_READ_SIZE = 16_384
"""Bytes a read: forty media frames of Twilio's. More than that waits for the next read."""


class Outbox:
    """Frames that have not left, oldest first. ``size`` is their bytes, without those that did leave.

    The first may be *begun*: some of it left, or may have. It is never discarded.
    """

    def __init__(self) -> None:
        self.size = 0
        self._frames: deque[tuple[bytes, bool]] = deque()
        self._begun = False

    def __bool__(self) -> bool:
        return bool(self._frames)

    def push(self, frame: bytes, discardable: bool) -> None:
        """Put a frame last."""
        self._frames.append((frame, discardable))
        self.size += len(frame)

    def first(self) -> bytes:
        """What is left of the oldest frame; empty where there is none."""
        return self._frames[0][0] if self._frames else b""

    def begin(self) -> bytes:
        """Like `first`, and from now on the frame counts as begun."""
        self._begun = bool(self._frames)
        return self.first()

    def advance(self, sent: int) -> None:
        """Note that so many bytes of the first frame left."""
        frame, discardable = self._frames.popleft()
        self.size -= sent
        self._begun = sent < len(frame) and (sent > 0 or self._begun)
        if sent < len(frame):
            self._frames.appendleft((frame[sent:], discardable))

    def discard(self) -> int:
        """Drop the discardable frames that are not begun; return how many."""
        before = len(self._frames)
        begun = [self._frames.popleft()] if self._begun else []
        self._frames = deque([*begun, *(entry for entry in self._frames if not entry[1])])
        self.size = sum(len(frame) for frame, _ in self._frames)
        return before - len(self._frames)

    def clear(self) -> None:
        """Drop everything."""
        self._frames.clear()
        self.size, self._begun = 0, False


class Transport(Protocol):
    """A connection. A broken one raises OSError or `trio.BrokenResourceError`, a closed one `ClosedResourceError`."""

    def write(self, frame: bytes) -> int:
        """Hand over as much as goes without waiting; returns the bytes taken."""

    async def drain(self, outbox: Outbox) -> None:
        """Send until the outbox is empty. Where a cancelled send leaves it unclear what left, the next one raises."""

    async def read(self) -> bytes:
        """Wait for bytes; empty at the end of the stream."""

    async def send_eof(self) -> None:
        """Say that nothing more will be sent."""

    def close(self) -> None:
        """Close now, waking whoever waits. Idempotent."""


class SocketTransport:
    """A connected socket that Trio made."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._socket = stream.socket

    def write(self, frame: bytes) -> int:
        try:
            return os.write(self._fd(), frame)
        except BlockingIOError:
            return 0

    async def drain(self, outbox: Outbox) -> None:
        while outbox:
            await trio.lowlevel.wait_writable(self._fd())
            # Looked at only now: while we waited, frames may have been discarded.
            while frame := outbox.first():
                sent = self.write(frame)
                if not sent:
                    break
                outbox.advance(sent)

    async def read(self) -> bytes:
        while True:
            await trio.lowlevel.wait_readable(self._fd())
            try:
                return os.read(self._fd(), _READ_SIZE)
            except BlockingIOError:  # a spurious wake
                continue

    async def send_eof(self) -> None:
        await trio.lowlevel.checkpoint()
        self._fd()
        self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._socket.close()

    def _fd(self) -> int:
        fd = self._socket.fileno()
        if fd < 0:
            raise trio.ClosedResourceError("the socket was closed")
        return fd


class StreamTransport:
    """Any other stream whose halves can be closed without awaiting, as Trio's in-memory streams can."""

    def __init__(self, stream: trio.abc.HalfCloseableStream) -> None:
        self._stream = stream
        self._torn = False
        self._sending = trio.CancelScope()
        halves = [stream.send_stream, stream.receive_stream] if isinstance(stream, trio.StapledStream) else [stream]
        try:
            self._closers = [half.close for half in halves]  # type: ignore[union-attr]  # in-memory streams have it
        except AttributeError:
            raise TypeError(f"{type(stream).__name__} cannot be closed without awaiting: pass a SocketStream") from None

    def write(self, frame: bytes) -> int:  # noqa: ARG002  # nothing goes out without awaiting
        return 0

    async def drain(self, outbox: Outbox) -> None:
        while frame := outbox.begin():
            if self._torn:
                raise trio.BrokenResourceError("a send was cancelled in the middle of a frame")
            self._torn = True
            with trio.CancelScope() as self._sending:
                await self._stream.send_all(frame)
            if self._sending.cancel_called:
                raise trio.ClosedResourceError("the stream was closed")
            self._torn = False
            outbox.advance(len(frame))

    async def read(self) -> bytes:
        return bytes(await self._stream.receive_some(_READ_SIZE))

    async def send_eof(self) -> None:
        await self._stream.send_eof()

    def close(self) -> None:
        self._sending.cancel()
        for close in self._closers:
            close()
