"""Asterisk's side of an AudioSocket stream, strict about what it is sent, and the ways to an engine.

Source of the rules: https://docs.asterisk.org/Configuration/Channel-Drivers/AudioSocket/. Asterisk is the TCP client.
It has no playout: a frame is played as it comes, so an engine that sends ahead of time is complained about.
"""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Mapping

import trio

from callengine.audio.convert import from_pcm, to_pcm
from callengine.audio.resample import Resampler
from callengine.carriers.audiosocket import AudioSocketMediaSocket, wire
from callengine.errors import ConfigurationError, SocketClosed
from callengine.testing.link import Link, LinkClosed, MemoryLink, MemorySocket
from callengine.testing.playout import PlayoutQueue
from callengine.testing.side import FRAME, Reaction

MOST_AHEAD = 0.06
"""Seconds by which frames may come early: what a telephone's jitter buffer holds."""

_KINDS = {rate: kind for kind, rate in wire.RATES.items()}
_NOTHING = Reaction()


class AudioSocketSide:
    """One stream, from Asterisk's end; a `callengine.testing.side.Side`. Messages are those of the wire, whole.

    ``rate`` is the channel's, in Hz; at others than 8,000 the words of the lab's voice cannot be read back. ``goodbye``
    announces the end of a call by a message before the connection is closed, as some versions do. ``jitter_buffer`` is
    the seconds of audio that the caller's telephone holds back.

    Asterisk carries no parameters. Marks and clears never reach it: an engine has to keep its own, so ``received`` is
    all ``media``.
    """

    def __init__(
        self,
        call_id: str,
        stream_id: str,
        queue: PlayoutQueue,
        parameters: Mapping[str, str],
        *,
        rate: int = 8000,
        goodbye: bool = False,
        jitter_buffer: float = 0.0,
    ) -> None:
        del parameters
        if rate not in _KINDS:
            raise ConfigurationError(f"AudioSocket has no audio at {rate} Hz: use one of {sorted(_KINDS)}")
        self.call_id = call_id
        self.stream_id = stream_id
        self.queue = queue
        self.pressed = ""
        self._kind = _KINDS[rate]
        self._frame_size = 2 * round(rate * FRAME)
        self._goodbye = goodbye
        self._jitter_buffer = jitter_buffer
        self._to_line = Resampler(8000, rate)
        self._to_telephone = Resampler(rate, 8000)
        self.complaints: list[str] = []
        self.received: list[tuple[float, str]] = []

    @staticmethod
    def ids(number: int) -> tuple[str, str]:
        """UUIDs: the call's is the stream's."""
        name = str(uuid.UUID(int=number))
        return name, name

    def opening(self) -> list[bytes]:
        """Whose call it is."""
        return [wire.message(wire.UUID, uuid.UUID(self.call_id).bytes)]

    def media(self, audio: bytes) -> list[bytes]:
        """One frame of the caller's audio."""
        pcm = self._to_line.push(to_pcm(audio, "mulaw"))
        return [wire.message(self._kind, from_pcm(pcm, "l16"))]

    def dtmf(self, digit: str) -> bytes:
        """A key was pressed."""
        return wire.message(wire.DTMF, digit.encode())

    def mark(self, name: str) -> bytes:
        """Never asked for, since none is ever taken."""
        raise AssertionError(f"AudioSocket has no marks to reach, such as {name!r}")

    def stop(self) -> bytes | None:
        """Asterisk just closes the connection, but for ``goodbye``."""
        return wire.message(wire.HANG_UP) if self._goodbye else None

    def take(self, now: float, message: bytes | str) -> Reaction:
        """A message of the engine."""
        data = message.encode() if isinstance(message, str) else message
        if not data:
            self.complaints.append("an empty message")
            return _NOTHING
        kind, audio = data[0], data[3:]
        if kind != self._kind:
            self.complaints.append(f"a message of kind {kind:#04x}: older versions hang up")
        elif len(audio) != self._frame_size:
            self.complaints.append(f"{len(audio)} bytes of audio: a frame has {self._frame_size}")
        else:
            self._pace(now)
            self.received.append((now, "media"))
            pcm = self._to_telephone.push(to_pcm(audio, "l16"))
            self.queue.media(now + self._jitter_buffer, from_pcm(pcm, "mulaw"))
        return _NOTHING

    def _pace(self, now: float) -> None:
        """A network that stalls delivers late, never early: more audio than time has passed is the engine's doing."""
        if self.received:
            ahead = len(self.received) * FRAME - (now - self.received[0][0])
            if ahead > MOST_AHEAD + 1e-6:
                self.complaints.append(f"a frame {ahead:.3f} s ahead of its time")


