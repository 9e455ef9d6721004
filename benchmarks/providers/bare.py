"""The floors: the same bytes at the same times, with nobody who understands them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import attrs
import httpx
import trio
from trio_websocket import open_websocket_url

from benchmarks.calls_per_core import wire

_HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


@attrs.frozen
class Talk:
    """What is said to a vendor, ``gap`` seconds apart, and what stands in the last of its answer.

    A message that begins with a brace is text; ``plain`` ones are no messages, but requests.
    """

    said: tuple[bytes, ...]
    end: bytes
    gap: float = 0.0
    plain: bool = False


def request(path: str, body: bytes) -> bytes:
    """A request, made beforehand."""
    head = "POST {} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n"
    return head.format(path, len(body)).encode() + body


def masked(message: bytes) -> bytes:
    """A client's frame, made beforehand."""
    whole = wire.client_frame(message)
    return whole if message.startswith(b"{") else b"\x82" + whole[1:]


class Socket:
    """A socket and nothing else: bytes out, and in until some of them are seen."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream

    async def send(self, data: bytes) -> None:
        """Send all of it."""
        await self._stream.send_all(data)

    async def until(self, end: bytes) -> None:
        """Read until this has come."""
        tail = b""
        while end not in tail:
            data = await self._stream.receive_some(65_536)
            if not data:
                raise RuntimeError("the vendors' process hung up")
            tail = tail[-len(end) :] + data


@asynccontextmanager
async def open_bare(address: str, path: str) -> AsyncIterator[Socket]:
    """Connect, and with a path shake hands for a WebSocket."""
    host, _, port = address.partition(":")
    async with await trio.open_tcp_stream(host, int(port)) as stream:
        socket = Socket(stream)
        if path:
            await socket.send(_HANDSHAKE.format(path=path).encode())
            await socket.until(b"\r\n\r\n")
        yield socket


class Peer:
    """A WebSocket of the package that the engine uses, by itself."""

    def __init__(self, url: str) -> None:
        self._url = url

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Peer]:
        """Connected."""
        async with open_websocket_url(self._url) as self._connection:
            yield self

    async def send(self, message: bytes) -> None:
        """Send a message."""
        await self._connection.send_message(message.decode() if message.startswith(b"{") else message)

    async def until(self, end: bytes) -> None:
        """Receive messages until one has this in it."""
        text = end.decode()
        while True:
            message = await self._connection.get_message()
            if isinstance(message, str) and text in message:
                return


async def fetched(http: httpx.AsyncClient, url: str, json: object) -> None:
    """A request by the HTTP client that the engine uses, by itself: its answer is read and thrown away."""
    async with http.stream("POST", url, json=json) as response:
        async for _ in response.aiter_raw():
            pass
