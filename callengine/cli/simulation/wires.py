"""The connection to a server: a WebSocket, or TCP with Asterisk's AudioSocket messages on it."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Protocol

import attrs
import trio
from trio_websocket import (
    ConnectionClosed,
    ConnectionRejected,
    ConnectionTimeout,
    HandshakeError,
    WebSocketConnection,
    connect_websocket_url,
)

from callengine.carriers.audiosocket.wire import HANG_UP
from callengine.cleanup import single
from callengine.cli.simulation.carriers import Trouble
from callengine.testing.link import LinkClosed

HANDSHAKE_TIMEOUT = 10.0
"""Seconds for a connection and its upgrade. No carrier documents its own."""
MAX_MESSAGE = 1_048_576
"""Bytes of a message that are taken; a larger one closes the connection."""


class NoConnection(Exception):
    """The server did not take the connection. ``kind`` is one of ``timeout``, ``refused``, ``tls``, ``handshake``."""

    def __init__(self, kind: Trouble, message: str) -> None:
        super().__init__(message)
        self.kind: Trouble = kind


@attrs.frozen
class Closing:
    """How a connection ended at the server's end; 1006 is a connection that broke without a word."""

    code: int
    reason: str = ""


class Wire(Protocol):
    """A connection. What is received is (is text, payload)."""

    closing: Closing | None
    """How the server ended it; None while it has not."""

    async def send(self, message: bytes) -> None:
        """Raises `LinkClosed`."""

    async def receive(self) -> tuple[bool, bytes]:
        """Raises `LinkClosed`."""

    async def close(self) -> None: ...

    def drop(self) -> None:
        """Break the connection, without a word."""


class WebSocketWire:
    """A `Wire` over a WebSocket."""

    def __init__(self, connection: WebSocketConnection) -> None:
        self._connection = connection
        self.closing: Closing | None = None

    async def send(self, message: bytes) -> None:
        try:
            await self._connection.send_message(message.decode())
        except ConnectionClosed as closed:
            raise self._closed(closed) from closed

    async def receive(self) -> tuple[bool, bytes]:
        try:
            message = await self._connection.get_message()
        except ConnectionClosed as closed:
            raise self._closed(closed) from closed
        return (True, message.encode()) if isinstance(message, str) else (False, message)

    async def close(self) -> None:
        await self._connection.aclose(1000)

    def drop(self) -> None:
        stream = self._connection._stream  # there is no public way to break a connection
        if isinstance(stream, trio.SSLStream):
            stream = stream.transport_stream
        if isinstance(stream, trio.SocketStream):
            stream.socket.close()

    def _closed(self, closed: ConnectionClosed) -> LinkClosed:
        if self.closing is None:
            reason = closed.reason
            self.closing = Closing(1006) if reason is None else Closing(reason.code, reason.reason or "")
        return LinkClosed()


@asynccontextmanager
async def open_websocket(
    url: str, headers: Mapping[str, str], *, timeout: float = HANDSHAKE_TIMEOUT
) -> AsyncIterator[WebSocketWire]:
    """A WebSocket that lives as long as the context. Raises `NoConnection`."""
    extra = [(name.encode(), value.encode()) for name, value in headers.items()]
    try:
        async with trio.open_nursery() as nursery:
            with trio.fail_after(timeout):
                connection = await connect_websocket_url(
                    nursery, url, extra_headers=extra, max_message_size=MAX_MESSAGE
                )
            yield WebSocketWire(connection)
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        alone = single(group)
        raise _no_connection(alone, timeout) or alone from None


def _no_connection(error: BaseException, timeout: float) -> NoConnection | None:
    """What an error of connecting means; None for any other error."""
    if isinstance(error, ConnectionRejected):
        return NoConnection("handshake", f"the server answered {error.status_code} in place of 101")
    if isinstance(error, trio.TooSlowError | ConnectionTimeout):
        return NoConnection("timeout", f"no answer within {timeout:g} s")
    cause = error.__cause__
    if isinstance(error, ssl.SSLError) or isinstance(cause, ssl.SSLError):
        return NoConnection("tls", str(error if cause is None else cause))
    if isinstance(error, HandshakeError | trio.BrokenResourceError):
        return NoConnection("handshake", str(cause or error) or "the connection was closed")
    if isinstance(error, OSError):
        return NoConnection("refused", str(error))
    return None


class AudioSocketWire:
    """A `Wire` over TCP: a message is one byte of type, two of length, and so much content."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        self._buffer = bytearray()
        self.closing: Closing | None = None

    async def send(self, message: bytes) -> None:
        try:
            await self._stream.send_all(message)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise self._closed(1006) from error

    async def receive(self) -> tuple[bool, bytes]:
        while len(self._buffer) < 3 or len(self._buffer) < self._size():
            try:
                data = await self._stream.receive_some(65_536)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise self._closed(1006) from error
            if not data:
                raise self._closed(1000)
            self._buffer += data
        size = self._size()
        message = bytes(self._buffer[:size])
        del self._buffer[:size]
        if message[0] == HANG_UP:
            await self._stream.aclose()
            raise self._closed(1000)
        return True, message

    async def close(self) -> None:
        await self._stream.aclose()

    def drop(self) -> None:
        self._stream.socket.close()

    def _size(self) -> int:
        return 3 + int.from_bytes(self._buffer[1:3], "big")

    def _closed(self, code: int) -> LinkClosed:
        if self.closing is None:
            self.closing = Closing(code)
        return LinkClosed()


@asynccontextmanager
async def open_audiosocket(
    host: str, port: int, *, timeout: float = HANDSHAKE_TIMEOUT
) -> AsyncIterator[AudioSocketWire]:
    """A TCP connection that lives as long as the context. Raises `NoConnection`."""
    try:
        with trio.fail_after(timeout):
            stream = await trio.open_tcp_stream(host, port)
    except trio.TooSlowError as error:
        raise NoConnection("timeout", f"no answer within {timeout:g} s") from error
    except OSError as error:
        raise NoConnection("refused", str(error)) from error
    async with stream:
        yield AudioSocketWire(stream)
