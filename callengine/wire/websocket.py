"""A WebSocket to a vendor."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import h11
import trio
import wsproto.utilities
from trio_websocket import ConnectionClosed, ConnectionRejected, WebSocketConnection, wrap_client_stream

from callengine.cleanup import bounded_cleanup, single
from callengine.errors import ProviderError
from callengine.wire.failures import Failures
from callengine.wire.network import Wire

MAX_MESSAGE = 16 * 1_048_576
"""Bytes of the largest message that is taken: minutes of audio in base64."""

GOODBYE = 0.2
"""Seconds that the closing handshake may take; then the connection is closed without it. Less than a call's own
clean-up."""

QUEUE = 16
"""Messages that wait to be read; then the vendor waits (TCP's own flow control)."""


class VendorSocket:
    """An open WebSocket. Its errors are the vendor's, as `ProviderError`."""

    def __init__(self, connection: WebSocketConnection, failures: Failures, on_close: OnClose | None) -> None:
        self._connection = connection
        self._failures = failures
        self._on_close = on_close
        self.sent_at = trio.current_time()
        """When the last message of ours left."""

    @property
    def alive(self) -> bool:
        """Whether it was open a moment ago. Only sending or receiving proves it."""
        return self._connection.closed is None

    @property
    def headers(self) -> dict[str, str]:
        """Of the handshake's answer, names in lower case."""
        return {name.decode().lower(): value.decode() for name, value in self._connection.handshake_headers}

    async def send(self, message: str | bytes) -> None:
        """Send text or bytes. Raises `ProviderError` where the connection is over."""
        self.sent_at = trio.current_time()
        try:
            await self._connection.send_message(message)
        except (ConnectionClosed, trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise self._closed() from error

    async def send_json(self, message: Mapping[str, Any]) -> None:
        """Send a JSON object."""
        await self.send(json.dumps(message, separators=(",", ":")))

    async def receive(self) -> str | bytes:
        """The next message. Cancellable without loss. Raises `ProviderError` where the connection is over."""
        try:
            return await self._connection.get_message()
        except (ConnectionClosed, trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise self._closed() from error

    async def receive_json(self) -> dict[str, Any] | bytes:
        """The next message that is a JSON object, or bytes. Anything else is passed over: a vendor's slip ends
        nothing."""
        while True:
            message = await self.receive()
            if isinstance(message, bytes):
                return message
            try:
                value = json.loads(message)
            except ValueError:
                continue
            if isinstance(value, dict):
                return value

    async def send_all(self, messages: Iterable[str | bytes]) -> None:
        """Send these, in order."""
        for message in messages:
            await self.send(message)

    async def keep_alive(self, every: float, messages: Callable[[], Iterable[str | bytes]]) -> None:
        """Send something whenever nothing was sent for so many seconds, until cancelled: where there are no messages
        for it, a ping, which must be answered within that time. Raises `ProviderError`."""
        while True:
            await trio.sleep_until(self.sent_at + every)
            if trio.current_time() >= self.sent_at + every:
                if signs := list(messages()):
                    await self.send_all(signs)
                else:
                    await self.ping(every)
                self.sent_at = trio.current_time()

    async def ping(self, timeout: float) -> None:
        """Make sure that it is alive. Raises `ProviderError`."""
        try:
            with trio.move_on_after(timeout) as waited:
                await self._connection.ping()
        except (ConnectionClosed, trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise self._closed() from error
        if waited.cancelled_caught:
            raise self._failures.make(f"no answer to a ping for {timeout:g} s")

    def _closed(self) -> ProviderError:
        reason = self._connection.closed
        code, text = (1006, "") if reason is None else (reason.code, reason.reason or "")
        error = self._on_close(code, text) if self._on_close is not None else None
        return error or self._failures.closed(code, text)


OnClose = Callable[[int, str], ProviderError | None]
"""What a vendor means by a close code and its reason; None: what the codes' table of `Failures` says."""


@asynccontextmanager
async def open_socket(
    wire: Wire,
    url: str,
    failures: Failures,
    *,
    headers: Mapping[str, str] | None = None,
    subprotocols: Sequence[str] = (),
    timeout: float = 5.0,
    on_close: OnClose | None = None,
) -> AsyncIterator[VendorSocket]:
    """Connect to a ``ws`` or ``wss`` URL; leaving closes, politely where that takes no longer than `GOODBYE`.

    ``timeout`` is the time in seconds for everything up to the end of the handshake. Raises `ProviderError`: with the
    vendor's words and fault where it refused (``failures.from_response``), retryable where it could not be reached.
    """
    parts = urlsplit(url)
    assert parts.hostname is not None
    tls = parts.scheme == "wss"
    port = parts.port or (443 if tls else 80)
    default = parts.port is None or parts.port == (443 if tls else 80)
    host = parts.hostname if default else f"{parts.hostname}:{port}"
    resource = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    try:
        async with trio.open_nursery() as nursery:
            reader = _Reader(nursery)
            connection = None
            with trio.move_on_after(timeout) as waited:
                stream = await _connect(wire, parts.hostname, port, tls, failures)
                connection = await reader.shake_hands(stream, host, resource, headers, subprotocols)
            if waited.cancelled_caught:
                raise failures.make(f"no connection within {timeout:g} s")
            if reader.rejected is not None:
                raise _rejected(reader.rejected, failures) from reader.rejected
            if connection is None:
                raise failures.make("the connection was closed during the handshake")
            try:
                yield VendorSocket(connection, failures, on_close)
            finally:
                with bounded_cleanup(GOODBYE):
                    await connection.aclose()
                nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise single(group) from None


async def _connect(wire: Wire, host: str, port: int, tls: bool, failures: Failures) -> trio.abc.Stream:
    try:
        return await wire.network.connect(host, port, tls=tls)
    except (OSError, trio.BrokenResourceError) as error:
        raise failures.make(f"{host} cannot be reached: {error}") from error


def _rejected(error: ConnectionRejected, failures: Failures) -> ProviderError:
    headers = {name.decode().lower(): value.decode("latin-1") for name, value in error.headers}
    return failures.from_response(error.status_code, headers, error.body or b"")


class _Reader:
    """Runs the connection's own task, and ends the handshake when that ends: the package waits for ever where the
    vendor hangs up in the middle of it, and raises a refusal into the nursery."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.rejected: ConnectionRejected | None = None
        self._nursery = nursery
        self._handshake = trio.CancelScope()

    async def shake_hands(
        self,
        stream: trio.abc.Stream,
        host: str,
        resource: str,
        headers: Mapping[str, str] | None,
        subprotocols: Sequence[str],
    ) -> WebSocketConnection | None:
        """The open connection; None where it was refused or broke."""
        connection = None
        try:
            with self._handshake:
                connection = await wrap_client_stream(
                    self,  # type: ignore[arg-type]  # nothing but `start_soon` is used of a nursery
                    stream,  # type: ignore[arg-type]  # any stream will do; the annotation names the usual ones
                    host,
                    resource,
                    subprotocols=list(subprotocols) or None,
                    extra_headers=[(name.encode(), value.encode()) for name, value in (headers or {}).items()],
                    message_queue_size=QUEUE,
                    max_message_size=MAX_MESSAGE,
                )
        finally:
            if connection is None:
                await trio.aclose_forcefully(stream)
        return connection

    def start_soon(self, task: Callable[[], Awaitable[None]], *_: object) -> None:
        self._nursery.start_soon(self._run, task)

    async def _run(self, task: Callable[[], Awaitable[None]]) -> None:
        try:
            await task()
        except ConnectionRejected as error:
            self.rejected = error
        except (wsproto.utilities.ProtocolError, h11.ProtocolError):
            pass  # the package wants to answer nonsense in a state that has no answer: the connection is over
        finally:
            self.rejected = self.rejected or _cut_off(task)
            self._handshake.cancel()


def _cut_off(task: Callable[[], Awaitable[None]]) -> ConnectionRejected | None:
    """The refusal whose body ended with the connection: the package (pinned; a test holds its names) forgets it."""
    connection: Any = getattr(task, "__self__", None)
    status = getattr(connection, "_reject_status", 0)
    return ConnectionRejected(status, connection._reject_headers, connection._reject_body) if status else None
