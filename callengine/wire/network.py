"""Where connections to vendors come from. An engine has one `Wire`, which all its calls share."""

from __future__ import annotations

import functools
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

import httpx
import trio

from callengine.cleanup import bounded_cleanup
from callengine.wire.pool import http_client

KEEP_ALIVE = 90.0
"""Seconds an idle HTTP connection is kept between two requests: longer than almost any caller speaks. A server that
closes earlier costs one new connection, nothing else."""

MAX_IDLE = 256
"""Idle HTTP connections that are kept, of all calls and vendors. The number of busy ones is the calls' business."""

CLOSE_PATIENCE = 1.0
"""Seconds that closing all connections may take. Nothing is sent or awaited; this is only a bound."""


@functools.cache
def tls_context() -> ssl.SSLContext:
    """One TLS context for the process: making one costs 30 ms (it parses every root certificate)."""
    return httpx.create_ssl_context()


class Network(Protocol):
    """Opens connections. The tests' one leads to simulated vendors in memory, so that they run on a virtual clock."""

    async def connect(self, host: str, port: int, *, tls: bool) -> trio.abc.Stream:
        """A stream to this host. Raises OSError (`ssl.SSLError` is one) or `trio.BrokenResourceError`."""


class Internet:
    """The real network."""

    async def connect(self, host: str, port: int, *, tls: bool) -> trio.abc.Stream:
        """See `Network.connect`; the name is looked up, and its addresses tried side by side."""
        stream = await trio.open_tcp_stream(host, port)
        if not tls:
            return stream
        secure = trio.SSLStream(stream, tls_context(), server_hostname=host, https_compatible=True)
        try:
            await secure.do_handshake()
        except BaseException:
            await trio.aclose_forcefully(secure)
            raise
        return secure


class Wire:
    """The way to all vendors: ``http`` is the pool that calls share, ``network`` opens everything else."""

    def __init__(self, http: httpx.AsyncClient, network: Network) -> None:
        self.http = http
        self.network = network


@asynccontextmanager
async def open_wire() -> AsyncIterator[Wire]:
    """The way to the real vendors. Leaving closes every connection of the pool."""
    # No time-outs: every wait has a clock of its own, see `Patience`.
    http = http_client(tls_context(), keep_alive=KEEP_ALIVE, max_idle=MAX_IDLE)
    try:
        yield Wire(http, Internet())
    finally:
        with bounded_cleanup(CLOSE_PATIENCE):
            await http.aclose()


@asynccontextmanager
async def shared_wire(wire: Wire | None) -> AsyncIterator[Wire]:
    """This way to vendors, or one of its own for as long as it is used."""
    if wire is not None:
        yield wire
        return
    async with open_wire() as own:
        yield own
