"""Networks that treat bytes badly, and peers that keep to no protocol."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio
from trio.testing import memory_stream_pair

from callengine.cleanup import single
from callengine.wire import Network, Wire


class _Chopped(trio.abc.Stream):
    """Gives no more than so many bytes at a time."""

    def __init__(self, stream: trio.abc.Stream, size: int) -> None:
        self._stream = stream
        self._size = size

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self._stream.receive_some(min(self._size, max_bytes or self._size))

    async def aclose(self) -> None:
        await self._stream.aclose()


class _Chopping:
    def __init__(self, network: Network, size: int) -> None:
        self._network = network
        self._size = size

    async def connect(self, host: str, port: int, *, tls: bool) -> trio.abc.Stream:
        return _Chopped(await self._network.connect(host, port, tls=tls), self._size)


def chopped(wire: Wire, size: int) -> Wire:
    """The same way to vendors, on which WebSockets come in pieces of so many bytes."""
    return Wire(wire.http, _Chopping(wire.network, size))


Peer = Callable[[trio.abc.Stream], Awaitable[None]]


class _ToPeer:
    def __init__(self, nursery: trio.Nursery, peer: Peer) -> None:
        self.opened: list[trio.abc.Stream] = []
        self._nursery = nursery
        self._peer = peer

    async def connect(self, host: str, port: int, *, tls: bool) -> trio.abc.Stream:
        del host, port, tls
        await trio.lowlevel.checkpoint()
        ours, theirs = memory_stream_pair()
        self.opened.append(theirs)
        self._nursery.start_soon(self._peer, theirs)
        return ours


@asynccontextmanager
async def wire_to(peer: Peer, wire: Wire) -> AsyncIterator[Wire]:
    """A way on which every WebSocket leads to this peer. At the end every connection must be closed from our side."""
    try:
        async with trio.open_nursery() as nursery:
            network = _ToPeer(nursery, peer)
            yield Wire(wire.http, network)
            for stream in network.opened:
                with trio.fail_after(1):
                    await _closed(stream)
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise single(group) from None


async def _closed(stream: trio.abc.Stream) -> None:
    """Wait until the other end of this stream is closed."""
    try:
        while await stream.receive_some(65_536):
            pass
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    except trio.BusyResourceError:  # the peer reads it: it is told
        pass