class AudioSocketLink:
    """Asterisk's end of the connection; a `callengine.testing.link.Link` that receives whole messages.

    ``wire`` carries the bytes. The engine's hang-up closes it, as Asterisk does.
    """

    def __init__(self, carries: Link) -> None:
        self._wire = carries
        self._reader = wire.MessageReader()
        self._messages: deque[bytes] = deque()

    async def send(self, message: bytes) -> None:
        await self._wire.send(message)

    async def receive(self) -> bytes:
        while not self._messages:
            self._messages.extend(self._reader.feed(await self._wire.receive()))
        message = self._messages.popleft()
        if message[0] == wire.HANG_UP:
            await self._wire.close()
            raise LinkClosed
        return wire.message(message[0], message[1:])

    async def close(self) -> None:
        await self._wire.close()

    def stall(self, seconds: float, *, to_engine: bool = True, to_carrier: bool = True) -> None:
        self._wire.stall(seconds, to_engine=to_engine, to_carrier=to_carrier)

    def drop(self) -> None:
        self._wire.drop()


def in_memory(delay: float) -> tuple[AudioSocketLink, AudioSocketMediaSocket]:
    """Both ends of a connection with this one-way delay in seconds. The socket's `run` is for the owner to start."""
    carries = MemoryLink(delay)
    return AudioSocketLink(carries), AudioSocketMediaSocket(_MemoryStream(carries.socket))


class _MemoryStream(trio.abc.HalfCloseableStream):
    """The engine's end of a link in memory, as a stream of bytes."""

    def __init__(self, socket: MemorySocket) -> None:
        self._socket = socket
        self._rest = b""
        self._closed = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self.wait_send_all_might_not_block()
        try:
            self._socket.send_nowait(bytes(data))
        except SocketClosed as closed:
            raise trio.BrokenResourceError(str(closed)) from None

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()
        if self._closed:
            raise trio.ClosedResourceError

    async def send_eof(self) -> None:
        await self.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        if not self._rest:
            try:
                self._rest = b"".join([data for _, data in await self._socket.receive()])
            except SocketClosed as closed:
                if self._closed:
                    raise trio.ClosedResourceError from None
                if closed.code != 1000:
                    raise trio.BrokenResourceError(closed.reason) from None
                return b""
        size = len(self._rest) if max_bytes is None else max_bytes
        data, self._rest = self._rest[:size], self._rest[size:]
        return data

    def close(self) -> None:
        self._closed = True
        self._socket.close_nowait()

    async def aclose(self) -> None:
        self.close()
        await trio.lowlevel.checkpoint()


class TcpLink:
    """The bytes of a real connection; a `callengine.testing.link.Link`."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._sends_from = self._reads_from = 0.0

    async def send(self, message: bytes) -> None:
        await trio.sleep_until(self._sends_from)
        try:
            await self._stream.send_all(message)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise LinkClosed from error

    async def receive(self) -> bytes:
        try:
            data = await self._stream.receive_some()
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise LinkClosed from error
        if not data:
            raise LinkClosed
        await trio.sleep_until(self._reads_from)
        return bytes(data)

    async def close(self) -> None:
        await self._stream.aclose()

    def stall(self, seconds: float, *, to_engine: bool = True, to_carrier: bool = True) -> None:
        until = trio.current_time() + seconds
        self._sends_from = until if to_engine else self._sends_from
        self._reads_from = until if to_carrier else self._reads_from

    def drop(self) -> None:
        self._stream.socket.close()
