"""The way to simulated vendors: in memory, on a virtual clock, or over the loopback."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import httpcore
import httpx
import trio
from trio.testing import MemorySendStream, memory_stream_pair

from callengine.cleanup import single
from callengine.testing.vendors.base import Vendor
from callengine.testing.vendors.serving import serve_stream
from callengine.wire import Wire, tls_context
from callengine.wire.pool import Pool


class Cable:
    """A network (see `callengine.wire.Network`) on which nothing but these vendors can be reached, by the names of the
    real ones. TLS is left out."""

    def __init__(self, nursery: trio.Nursery, vendors: Iterable[Vendor]) -> None:
        self._nursery = nursery
        self._vendors = tuple(vendors)

    async def connect(self, host: str, port: int, *, tls: bool) -> trio.abc.Stream:
        """A stream to the vendor of this name."""
        del port, tls
        vendor = next((vendor for vendor in self._vendors if host in vendor.hosts), None)
        if vendor is None:
            raise OSError(f"no simulated vendor is called {host!r}")
        await trio.sleep(vendor.faults.connect_delay)
        if vendor.faults.unreachable:
            vendor.faults.unreachable -= 1
            raise OSError("connection refused by the test")
        ours, theirs = memory_stream_pair()
        self._nursery.start_soon(serve_stream, vendor, theirs, _closing(ours.send_stream))
        return ours


def _closing(stream: MemorySendStream) -> trio.Event:
    """Set when this end is closed."""
    closed = trio.Event()
    others = stream.close_hook

    def hook() -> None:
        if others is not None:
            others()
        closed.set()

    stream.close_hook = hook
    return closed


class _Stream(httpcore.AsyncNetworkStream):
    """One of our streams, as the HTTP client's pool wants it."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        del timeout
        try:
            return bytes(await self._stream.receive_some(max_bytes))
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise httpcore.ReadError(str(error)) from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        del timeout
        try:
            if buffer:
                await self._stream.send_all(buffer)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise httpcore.WriteError(str(error)) from error

    async def aclose(self) -> None:
        await trio.aclose_forcefully(self._stream)

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        del ssl_context, server_hostname, timeout
        try:
            await trio.lowlevel.checkpoint()
        except trio.Cancelled:  # the pool leaves that to whoever shakes hands
            await self.aclose()
            raise
        return self

    def get_extra_info(self, info: str) -> Any:
        return False if info == "is_readable" else None


class _Backend(httpcore.AsyncNetworkBackend):
    def __init__(self, cable: Cable) -> None:
        self._cable = cable

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        del timeout, local_address, socket_options
        try:
            return _Stream(await self._cable.connect(host, port, tls=False))
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)


@asynccontextmanager
async def in_memory(*vendors: Vendor) -> AsyncIterator[Wire]:
    """The way to these vendors, for `Engine(wire=...)` or a `SessionContext`. Everything takes no time but what their
    faults say. Raises AssertionError at the end where a vendor had a complaint, or a connection is still open."""
    try:
        async with trio.open_nursery() as nursery:
            cable = Cable(nursery, vendors)
            transport = httpx.AsyncHTTPTransport(verify=tls_context())  # its own would cost 30 ms, and is not used
            await transport._pool.aclose()
            transport._pool = Pool(network_backend=_Backend(cable), max_connections=None, max_keepalive_connections=64)
            async with httpx.AsyncClient(transport=transport, timeout=None) as http:
                yield Wire(http, cable)
            with trio.move_on_after(2.0):
                while any(vendor.connections for vendor in vendors):  # noqa: ASYNC110 - no event for others
                    await trio.sleep(0.01)
            open_still = [f"{vendor.hosts[0]} has {vendor.connections}" for vendor in vendors if vendor.connections]
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise single(group) from None
    _assert_content(vendors, open_still)


@asynccontextmanager
async def on_loopback(vendor: Vendor) -> AsyncIterator[str]:
    """Serve this vendor on a port of this machine; the value is its address, as in ``127.0.0.1:40123``."""
    async with trio.open_nursery() as nursery:
        serve = partial(trio.serve_tcp, partial(serve_stream, vendor), 0, host="127.0.0.1")
        listeners: Any = await nursery.start(serve)
        yield f"127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()
    _assert_content((vendor,), [])


def _assert_content(vendors: Iterable[Vendor], open_still: list[str]) -> None:
    complaints = [f"{vendor.hosts[0]}: {what}" for vendor in vendors for what in vendor.complaints]
    if complaints:
        raise AssertionError(f"a vendor complained about what the engine sent: {complaints}")
    if open_still:
        raise AssertionError(f"connections were left open: {open_still}")
