"""What the tests of AudioSocket's own socket share: Asterisk's end of a stream in memory, on the virtual clock."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio
from trio.testing import memory_stream_pair

from callengine.carriers.audiosocket import AudioSocketCodec, AudioSocketMediaSocket, wire
from callengine.ports import CarrierEvent

NAME = "40325ec2-5efd-4bd3-805f-53576e581d13"
UUID_MESSAGE = wire.message(wire.UUID, uuid.UUID(NAME).bytes)
FRAME = b"\1\2" * 160
HANG_UP = wire.message(wire.HANG_UP)


class Asterisk:
    """Notes when each of the engine's messages comes. ``gone`` is when the engine closed the connection."""

    def __init__(self, stream) -> None:
        self.stream = stream
        self.came: list[tuple[float, bytes]] = []
        self.gone: float | None = None
        self._reader = wire.MessageReader()

    async def run(self) -> None:
        while data := await self.stream.receive_some():
            now = trio.current_time()
            self.came += [(now, wire.message(m[0], m[1:])) for m in self._reader.feed(bytes(data))]
        self.gone = trio.current_time()

    @property
    def frames(self) -> list[float]:
        """When frames of audio came."""
        return [at for at, message in self.came if message[0] in wire.RATES]


@asynccontextmanager
async def connected(
    *, opening: bytes = UUID_MESSAGE + wire.message(0x10, FRAME), **settings
) -> AsyncIterator[tuple[AudioSocketMediaSocket, Asterisk]]:
    """A socket that runs, and Asterisk behind it, which has said whose this is."""
    ours, theirs = memory_stream_pair()
    socket, asterisk = AudioSocketMediaSocket(ours, **settings), Asterisk(theirs)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(asterisk.run)
        nursery.start_soon(socket.run)
        await theirs.send_all(opening)
        yield socket, asterisk
        socket.close_nowait()
        nursery.cancel_scope.cancel()


async def events(socket: AudioSocketMediaSocket, codec: AudioSocketCodec) -> list[CarrierEvent]:
    """What comes next, understood."""
    return [codec.decode(text, payload) for text, payload in await socket.receive()]
