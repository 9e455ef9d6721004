"""How a simulated carrier reaches an engine: its webhooks, and its media sockets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx
import trio
from trio_websocket import ConnectionRejected, HandshakeError, connect_websocket_url

from callengine.services.handshake import BadHandshake
from callengine.testing.link import Link, MemoryLink, WebSocketLink


class NotReached(Exception):
    """A connection that did not come about. ``status`` is the HTTP answer, where there was one."""

    def __init__(self, status: int | None, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Reach(Protocol):
    """The way to an engine. URLs are its public ones."""

    async def request(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> httpx.Response:
        """Raises `NotReached`."""

    async def connect(self, url: str, headers: Mapping[str, str], delay: float, nursery: trio.Nursery) -> Link:
        """Open a WebSocket; what it needs to live runs in the nursery. Raises `NotReached`."""


class Memory:
    """An engine in the same process: its ASGI application, and its calls' sockets, without any connection."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine

    async def request(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> httpx.Response:
        transport = httpx.ASGITransport(app=self._engine.app, client=("203.0.113.7", 40000))
        async with httpx.AsyncClient(transport=transport) as client:
            return await client.request(method, url, headers=dict(headers), content=body)

    async def connect(self, url: str, headers: Mapping[str, str], delay: float, nursery: trio.Nursery) -> Link:
        parts = urlsplit(url)
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        try:
            offer = self._engine.admit(target, headers)
        except BadHandshake as refused:
            raise NotReached(refused.status, str(refused)) from refused
        link = MemoryLink(delay)
        nursery.start_soon(self._engine.take, offer, parts.path.split("/")[1], link.socket)
        await trio.lowlevel.checkpoint()
        return link


class Sockets:
    """An engine behind a port of this machine. The public URL's host is a name only."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def request(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> httpx.Response:
        try:
            async with httpx.AsyncClient(timeout=None) as client:
                return await client.request(method, self._here("http", url), headers=dict(headers), content=body)
        except httpx.TransportError as error:
            raise NotReached(None, str(error)) from error

    async def connect(self, url: str, headers: Mapping[str, str], delay: float, nursery: trio.Nursery) -> Link:
        del delay  # the sockets' own
        extra = [(name.encode(), value.encode()) for name, value in headers.items()]
        try:
            connection = await connect_websocket_url(nursery, self._here("ws", url), extra_headers=extra)
        except ConnectionRejected as rejected:
            raise NotReached(rejected.status_code, str(rejected)) from rejected
        except (OSError, HandshakeError) as error:
            raise NotReached(None, str(error)) from error
        return WebSocketLink(connection, connection._stream)

    def _here(self, scheme: str, url: str) -> str:
        parts = urlsplit(url)
        return f"{scheme}://127.0.0.1:{self._port}{parts.path}" + (f"?{parts.query}" if parts.query else "")
